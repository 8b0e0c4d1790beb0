// A small share of what test/prove/schedules.ts does with more time.
// @timeout 120

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MUTANTS_OF_THE_PROTOCOL } from '../mutants/of-the-protocol.ts'
import { chooseSeed } from '../support/random.ts'
import { EXPLORATIONS } from './configurations.ts'
import type { Exploration } from './exploration.ts'
import { buildExplored, type ExploredBuild, explore, traceSchedule } from './explorer.ts'
import { describeFailure, type Explored } from './tally.ts'

const ENOUGH_MUTANTS = 8

const seed = chooseSeed('explore')
let build: ExploredBuild
let untaught: ExploredBuild

test.before(async () => {
  build = await buildExplored()
  untaught = { ...build, watched: undefined }
})

function named(name: string): Exploration {
  const found = EXPLORATIONS.find((each) => each.name === name)
  assert.ok(found, `no configuration is called ${name}`)
  return found!
}

function expectNothing({ failure }: Explored): void {
  if (failure !== undefined) assert.unreachable(describeFailure(failure))
}

for (const name of ['2 threads x 1 commit, D=1', '2 threads x 1 commit, D=2', 'promises: 2 commits, D=1']) {
  test(`every schedule with two preemptions keeps every promise: ${name}`, () => {
    const lessons: number[][] = []
    let explored: Explored
    do {
      explored = explore(named(name), build, { budgetMs: 60_000, lessons })
      if (explored.lesson !== undefined) lessons.push(explored.lesson)
    } while (explored.lesson !== undefined)
    expectNothing(explored)
    assert.ok(explored.isExhausted)
  })
}

test('some schedules of every configuration keep every promise', () => {
  for (const exploration of EXPLORATIONS) {
    expectNothing(explore(exploration, untaught, { budgetMs: 40, seed }))
  }
})

test('where threads are only switched where it matters, there is less to see and nothing is missed', () => {
  const exploration = named('2 threads x 1 commit, D=1')
  const few = explore({ ...exploration, bound: 1 }, build, { budgetMs: 60_000 })
  const all = explore({ ...exploration, bound: 1 }, untaught, { budgetMs: 60_000 })
  assert.ok(few.isExhausted && all.isExhausted)
  assert.ok(few.schedules < all.schedules)
  assert.is(few.recovered, all.recovered)
})

test('a seeded mutation is seen, and its schedule replays', async () => {
  let killed = 0
  for (const { edits, killedBy } of MUTANTS_OF_THE_PROTOCOL) {
    if (killed === ENOUGH_MUTANTS) break
    if (!('exploration' in killedBy)) continue
    const exploration = named(killedBy.exploration)
    const mutant = await buildExplored(edits, false)
    const { failure } = explore(exploration, mutant, { budgetMs: 60_000, maxSchedules: 400, seed: 1 })
    if (failure === undefined) continue
    killed++
    if (killed > 2) continue
    const again = await traceSchedule(exploration, failure.schedule, () => {}, edits)
    assert.is(again?.promise, failure.promise)
  }
  // For the others, and those that need more schedules, there is `npm run mutants`.
  assert.is(killed, ENOUGH_MUTANTS)
})

test.run()
