import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { transform } from './transform.ts'

const ATOMICS = `
function load(at) { return memory[at] }
function store(at, value) { memory[at] = value }
`
const PROTOCOL = `
function sum() {
  let all = 0
  for (let at = 0; at < 2; at++) all += load(at)
  return all
}
function storeSum() { store(2, sum()) }
function storeBoth() { store(3, Math.max(sum(), load(2))) }
function storeNested() { store(sum(), sum()) }
`

/** Runs one of PROTOCOL's functions alone: what it leaves in the memory, and the operations that it asks for. */
function runAlone(name: string): { memory: number[]; asked: string[] } {
  const { code, sites } = transform(ATOMICS + PROTOCOL, { from: 0, to: ATOMICS.length }, false)
  const asked: string[] = []
  const ask = (site: number): boolean => asked.push(sites[site]!) > 0
  const memory = [1, 3, 5, 0, 0]
  const start = new Function('M', 'memory', `${code}\nreturn ${name}`)({ steps: 0, askAt: 0, ask }, memory)
  // The machine's answer to each question: go on.
  for (const generator = start(); !generator.next(false).done; );
  return { memory, asked }
}

test('a function that asks, in the last place of an operation: its value gets there, and it asks first', () => {
  const { memory, asked } = runAlone('storeSum')
  assert.equal(memory, [1, 3, 4, 0, 0])
  assert.equal(asked, ['sum: load(at)', 'sum: load(at)', 'storeSum: store(2, sum())'])
})

test('operations and functions that ask, in other places of an operation', () => {
  assert.equal(runAlone('storeBoth').memory, [1, 3, 5, 5, 0])
  assert.equal(runAlone('storeNested').memory, [1, 3, 5, 0, 4])
  assert.is(runAlone('storeNested').asked.length, 5)
})

test.run()
