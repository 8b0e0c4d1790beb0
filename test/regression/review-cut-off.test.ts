// What an adversarial review found about threads that die, or whose call is cut off, between two neighbouring steps.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LSN_LIMIT } from '../../src/commit/appender.ts'
import { AsyncCommits } from '../../src/host/async-commits.ts'
import { PENDING_COMMIT, type PendingEntry } from '../../src/host/pending.ts'
import { Producer } from '../../src/host/producer.ts'
import { clearBits } from '../../src/shared/atomics.ts'
import { ASYNC_MASK } from '../../src/shared/layout.ts'
import { PHASE_OPEN, PHASE_SETTLED, VERDICT_NOT_WRITTEN } from '../../src/shared/phase.ts'
import { eventually } from '../support/eventually.ts'
import { openFaulty } from '../support/failing-log.ts'
import { type Failure, failureWith } from '../support/rejection.ts'
import { beforeNext, replaceNext, SimulatedLog } from './simulated-threads.ts'

const EMFILE = 24
const CUT = new Error('the call was cut off')

test('a promise commit that was cut off before its turn began does not hold up those after it', async () => {
  const log = new SimulatedLog()
  let isCut = false
  const monotonicMs = (): number => {
    // Stands for a stack overflow, or a timeout of vm.
    if (isCut) throw CUT
    return performance.now()
  }
  const producer = new Producer(log.start(undefined, { wallMs: Date.now, monotonicMs }).context, 0)
  isCut = true
  const first = producer.commit({ payload: 'cut off' })
  isCut = false
  // It was published: an error that stands for "nothing was written" would be a lie.
  const error = await failureWith('GROUPWAL_ABORTED', first)
  assert.is(error.outcome, 'indeterminate')
  assert.is(error.lsn, 1)
  assert.is(error.cause, CUT)
  const second = producer.commit({ payload: 'after' })
  assert.equal(await settled(second), { lsn: 2, durable: true })
  producer.close()
})

test('a promise is settled also when the call that was at it is cut off', async () => {
  const log = new SimulatedLog()
  const [client, other] = [log.start(), log.start()]
  const producer = new Producer(client.context, 0)
  const { signal } = new AbortController()
  signal.removeEventListener = () => {
    signal.removeEventListener = () => {}
    throw CUT
  }
  const committed = producer.commit({ payload: 'durable' }, { signal })
  assert.ok(other.leader.tryLead())
  // It settles what it finds durable, and never returns from that.
  const flushed = producer.flush().catch((error) => error)
  assert.equal(await settled(committed), { lsn: 1, durable: true })
  assert.is(await flushed, CUT)
  producer.close()
})

test('a flush that waits for queued commits goes on although the call that pushed them was cut off', async () => {
  const log = new SimulatedLog()
  const { context, leader, watch } = log.start()
  const commits = new AsyncCommits(context, leader, watch, 0)
  const batch = { records: [], granules: 0 }
  const queue = (): void => commits.addQueued({ entry: pendingEntry(), batch, publish: () => true })
  let calls = 0
  queue()
  commits.whenPushed(() => {
    calls++
    if (calls === 1) throw CUT
  })
  assert.throws(() => commits.shiftQueued(), CUT.message)
  queue()
  await eventually('the next turn goes on with it', () => calls === 2)
})

test('a flush that was begun by a call that was cut off still tells of the append that failed before', async () => {
  const log = new SimulatedLog()
  const [client, other, opener] = [log.start(), log.start(), log.startOpener()]
  const producer = new Producer(client.context, 0)
  const failedLsn = producer.append({ payload: 'fails' })
  other.failNextWrite()
  assert.ok(other.leader.tryLead())
  opener.resuming.begin()
  assert.ok(opener.tryResume())
  const commits: Promise<unknown>[] = []
  const payload = new Uint8Array(200_000)
  const { counters } = client.context
  while (counters.read('fullRings') === 0) commits.push(producer.commit({ payload }))
  const flushed = failureWith('GROUPWAL_COMMIT_FAILED', producer.flush())
  assert.ok(other.leader.tryLead())
  // Its call begins the flush, since it pushes what that waits for; and is cut off before the flush is registered.
  replaceNext(AsyncCommits.prototype, 'addFlush', () => {
    throw CUT
  })
  assert.throws(() => producer.commitSync({ payload: 'pushes' }), CUT.message)
  await settled(Promise.all(commits))
  const failure = (await settled(flushed)) as Failure
  assert.is(failure.lsn, failedLsn)
  producer.close()
})

test('a frame has the time of its own write from the moment on at which it is being written', () => {
  const log = new SimulatedLog()
  const thread = log.start()
  const { slots, control, clock } = thread.context
  thread.commit('before, in the same slot')
  while (Math.floor(clock.monotonicMs()) === slots.startedMs(0)) {
    // until the clock has moved on
  }
  const frame = control.stagedCount()
  let startedMs = 0
  beforeNext(slots, 'changeState', () => {
    startedMs = slots.startedMs(frame)
  })
  const beforeMs = Math.floor(clock.monotonicMs())
  thread.commit('after')
  assert.ok(startedMs >= beforeMs, `${startedMs} is before ${beforeMs}`)
})

test('a thread that dies as it wakes a promise client does not leave that to its timer for ever', async () => {
  const log = new SimulatedLog()
  const [client, dead, other] = [log.start(), log.start(), log.start()]
  const { clients } = client.context
  const line = client.context.client
  const producer = new Producer(client.context, 0)
  const first = producer.commit({ payload: 'its waker dies' })
  await Promise.resolve()
  replaceNext(dead.context.clients, 'wakeClient', () => {
    clearBits(log.memory.words, ASYNC_MASK + (line >>> 5), 1 << (line & 31))
    throw CUT
  })
  assert.throws(() => dead.leader.tryLead(), CUT.message)
  dead.die()
  assert.is((await first).durable, true)
  const wakeValue = clients.wakeValue(line)
  const second = producer.commit({ payload: 'is woken' })
  await Promise.resolve()
  assert.ok(other.leader.tryLead())
  assert.is.not(clients.wakeValue(line), wakeValue)
  assert.is((await second).durable, true)
  producer.close()
})

test('a failure of the log that its finder died of is told by whoever takes the lock over', () => {
  const log = new SimulatedLog({ slotCount: 2 })
  const [dead, other, opener] = [log.start(), log.start(), log.startOpener()]
  const { phases } = other.context
  const lsn = dead.append('cannot be led')
  const { writer } = dead.context
  writer.openSegment = () => {
    writer.failedCall = 'open'
    writer.failedErrno = EMFILE
    return false
  }
  beforeNext(dead.context.phases, 'changePhase', () => {
    throw CUT
  })
  assert.throws(() => dead.leader.tryLead(), CUT.message)
  dead.die()
  assert.is(phases.phase(), PHASE_OPEN)
  // Else FAILED_FROM would stay below frames that may yet succeed.
  assert.ok(other.watch.lookForDead())
  assert.is(phases.phase(), PHASE_SETTLED)
  assert.is(phases.failureErrno(), EMFILE)
  assert.is(phases.verdictOn(lsn), VERDICT_NOT_WRITTEN)
  opener.resuming.begin()
  assert.ok(opener.tryResume())
  assert.is(other.commit('after'), lsn + 1)
})

test('a seal whose failure is told late does not fail a log that was resumed since', () => {
  const log = new SimulatedLog()
  const [late, other, opener] = [log.start(), log.start(), log.startOpener()]
  const { phases } = other.context
  other.commit('before the seal')
  late.failNextWrite(() => {
    beforeNext(late.leader.frames.poison, 'failLog', () => {
      // As a client does that heals what it left behind. No record stands behind the seal, so that no LSN has failed.
      other.watch.lookForDead()
      opener.resuming.begin()
      assert.ok(opener.tryResume())
    })
  })
  late.leader.trySeal()
  assert.is(phases.phase(), PHASE_OPEN)
  assert.ok(phases.failedFrom() > LSN_LIMIT)
  assert.is(other.commit('after'), 2)
})

test('who comes late upon a failed frame does not take the one that its slot serves since for it', () => {
  const log = new SimulatedLog()
  const [dead, late, other, opener] = [log.start(), log.start(), log.start(), log.startOpener()]
  const { phases } = other.context
  dead.failNextWrite(() => {
    beforeNext(dead.leader.frames.poison, 'failLog', () => {
      throw CUT
    })
  })
  assert.throws(() => dead.commit('fails'), CUT.message)
  dead.die()
  beforeNext(late.leader.frames.poison, 'finishFailure', () => {
    other.watch.lookForDead()
    opener.resuming.begin()
    assert.ok(opener.tryResume())
    assert.is(other.commit('after'), 2)
  })
  late.watch.lookForDead()
  assert.is(phases.phase(), PHASE_OPEN)
  assert.is(late.commit('still'), 3)
})

test("a log that fails again as soon as it was resumed tells that by 'failed', too", async () => {
  const { log, faults } = await openFaulty({}, 0)
  const producer = log.connect()
  let told = 0
  log.on('failed', () => told++)
  faults.fail('write-frame', { code: 'EIO' })
  await failureWith('GROUPWAL_COMMIT_FAILED', () => producer.commitSync({ payload: 'fails' }))
  await eventually('it is told', () => told === 1)
  await log.resume()
  // Still before this thread's next turn of the event loop.
  faults.fail('write-frame', { code: 'EIO' })
  await failureWith('GROUPWAL_COMMIT_FAILED', () => producer.commitSync({ payload: 'fails again' }))
  await eventually('it is told again', () => told === 2)
  await log.close()
})

function pendingEntry(): PendingEntry {
  const settle = (): void => {}
  return {
    kind: PENDING_COMMIT,
    firstLsn: 0,
    lastLsn: 0,
    resolve: settle,
    reject: settle,
    isSettled: false,
    release: undefined,
  }
}

/** Holds the process, which a promise that nobody settles does not. */
async function settled(promise: Promise<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, 2000, 'not settled')
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

test.run()
