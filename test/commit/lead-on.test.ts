// Who leads what waits when a frame is published: one of those who wait, or the committer, which goes on from there.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Committer } from '../../src/commit/committer.ts'
import { CLIENT_COMMITTER } from '../../src/shared/clients.ts'
import { beforeNext, SimulatedLog, type SimulatedThread } from '../regression/simulated-threads.ts'

const COMMITTER_RECORDS = 3

/** A log, its committer, and two producers. */
function start(): { server: SimulatedThread; writer: SimulatedThread; other: SimulatedThread } {
  const log = new SimulatedLog({ committerRecords: COMMITTER_RECORDS })
  const [server, writer, other] = [log.start(CLIENT_COMMITTER), log.start(), log.start()]
  const { doorbell } = server.context
  doorbell.storeCommitterClient(server.context.client)
  // The first one behind a seal rings the committer, which has to write the next seal.
  writer.commit('behind a seal')
  doorbell.takeCommitterDuty()
  return { server, writer, other }
}

/** Commits a record, and lets the other publish so many while it is written. */
function commitWhile(writer: SimulatedThread, other: SimulatedThread, count: number): void {
  beforeNext(writer.context.writer, 'writeDurably', () => {
    for (let waiting = 0; waiting < count; waiting++) other.place('waits')
  })
  writer.commit('led by its producer')
}

test('the committer stages the next frame before it wakes the followers of the one it published', () => {
  const { server, other } = start()
  const { control } = server.context
  const committer = new Committer(server.context, server.leader, server.watch, 0)
  const staged: number[] = []
  const wakeFollowers = control.wakeFollowers.bind(control)
  control.wakeFollowers = (frame) => {
    staged.push(control.stagedCount() - frame)
    wakeFollowers(frame)
  }
  other.append('first')
  beforeNext(server.context.writer, 'writeDurably', () => other.append('second'))
  committer.turn()
  assert.is(control.durableLsn(), 3)
  // One frame behind the first by then, none behind the last.
  assert.equal(staged, [2, 1])
})

test('as many as the committer is there for are left to it', () => {
  const { server, writer, other } = start()
  const { control, doorbell } = server.context
  commitWhile(writer, other, COMMITTER_RECORDS)
  assert.ok(doorbell.hasCommitterDuty())
  new Committer(server.context, server.leader, server.watch, 0).turn()
  assert.is(control.durableLsn(), 2 + COMMITTER_RECORDS)
})

test('fewer are left to one of those who wait', () => {
  const { server, writer, other } = start()
  const { control, doorbell } = server.context
  const heirs: number[] = []
  writer.context.control.wakeHeir = (frame) => heirs.push(frame)
  commitWhile(writer, other, COMMITTER_RECORDS - 1)
  assert.not(doorbell.hasCommitterDuty())
  assert.equal(heirs, [control.stagedCount()])
})

test('what waits is not left to a committer who is gone more than once', () => {
  const { server, writer, other } = start()
  const { control, doorbell } = server.context
  server.die()
  commitWhile(writer, other, COMMITTER_RECORDS)
  assert.is(doorbell.committerClient(), server.context.client)
  // As a follower does that waited for nothing.
  assert.not(other.watch.lookForDead())
  assert.is(doorbell.committerClient(), 0)
  const heirs: number[] = []
  writer.context.control.wakeHeir = (frame) => heirs.push(frame)
  commitWhile(writer, other, COMMITTER_RECORDS)
  assert.equal(heirs, [control.stagedCount()])
})

test('the committer does not take itself for one who is gone', () => {
  const { server, other } = start()
  const { doorbell, client } = server.context
  other.place('waits')
  server.watch.lookForDead()
  assert.is(doorbell.committerClient(), client)
})

test('who drops a committer that is gone has one of those who wait lead', () => {
  const { server, writer, other } = start()
  const { control } = other.context
  server.die()
  commitWhile(writer, other, COMMITTER_RECORDS)
  const heirs: number[] = []
  control.wakeHeir = (frame) => heirs.push(frame)
  other.watch.lookForDead()
  assert.equal(heirs, [control.stagedCount()])
})

for (const cutAt of ['countPublished', 'wakePublished'] as const) {
  test(`followers whose leader was cut off in ${cutAt} are woken when its thread calls again`, () =>
    paysLater((writer) => beforeNext(writer.leader.frames as never, cutAt, cutOff)))
}

test('clients with promises are woken later, too, when the call that was to wake them was cut off', () => {
  const { writer } = start()
  const { clients } = writer.context
  beforeNext(clients, 'wakeArmed', cutOff)
  assert.throws(() => writer.commit('published'), 'cut off')
  let paid = 0
  clients.wakeArmed = () => paid++
  writer.watch.healOwn()
  assert.is(paid, 1)
})

function cutOff(): never {
  throw new Error('cut off')
}

function paysLater(arrange: (writer: SimulatedThread) => void): void {
  const { writer } = start()
  const { control } = writer.context
  arrange(writer)
  assert.throws(() => writer.commit('published'), 'cut off')
  const frame = control.publishedCount() - 1
  const value = control.wakeValue(frame)
  writer.commit('again')
  assert.is(control.wakeValue(frame), value + 1)
  assert.is(control.durableLsn(), 3)
}

test.run()
