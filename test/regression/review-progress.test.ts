// What an adversarial review found about those who wait.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Committer } from '../../src/commit/committer.ts'
import { RECHECK_MS } from '../../src/commit/watch.ts'
import { Producer } from '../../src/host/producer.ts'
import { CLIENT_COMMITTER } from '../../src/shared/clients.ts'
import { beforeNext, SimulatedLog, type SimulatedThread } from './simulated-threads.ts'

/** Nearly half a segment: a third record of this size needs the next one. */
const HALF_SEGMENT = 'x'.repeat(500_000)
/** What rings the committer, over and over: guards of several clients, whose timers do not agree. */
const RING_INTERVAL_MS = 7

test('the committer takes over from a dead leader, however often it is rung meanwhile', () => {
  const log = new SimulatedLog()
  let nowMs = 0
  const server = log.start(CLIENT_COMMITTER, { wallMs: () => nowMs, monotonicMs: () => nowMs })
  const [dead, client] = [log.start(), log.start()]
  const { control, doorbell, counters } = server.context
  doorbell.storeCommitterClient(server.context.client)
  const committer = new Committer(server.context, server.leader, server.watch, 0)
  doorbell.waitForDoorbell = () => {
    nowMs += RING_INTERVAL_MS
    return true
  }
  dead.abandonInWrite('of the dead')
  const lsn = client.append('waits behind it')
  dead.die()
  for (let turn = 0; turn < 50 && control.durableLsn() < lsn; turn++) committer.turn()
  assert.is(control.durableLsn(), lsn)
  assert.is(counters.readAll().takeovers, 1)
  assert.ok(nowMs <= 2 * RECHECK_MS, `it was rung for ${nowMs} ms`)
})

test('a promise commit finds a dead leader by itself when the committer does not', async () => {
  const log = new SimulatedLog()
  const [server, dead, client] = [log.start(CLIENT_COMMITTER), log.start(), log.start()]
  // Alive, and never gets to look.
  server.context.doorbell.storeCommitterClient(server.context.client)
  const producer = new Producer(client.context, 0)
  const committed = producer.commit({ payload: 'in the frame of the dead' })
  dead.abandonInWrite('of the dead')
  dead.die()
  const late = new Promise((resolve) => setTimeout(resolve, 3000, 'not settled').unref())
  assert.equal(await Promise.race([committed, late]), { lsn: 1, durable: true })
  assert.is(client.context.counters.readAll().takeovers, 1)
  producer.close()
})

test('who needs the next segment while frames are in flight sleeps until they are published', () => {
  const log = new SimulatedLog({ slotCount: 2, maxBatchBytes: 600_000 })
  const [server, writer, waiter] = [log.start(CLIENT_COMMITTER), log.start(), log.start()]
  const { control, doorbell } = server.context
  doorbell.storeCommitterClient(server.context.client)
  const committer = new Committer(server.context, server.leader, server.watch, 0)
  waiter.commit(HALF_SEGMENT)
  // Fills the segment, and lives: its write lasts.
  writer.abandonInWrite(HALF_SEGMENT)
  const lsn = waiter.append(HALF_SEGMENT)
  const attempts = countAttempts(waiter)
  assert.not(waiter.leader.tryLead())
  assert.ok(attempts() <= 1, `a follower took the lock ${attempts()} times`)
  const served = countAttempts(server)
  let waits = 0
  doorbell.waitForDoorbell = () => {
    waits++
    return false
  }
  for (let turn = 1; turn <= 10; turn++) committer.turn()
  // It may not even wait in the turn in which it was rung; and looks once before and once after it says it sleeps.
  assert.ok(waits >= 9, `it slept in ${waits} of 10 turns`)
  assert.ok(served() <= 20, `the committer took the lock ${served()} times in 10 turns`)
  writer.die()
  server.watch.lookForDead()
  for (let turn = 1; turn <= 10 && control.durableLsn() < lsn; turn++) committer.turn()
  // Without a keeper, the holder of the lock makes the next segment.
  assert.is(control.durableLsn(), lsn)
})

test('who publishes the record that others wait behind, and does not lead, wakes one of them', () => {
  const log = new SimulatedLog()
  const [slow, follower] = [log.start(), log.start()]
  const { control, ring } = slow.context
  const producer = new Producer(slow.context, 0)
  let wakeValue: number | undefined
  // Between its reservation and its publication.
  beforeNext(ring, 'publishPlace', () => {
    follower.append('behind the hole')
    assert.not(follower.leader.tryLead())
    wakeValue = control.wakeValue(control.stagedCount())
  })
  const committed = producer.commit({ payload: 'was a hole' })
  assert.is.not(wakeValue, undefined)
  assert.is.not(control.wakeValue(control.stagedCount()), wakeValue)
  assert.ok(follower.leader.tryLead())
  assert.is(control.durableLsn(), 2)
  producer.close()
  return committed.then(({ lsn }) => assert.is(lsn, 1))
})

/** Counts how often the thread tries to get the commit-lock; one that spins is stopped. */
function countAttempts(thread: SimulatedThread): () => number {
  const { control } = thread.context
  const acquire = control.acquireLock.bind(control)
  let attempts = 0
  control.acquireLock = (expected, owner) => {
    if (++attempts > 1000) throw new Error('it spins')
    return acquire(expected, owner)
  }
  return () => attempts
}

test.run()
