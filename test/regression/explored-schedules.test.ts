// What the exploration of schedules found (test/prove/schedules.ts), made anew step by step.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PHASE_OPEN, PHASE_SETTLED, VERDICT_DURABLE } from '../../src/shared/phase.ts'
import { SLOT_STAGED, slotState } from '../../src/shared/slots.ts'
import { beforeNext, cutOff, SimulatedLog, type SimulatedThread } from './simulated-threads.ts'

const BLOCK_BYTES = 4096
const EIO = 5
const TWO_SLOTS = { slotCount: 2, segmentBytes: 64 * BLOCK_BYTES, maxBatchBytes: 8 * BLOCK_BYTES }

test('a leader who found no room before the last frame was durable looks again when it has released the lock', () => {
  const log = new SimulatedLog(TWO_SLOTS)
  const [writer, leader, other] = [log.start(), log.start(), log.start()]
  const { control, keeper } = leader.context
  fill(writer, 1)
  writer.abandonInWrite('in flight, and the segment is full')
  leader.append('needs the next segment')
  beforeNext(control, 'releaseLock', () => {
    // The frame is completed now. Whoever is woken by that finds the lock taken, and goes back to sleep.
    writer.die()
    assert.ok(other.watch.lookForDead())
    assert.ok(control.isDrained())
  })
  leader.leader.tryLead()
  assert.ok(keeper.wantsRoom(), 'the keeper is asked for the next segment')
})

test('a leader whom the keeper answers before the lock is released looks again', () => {
  const log = new SimulatedLog(TWO_SLOTS)
  const leader = log.start()
  const { control, keeper, phases } = leader.context
  fill(leader, 0)
  leader.append('needs the next segment')
  beforeNext(control, 'releaseLock', () => {
    assert.ok(keeper.wantsRoom())
    keeper.storeRoomErrno(EIO)
    keeper.storeRoomWanted(false)
  })
  leader.leader.tryLead()
  assert.is(phases.phase(), PHASE_SETTLED, 'the answer was heard')
  assert.is(phases.failureErrno(), EIO)
})

test('who comes late to settle a failure does not cancel a frame of the log that was resumed since', () => {
  const log = new SimulatedLog()
  const [late, other, opener] = [log.start(), log.start(), log.startOpener()]
  const { control, phases, slots } = other.context
  late.failNextWrite()
  beforeNext(late.leader.frames.poison, 'settle', () => {
    beforeNext(late.context.control, 'stagedCount', () => {
      opener.resuming.begin()
      assert.ok(opener.tryResume())
      cutOff(other, 'after the resume', (cut) => beforeNext(other.leader.frames, 'writeStaged', cut))
    })
  })
  assert.throws(() => late.commit('fails'))
  const frame = control.publishedCount()
  assert.is(phases.phase(), PHASE_OPEN)
  assert.is(slotState(slots.stateWord(frame)), SLOT_STAGED)
  other.die()
  assert.ok(late.watch.lookForDead())
  assert.is(phases.verdictOn(2), VERDICT_DURABLE)
})

test('a record that close() did not see any more is not the newest one of its producer', () => {
  const log = new SimulatedLog()
  const [thread, opener] = [log.start(), log.startOpener()]
  const lsn = thread.commit('seen')
  beforeNext(thread.context.ring, 'reservePlace', () => {
    // The phase was looked at, the place is not taken yet: close() finds the ring empty, and seals the log.
    assert.ok(opener.closing.begin())
    assert.ok(opener.closing.tryFinish())
  })
  assert.throws(() => thread.commit('too late'), /closed/)
  assert.is(thread.placer.lastLsn, lsn, 'the next process hands the one behind it out once more')
})

/** Until only so many frames have room in the segment. */
function fill(thread: SimulatedThread, framesLeft: number): void {
  const { control, keeper } = thread.context
  const full = control.segmentLimit() - framesLeft * BLOCK_BYTES
  assert.ok(control.writeOffset() < full)
  while (control.writeOffset() < full) thread.commit('fills the segment')
  // A keeper that has not started yet: it is asked, and waited for.
  keeper.storeKeeperClient(0)
}

test.run()
