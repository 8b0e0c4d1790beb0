// What an adversarial review of close() found.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openLog } from '../../src/index.ts'
import {
  PHASE_CLOSED,
  VERDICT_ABANDONED,
  VERDICT_CLOSED,
  VERDICT_DURABLE,
  VERDICT_NOT_WRITTEN,
} from '../../src/shared/phase.ts'
import { eventually } from '../support/eventually.ts'
import { errorOf, openFaulty } from '../support/failing-log.ts'
import { contentAfterReopen } from '../support/log-content.ts'
import { causeCode, type Failure, failureOf, failureWith } from '../support/rejection.ts'
import { beforeNext, SimulatedLog, type SimulatedThread } from './simulated-threads.ts'

const REOPEN = { segmentBytes: 1 << 20, syncMethod: 'fdatasync' } as const
const LARGE = 'x'.repeat(100 * 1024)

test('close({ timeoutMs }) tells nobody not-written about a record that a leader is staging', async () => {
  const log = new SimulatedLog()
  const [leader, asker, opener] = [log.start(), log.start(), log.startOpener()]
  let told = -1
  beforeNext(leader.context.ring, 'copyOut', () => {
    assert.ok(opener.closing.begin())
    assert.not(opener.closing.tryFinish())
    // The deadline has passed, and passes again.
    opener.closing.abandon()
    opener.closing.abandon()
    told = asker.context.phases.verdictOn(1)
  })
  const outcome = outcomeOf(leader, 'staged meanwhile')
  assert.is.not(told, -1)
  const isOnDisk = (await log.contentAfterReopen()).has(1)
  if (outcome === 'durable') assert.ok(isOnDisk)
  if (isOnDisk) assert.not([VERDICT_CLOSED, VERDICT_NOT_WRITTEN].includes(told), `verdict ${told} was told`)
  assert.ok(opener.closing.abandon(), 'closed as soon as the lock is free')
})

test('close({ timeoutMs }) calls a staged record indeterminate, and it stays unwritten or becomes durable', async () => {
  const log = new SimulatedLog()
  const [leader, opener] = [log.start(), log.startOpener()]
  // Staged, the lock released, the write not begun.
  beforeNext(leader.leader.frames, 'writeStaged', () => {
    assert.ok(opener.closing.begin())
    assert.ok(opener.closing.abandon())
  })
  assert.is(outcomeOf(leader, 'staged'), 'indeterminate')
  assert.ok(opener.closing.hasComeToRest())
  // Nothing is written once the directory may be free.
  assert.is((await log.contentAfterReopen()).size, 0)
})

for (const fate of ['dies', 'is cut off'] as const) {
  test(`after close({ timeoutMs }) the directory is freed also when the thread that writes ${fate}`, async () => {
    const log = new SimulatedLog()
    const [writer, opener] = [log.start(), log.startOpener()]
    writer.abandonInWrite('in its write')
    assert.ok(opener.closing.begin())
    assert.not(opener.closing.tryFinish())
    assert.ok(opener.closing.abandon())
    assert.not(opener.closing.hasComeToRest())
    const told = opener.context.phases.verdictOn(1)
    if (fate === 'dies') writer.die()
    else writer.idle()
    assert.ok(opener.closing.hasComeToRest())
    assert.is(told, VERDICT_ABANDONED)
    assert.is(opener.context.phases.verdictOn(1), told)
    assert.is((await log.contentAfterReopen()).size, 0)
  })
}

test('after close({ timeoutMs }) a frame that fails does not make that not-written which is being written behind it', async () => {
  const { log, faults, directory, producers } = await openFaulty({ stagingSlots: 2 }, 2)
  const failing = faults.hold('sync-frame')
  const first = producers[0].commitSync('its bytes are there')
  await failing.reached()
  const writing = faults.hold('write-frame', 'after')
  const second = producers[1].commitSync('behind it')
  await writing.reached()
  await failureWith('GROUPWAL_TIMEOUT', log.close({ timeoutMs: 1 }))
  failing.release({ code: 'EIO' })
  assert.is(errorOf(await first).outcome, 'indeterminate')
  writing.release()
  const told = errorOf(await second)
  await Promise.all(producers.map((producer) => producer.close()))
  await untilUnlocked(directory)
  const content = await contentAfterReopen(directory, REOPEN)
  assert.equal([...content.values()], ['its bytes are there', 'behind it'])
  assert.is(told.outcome, 'indeterminate', told.message)
})

test('a failed log is not closed while a leader is staging a record that it would write later', async () => {
  const log = new SimulatedLog({ slotCount: 2 })
  const [dead, leader, other, opener] = [log.start(), log.start(), log.start(), log.startOpener()]
  dead.abandonInWrite('frame of the dead')
  dead.die()
  let told = -1
  beforeNext(leader.context.ring, 'copyOut', () => {
    // The frame of the dead reaches the disk, and fails nevertheless.
    other.failNextWrite()
    other.watch.lookForDead()
    assert.ok(opener.closing.begin())
    opener.closing.tryFinish()
    told = other.context.phases.verdictOn(2)
  })
  assert.is.not(outcomeOf(leader, 'staged meanwhile'), 'durable')
  assert.is.not(told, -1)
  assert.is.not(told, VERDICT_DURABLE)
  assert.ok(opener.closing.tryFinish())
  assert.is(opener.context.phases.phase(), PHASE_CLOSED)
  // The first was told to be indeterminate, the second not to be written.
  assert.is(other.context.phases.verdictOn(2), VERDICT_NOT_WRITTEN)
  assert.not((await log.contentAfterReopen()).has(2))
})

test('close({ timeoutMs }) during a resume closes the log for good, and the resume is refused', async () => {
  const { log, faults, directory } = await openFaulty({ segmentBytes: 8 << 20 }, 0)
  const producer = log.connect()
  // The keeper is at work on the next segment, so that resume() has to wait; by then this one is filled to its end,
  // so that no commit waits for the keeper.
  const held = faults.hold('rename')
  const kept: number[] = []
  while (kept.length < 25) kept.push((await producer.commit({ payload: LARGE })).lsn)
  await held.reached()
  faults.fail('write-frame', { code: 'EIO' })
  await failureWith('GROUPWAL_COMMIT_FAILED', () => producer.commitSync({ payload: 'failed' }))
  const resumed = failureOf(log.resume())
  await failureWith('GROUPWAL_TIMEOUT', log.close({ timeoutMs: 1 }))
  await failureWith('GROUPWAL_CLOSED', () => producer.commitSync({ payload: 'refused' }))
  held.release()
  assert.is((await resumed).code, 'GROUPWAL_RESUME_REFUSED')
  await failureWith('GROUPWAL_CLOSED', () => producer.commitSync({ payload: 'still refused' }))
  await untilUnlocked(directory)
  assert.equal([...(await contentAfterReopen(directory, REOPEN)).keys()], kept)
})

test('close() of a log whose segment cannot be opened ends, says why, and loses nothing acknowledged', async () => {
  const { log, faults, directory, producers } = await openFaulty({}, 1)
  await producers[0].commitSync('kept')
  await producers[0].close()
  faults.fail('open', { code: 'EMFILE' }, { times: 1e6 })
  const failure = await failureWith('GROUPWAL_IO', within(5000, log.close()))
  assert.is(causeCode(failure), 'EMFILE')
  faults.clear('open')
  assert.equal([...(await contentAfterReopen(directory, REOPEN)).values()], ['kept'])
})

test("a failure that close() is the first to find is told by 'failed': the log did not end in order", async () => {
  const { log, faults, directory } = await openFaulty({ sealIdleMs: 1 }, 0)
  const told: Failure[] = []
  log.on('failed', (failure) => told.push(failure))
  const held = faults.hold('write-frame', 'before', { nth: 2 })
  log.connect().commitSync({ payload: 'kept' })
  // The committer is at the idle seal, and no record waits for it.
  await held.reached()
  held.release({ code: 'EIO' })
  // This thread never comes back to its event loop before it closes.
  while (log.stats().failures === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
  const closed = log.close()
  assert.equal(told, [], 'a listener may call close()')
  await closed
  assert.equal([told.length, told[0]!.code, causeCode(told[0]!)], [1, 'GROUPWAL_COMMIT_FAILED', 'EIO'])
  const reopened = await openLog(directory, REOPEN)
  assert.is.not(reopened.recovery.gap, undefined)
  await reopened.close()
})

test("'failed' is told once, also when its listener calls close()", async () => {
  const { log, faults } = await openFaulty({}, 0)
  let told = 0
  const closed = new Promise<void>((resolve) => {
    log.on('failed', () => {
      told++
      resolve(log.close())
    })
  })
  faults.fail('write-frame', { code: 'EIO' })
  await failureWith('GROUPWAL_COMMIT_FAILED', log.connect().commit({ payload: 'failed' }))
  await closed
  assert.is(told, 1)
})

test("a listener for 'failed' that throws is called again when the resumed log fails", async () => {
  const { log, faults } = await openFaulty({}, 0)
  const producer = log.connect()
  let told = 0
  const thrown: unknown[] = []
  const onThrown = (error: unknown): void => void thrown.push(error)
  process.on('unhandledRejection', onThrown)
  try {
    log.on('failed', () => {
      throw told++
    })
    for (let failures = 1; failures <= 2; failures++) {
      faults.fail('write-frame', { code: 'EIO' })
      await failureWith('GROUPWAL_COMMIT_FAILED', producer.commit({ payload: 'failed' }))
      await eventually('it is told', () => told === failures && thrown.length === failures)
      await log.resume()
    }
  } finally {
    process.off('unhandledRejection', onThrown)
  }
  producer.close()
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

/** The directory is freed behind the back of a close() that gave up waiting. */
async function untilUnlocked(directory: string): Promise<void> {
  for (;;) {
    try {
      const log = await openLog(directory, REOPEN)
      await log.close()
      return
    } catch (error) {
      if ((error as Failure).code !== 'GROUPWAL_LOCKED') throw error
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

/** The promise, or an error when it is not settled in time. */
async function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not settled within ${limitMs} ms`)), limitMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

test.run()
