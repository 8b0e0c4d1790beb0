import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { compareResults, mergeResults } from '../../bench/compare.ts'
import { handmadeResults } from './handmade-results.ts'

test('the same results twice: nothing changed', () => {
  assert.match(compareResults(handmadeResults(), handmadeResults()), '17 points in both, 0 figures changed')
})

test('a figure counts as changed only when the ranges of its runs do not touch', () => {
  const after = handmadeResults()
  const { values } = after.points[0]!.rows.find(({ subject }) => subject === 'groupwal')!
  values.commitsPerSecond = { median: 3000, min: 2900, max: 3100 }
  values.p50Micros = { median: 160, min: 140, max: 180 }
  const text = compareResults(handmadeResults(), after)
  assert.match(text, 'scaling: sync 1, groupwal: WORSE  commitsPerSecond 4,250 -> 3,000 (x 0.71)')
  assert.not.match(text, 'p50Micros')
})

test('machines and settings that differ are named', () => {
  const after = handmadeResults()
  after.machine.node = 'v24.0.0'
  assert.match(compareResults(handmadeResults(), after), 'differs: node: v20.15.0 | v24.0.0')
})

test('points that were measured later take the place of those they repeat, and say when', () => {
  const earlier = handmadeResults()
  const [again, other] = handmadeResults().points
  const added = { ...other!, key: 'sync 2' }
  const later = { ...handmadeResults(), date: '2031-01-01', commit: 'abc', points: [again!, added] }
  const merged = mergeResults(earlier, later)
  assert.is(merged.points.length, earlier.points.length + 1)
  assert.is(merged.commit, earlier.commit)
  assert.equal(merged.points[0]!.measured, { date: '2031-01-01', commit: 'abc' })
  assert.is(merged.points[1]!.measured, undefined)
  assert.is(merged.points.at(-1)!.key, 'sync 2')
})

test.run()
