// What an adversarial review of making and dropping segments found.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { READY_PREPARED } from '../../src/commit/segment-supply.ts'
import { segmentName } from '../../src/format/segment-name.ts'
import { CLIENT_KEEPER } from '../../src/shared/clients.ts'
import { eventually } from '../support/eventually.ts'
import { openFaulty } from '../support/failing-log.ts'
import { contentAfterReopen, contentOf, crashImageOf } from '../support/log-content.ts'
import { SimulatedLog, type SimulatedThread } from './simulated-threads.ts'

const QUARTER_MIB = 'x'.repeat(200_000)
const REOPEN = { segmentBytes: 1 << 20, syncMethod: 'fdatasync' } as const
const LARGE = 'x'.repeat(300 * 1024)

/** What the keeper looks at before it decides what to make. */
const KEEPER_READS = [
  ['control', 'segmentSequence'],
  ['keeper', 'zeroedTo'],
  ['control', 'segmentLimit'],
  ['keeper', 'readyState'],
] as const

test('the segment-keeper never removes the segment that is rotated to, at whichever look it is preempted', async () => {
  let look = 1
  for (let isReached = true; isReached; look++) {
    const log = new SimulatedLog()
    const [keeper, producer] = [log.start(CLIENT_KEEPER), log.start()]
    const { control, keeper: words } = keeper.context
    words.storeKeeperClient(keeper.context.client)
    // So far that the next segment is needed soon.
    const lsns = [1, 2].map(() => producer.commit(QUARTER_MIB))
    while (keeper.context.supply.makeRoom()) {
      // fills the current segment and prepares the next one
    }
    assert.is(words.readyState(), READY_PREPARED)
    for (let index = 0; index < 2; index++) lsns.push(producer.commit(QUARTER_MIB))
    const wasPreempted = preemptAt(keeper, look, () => {
      while (words.readyState() === READY_PREPARED) lsns.push(producer.commit(QUARTER_MIB))
    })
    keeper.context.supply.makeRoom()
    isReached = wasPreempted()
    const { directory } = log
    assert.ok(existsSync(join(directory, segmentName(control.segmentSequence()))), `look ${look}`)
    lsns.push(producer.commit('after'))
    assert.equal([...(await log.contentAfterReopen()).keys()], lsns, `look ${look}`)
  }
  assert.ok(look > 3, 'the keeper was preempted at each of its looks')
})

/** Lets `during` run within the keeper, after it read the word that is its `look`th. Tells whether it came so far. */
function preemptAt(keeper: SimulatedThread, look: number, during: () => void): () => boolean {
  let looks = 0
  let isInside = false
  for (const [viewName, name] of KEEPER_READS) {
    // The keeper's own view: other threads have theirs.
    const view = keeper.context[viewName] as unknown as Record<string, (...args: unknown[]) => unknown>
    const read = view[name].bind(view)
    view[name] = (...args) => {
      const value = read(...args)
      if (isInside || ++looks !== look) return value
      isInside = true
      during()
      isInside = false
      return value
    }
  }
  return () => looks >= look
}

test('truncateBefore keeps a segment as long as the first frame behind it may be lost', async () => {
  const { log, faults, directory, producers } = await openFaulty({}, 1)
  const [producer] = producers
  for (let index = 0; index < 3; index++) await producer.commitSync(LARGE)
  const next = log.stats().segmentSequence + 1
  await eventually('the next segment is there', () => existsSync(join(directory, segmentName(next))))
  // Written, and not synced.
  const held = faults.hold('sync-frame')
  const last = producer.commitSync(LARGE)
  await held.reached()
  assert.is(log.stats().segmentSequence, next)
  assert.is(log.durableLsn, 3)
  assert.is(await log.truncateBefore(4), 0)
  assert.equal([...contentOf(log).keys()], [1, 2, 3])
  const image = crashImageOf(directory)
  held.release()
  assert.is((await last).value?.lsn, 4)
  assert.is(await log.truncateBefore(4), 1)
  await producer.close()
  await log.close()
  assert.equal([...(await contentAfterReopen(directory, REOPEN)).keys()], [4])
  assert.equal([...(await contentAfterReopen(image, REOPEN)).keys()].slice(0, 3), [1, 2, 3])
})

test('a leader that cannot open a segment which was dropped meanwhile does not fail the log', () => {
  const log = new SimulatedLog()
  const leader = log.start()
  const { writer, phases } = leader.context
  const openPhase = phases.phase()
  const open = writer.openSegment.bind(writer)
  let attempts = 0
  // The first attempt comes too late: somebody rotated, and the old segment was dropped. The next finds the new one.
  writer.openSegment = (segment) => {
    if (attempts++ > 0) return open(segment)
    writer.failedCall = 'open'
    writer.failedErrno = 2
    return false
  }
  assert.is(leader.commit('kept'), 1)
  assert.is(phases.phase(), openPhase)
})

test.run()
