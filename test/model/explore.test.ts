// A small share of what test/model/explore.ts does with more time.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MUTANTS_OF_THE_PROTOCOL } from '../mutants/of-the-protocol.ts'
import { chooseSeed } from '../support/random.ts'
import { buildProtocol, type LoadedProtocol, loadProtocol } from './build-protocol.ts'
import { EXPLORATIONS, type Exploration } from './configurations.ts'
import { type Explored, explore, traceSchedule } from './explorer.ts'

const seed = chooseSeed('explore')
let loaded: LoadedProtocol

test.before(async () => {
  loaded = loadProtocol(await buildProtocol())
})

function named(name: string): Exploration {
  const found = EXPLORATIONS.find((each) => each.name === name)
  assert.ok(found, `no configuration is called ${name}`)
  return found!
}

function expectNothing({ failure }: Explored): void {
  if (failure === undefined) return
  assert.unreachable(
    `${failure.message}\n  node scripts/run.mjs test/model/explore.ts --only '${failure.name}' --schedule '${failure.schedule}'`,
  )
}

for (const name of ['2 threads x 1 commit, D=1', '2 threads x 1 commit, D=2']) {
  test(`every schedule with two preemptions keeps every promise: ${name}`, () => {
    const explored = explore(named(name), loaded, { budgetMs: 60_000 })
    expectNothing(explored)
    assert.ok(explored.isExhausted)
  })
}

test('some schedules of every configuration keep every promise', () => {
  for (const exploration of EXPLORATIONS) expectNothing(explore(exploration, loaded, { budgetMs: 60, seed }))
})

test('a seeded mutation is seen, and its schedule replays', async () => {
  let killed = 0
  for (const { edits, killedBy } of MUTANTS_OF_THE_PROTOCOL) {
    if (!('exploration' in killedBy)) continue
    const exploration = named(killedBy.exploration)
    const mutant = loadProtocol(await buildProtocol(edits))
    const { failure } = explore(exploration, mutant, { budgetMs: 60_000, maxSchedules: 400, seed: 1 })
    if (failure === undefined) continue
    killed++
    if (killed > 2) continue
    const again = await traceSchedule(exploration, failure.schedule, () => {}, edits)
    assert.is(again?.promise, failure.promise)
  }
  // The others need more schedules than there is time for here: `npm run mutants` kills all of them.
  assert.ok(killed >= 8, `only ${killed} of ${MUTANTS_OF_THE_PROTOCOL.length} mutants were seen`)
})

test.run()
