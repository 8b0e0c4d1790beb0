// What an adversarial review of resume() found.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { MessageChannel } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { READY_NONE, READY_PREPARED } from '../../src/commit/segment-supply.ts'
import { runKeeper } from '../../src/host/run-keeper.ts'
import { PHASE_CLOSED, PHASE_OPEN } from '../../src/shared/phase.ts'
import { eventually } from '../support/eventually.ts'
import { openFaulty } from '../support/failing-log.ts'
import { contentAfterReopen, contentOf } from '../support/log-content.ts'
import { type Failure, failureOf, failureWith } from '../support/rejection.ts'
import { beforeNext, SimulatedLog, type SimulatedThread } from './simulated-threads.ts'

const REOPEN = { segmentBytes: 1 << 20, syncMethod: 'fdatasync' } as const
const LARGE = 'x'.repeat(300 * 1024)

test('a refused resume never leads to a segment number that threads hold open', async () => {
  const { log, faults, directory } = await openFaulty({}, 0)
  const producer = log.connect()
  for (let index = 0; index < 3; index++) producer.commitSync({ payload: LARGE })
  const known = log.stats().segmentSequence + 1
  await eventually('the next segment is there', () => existsSync(join(directory, segmentFile(known))))
  faults.fail('write-frame', { code: 'EIO' })
  // This thread opens the segment that it rotates to, and keeps it open.
  await failureWith('GROUPWAL_COMMIT_FAILED', () => producer.commitSync({ payload: LARGE }))
  assert.is(log.stats().segmentSequence, known)
  faults.fail('write-header', { code: 'EIO' })
  await failureWith('GROUPWAL_RESUME_REFUSED', log.resume())
  await log.resume()
  assert.ok(log.stats().segmentSequence > known, `segment ${log.stats().segmentSequence} after ${known}`)
  const acknowledged = [1, 2].map((index) => producer.commitSync({ payload: `after ${index}` }).lsn)
  assert.equal([...contentOf(log).keys()], [1, 2, 3, ...acknowledged])
  await log.close()
  assert.equal([...(await contentAfterReopen(directory, REOPEN)).keys()], [1, 2, 3, ...acknowledged])
})

for (const fate of ['comes late to tell it', 'dies before it tells it'] as const) {
  test(`a record whose write failed is never acknowledged after a resume, when its thread ${fate}`, async () => {
    const log = new SimulatedLog({ slotCount: 2 })
    const [first, second, third, opener] = [log.start(), log.start(), log.start(), log.startOpener()]
    let lsnAfter = 0
    // The frame of `first` is being written when that of `second` fails; then its own write fails, too.
    first.failNextWrite(() => {
      second.failNextWrite()
      assert.is(outcomeOf(second, 'second'), 'indeterminate')
      const { poison } = first.leader.frames
      beforeNext(poison, 'failLog', () => {
        // Its slot says FAILED; nobody was told yet.
        if (fate === 'dies before it tells it') first.die()
        opener.resuming.begin()
        assert.ok(opener.tryResume())
        lsnAfter = third.commit('after')
        if (fate === 'dies before it tells it') throw new Error('died')
      })
    })
    if (fate === 'dies before it tells it') {
      assert.throws(() => first.commit('first'), 'died')
    } else {
      assert.is(outcomeOf(first, 'first'), 'indeterminate')
    }
    const { phases } = third.context
    assert.is(phases.phase(), PHASE_OPEN, 'the log was resumed after all failures')
    assert.is(third.context.control.durableLsn(), lsnAfter)
    const failure = await failureOf(() => third.flush(1))
    assert.is(failure.code, 'GROUPWAL_COMMIT_FAILED')
    assert.is(failure.outcome, 'indeterminate')
    // What comes after is committed as ever.
    assert.is(third.commit('still'), lsnAfter + 1)
    assert.equal([...(await log.contentAfterReopen()).values()], ['after', 'still'])
  })
}

test('a late failure does not fail a log that was resumed since', () => {
  const log = new SimulatedLog({ slotCount: 2 })
  const [late, other, opener] = [log.start(), log.start(), log.startOpener()]
  late.failNextWrite(() => {
    beforeNext(late.leader.frames.poison, 'failLog', () => {
      // Somebody else finds the FAILED slot and tells it for the one who is late.
      other.watch.lookForDead()
      opener.resuming.begin()
      assert.ok(opener.tryResume())
    })
  })
  assert.is(outcomeOf(late, 'failed'), 'indeterminate')
  assert.is(other.context.phases.phase(), PHASE_OPEN)
  assert.is(outcomeOf(other, 'after'), 'durable')
  assert.is(outcomeOf(late, 'after'), 'durable')
})

test('resume() waits for the keeper to give up the segment that it has half made', async () => {
  const segmentBytes = 4 << 20
  const log = new SimulatedLog({ segmentBytes })
  const [producer, opener] = [log.start(), log.startOpener()]
  const { port1, port2 } = new MessageChannel()
  runKeeper(log.handle, port1)
  const { control, keeper, clients } = producer.context
  // The keeper's thread is this one, which the other clients do not know: for them it lives.
  assert.not.equal(clients.threadOf(keeper.keeperClient()), 0)
  const payloads: string[] = []
  const commitNext = async (): Promise<void> => {
    // The keeper is in this thread: a commit that asked it for room would wait in vain.
    await eventually('there is room', () => {
      const end = control.writeOffset() + (1 << 18)
      return end <= keeper.zeroedTo(control.segmentSequence()) || keeper.readyState() === READY_PREPARED
    })
    const payload = String(payloads.length).padEnd(200_000, '.')
    producer.commit(payload)
    payloads.push(payload)
  }
  // Sooner or later the keeper begins to make the next segment.
  while (!readdirSync(log.directory).some(isTemporarySegment)) {
    if (payloads.length < 15) await commitNext()
    await turns(1)
  }
  assert.is(keeper.readyState(), READY_NONE)
  producer.failNextWrite()
  assert.is(outcomeOf(producer, 'fails'), 'indeterminate')
  opener.resuming.begin()
  let attempts = 0
  while (!opener.tryResume()) {
    attempts++
    await turns(1)
  }
  assert.ok(attempts > 0, 'the half-made segment is left to the keeper')
  // Far enough to rotate to the segment that the keeper makes next.
  for (let index = 0; index < 25; index++) await commitNext()
  control.stopWorkers()
  await eventually('the keeper has ended', () => clients.threadOf(keeper.keeperClient()) === 0)
  port2.close()
  assert.equal([...(await log.contentAfterReopen()).values()], payloads)
})

for (const end of ['resume()', 'close()'] as const) {
  test(`${end} of a failed log settles a frame that a thread which lives on was cut off in`, () => {
    const log = new SimulatedLog({ slotCount: 2 })
    const [cut, other, opener] = [log.start(), log.start(), log.startOpener()]
    cut.abandonInWrite('cut off')
    other.failNextWrite()
    // Still on its stack, as far as the others see.
    assert.is(outcomeOf(other, 'fails'), 'indeterminate')
    cut.idle()
    if (end === 'resume()') {
      opener.resuming.begin()
      assert.ok(opener.tryResume(), 'resumed')
      assert.is(outcomeOf(other, 'after'), 'durable')
      assert.is(outcomeOf(cut, 'after'), 'durable')
    } else {
      assert.ok(opener.closing.begin())
      assert.ok(opener.closing.tryFinish(), 'closed')
      assert.is(opener.context.phases.phase(), PHASE_CLOSED)
    }
  })
}

test("'failed' is emitted once per failure, also when a resume is refused in between", async () => {
  const { log, faults } = await openFaulty({}, 0)
  const producer = log.connect()
  let told = 0
  log.on('failed', () => told++)
  faults.fail('write-frame', { code: 'EIO' })
  await failureWith('GROUPWAL_COMMIT_FAILED', producer.commit({ payload: 'fails' }))
  await eventually('it is told', () => told > 0)
  for (let attempt = 0; attempt < 3; attempt++) {
    faults.fail('write-header', { code: 'EIO' })
    await failureWith('GROUPWAL_RESUME_REFUSED', log.resume())
    await turns(20)
  }
  assert.is(told, 1)
  await log.resume()
  assert.is((await producer.commit({ payload: 'kept' })).durable, true)
  faults.fail('write-frame', { code: 'EIO' })
  await failureWith('GROUPWAL_COMMIT_FAILED', producer.commit({ payload: 'fails' }))
  await eventually('the next failure is told', () => told === 2)
  await log.close()
})

function outcomeOf(thread: SimulatedThread, payload: string): string {
  try {
    thread.commit(payload)
    return 'durable'
  } catch (error) {
    return String((error as Failure).outcome)
  }
}

function segmentFile(sequence: number): string {
  return `wal-${String(sequence).padStart(20, '0')}.seg`
}

function isTemporarySegment(name: string): boolean {
  return name.startsWith('wal-') && name.endsWith('.tmp')
}

/** Lets everything happen that waits for a turn of the event loop. */
async function turns(count: number): Promise<void> {
  for (let index = 0; index < count; index++) await new Promise((resolve) => setImmediate(resolve))
}

test.run()
