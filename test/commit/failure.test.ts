// @timeout 120
import { once } from 'node:events'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Log, type OpenOptions, openLog } from '../../src/index.ts'
import { eventually } from '../support/eventually.ts'
import { checkFailure, closeAll, ended, errorOf, failedInHost, openFaulty } from '../support/failing-log.ts'
import type { FaultResult, Faults, FaultyOperation } from '../support/faults.ts'
import { contentAfterReopen, contentOf, crashImageOf } from '../support/log-content.ts'
import { type Ended, endLeftovers, ScriptedProducer } from '../support/scripted-producer.ts'
import { StepTraps } from '../support/step-traps.ts'

test.after.each(endLeftovers)

interface Fault {
  name: string
  operation: FaultyOperation
  result: FaultResult
  /** Code of the error's cause. */
  causeCode: string
}

const FAULTS: readonly Fault[] = [
  { name: 'a short write', operation: 'write-frame', result: { short: 512 }, causeCode: 'SHORT_WRITE' },
  { name: 'a write of nothing', operation: 'write-frame', result: { short: 0 }, causeCode: 'SHORT_WRITE' },
  { name: 'EIO on write', operation: 'write-frame', result: { code: 'EIO' }, causeCode: 'EIO' },
  { name: 'ENOSPC on write', operation: 'write-frame', result: { code: 'ENOSPC' }, causeCode: 'ENOSPC' },
  {
    name: 'EIO on a write that reached the disk',
    operation: 'write-frame',
    result: { code: 'EIO', after: true },
    causeCode: 'EIO',
  },
  { name: 'EIO on sync', operation: 'sync-frame', result: { code: 'EIO' }, causeCode: 'EIO' },
  {
    name: 'EIO on a sync that reached the disk',
    operation: 'sync-frame',
    result: { code: 'EIO', after: true },
    causeCode: 'EIO',
  },
  { name: 'ENOSPC on sync', operation: 'sync-frame', result: { code: 'ENOSPC' }, causeCode: 'ENOSPC' },
]

const SETTINGS: readonly OpenOptions[] = [
  { stagingSlots: 1, syncMethod: 'fdatasync' },
  { stagingSlots: 2, syncMethod: 'fdatasync' },
  { stagingSlots: 1, syncMethod: 'dsync' },
  { stagingSlots: 2, syncMethod: 'direct' },
]

for (const options of SETTINGS) {
  const { stagingSlots, syncMethod } = options
  test(`${syncMethod}, ${stagingSlots} slots: after every fault each waiter is told its own outcome, and resume() goes on`, async () => {
    const { log, faults, producers, directory } = await openFaulty(options, 5)
    for (const fault of FAULTS) {
      if (syncMethod === 'dsync' && fault.operation === 'sync-frame') continue
      try {
        await failAndResume(fault, log, faults, producers, stagingSlots!)
      } catch (error) {
        ;(error as Error).message += ` (${fault.name})`
        throw error
      }
    }
    const expected = contentOf(log)
    await closeAll(log, producers)
    const reopened = await contentAfterReopen(directory)
    assert.equal(reopened, expected)
    assert.ok([...reopened.values()].every((text) => text === 'acknowledged' || text === 'resumed'))
  })
}

async function failAndResume(
  fault: Fault,
  log: Log,
  faults: Faults,
  producers: ScriptedProducer[],
  stagingSlots: number,
): Promise<void> {
  const inHost = log.connect()
  const { lsn: durableLsn } = (await producers[0].commitSync('acknowledged')).value!

  // As many frames as there are slots are being written; everything else waits in the ring.
  const hold = faults.hold(fault.operation, 'before', { times: stagingSlots })
  const written: Promise<Ended<unknown>>[] = []
  for (let slot = 0; slot < stagingSlots; slot++) {
    written.push(producers[slot].commitSync(`in flight ${slot}`))
    await hold.reached(slot + 1)
  }
  const waiting: Promise<Ended<unknown>>[] = [
    producers[2].commitSync('in the ring'),
    producers[3].commitBatchSync(['in the ring', 'in the ring', 'in the ring']),
    producers[4].append('in the ring').then(() => producers[4].flushSync()),
    inHost.commit({ payload: 'in the ring' }).then(ended, failedInHost),
    inHost.commitBatch([{ payload: 'in the ring' }, { payload: 'in the ring' }]).then(ended, failedInHost),
    inHost.flush().then(ended, failedInHost),
  ]
  const pending = stagingSlots + 8
  await eventually('all are published', () => log.stats().pendingRecords === pending)
  const writes = faults.calls('write-frame')
  const before = log.stats()
  const told = once(log, 'failed')
  hold.release(fault.result)

  for (const [slot, error] of (await Promise.all(written)).map(errorOf).entries()) {
    checkFailure(error, 'indeterminate', fault.causeCode)
    assert.is(error.lsn, durableLsn + 1 + slot)
  }
  const lsns = new Set<number>()
  for (const error of (await Promise.all(waiting)).map(errorOf)) {
    checkFailure(error, 'not-written', fault.causeCode)
    lsns.add(error.lsn!)
  }
  // The host's flush speaks of its last record, everybody else of the first.
  assert.is(lsns.size, 6)
  assert.ok(Math.min(...lsns) > durableLsn + stagingSlots && Math.max(...lsns) <= durableLsn + pending)

  await told
  await checkFailed(log, producers, fault.causeCode, durableLsn)
  assert.is(faults.calls('write-frame'), writes, 'nothing is retried')
  await log.resume()
  await checkResumed(log, producers, durableLsn + pending)
  assert.is(log.stats().failures, before.failures + 1)
  assert.is(log.stats().resumes, before.resumes + 1)
  inHost.close()
}

/** A failed log takes nothing, says so in every thread, and its durable LSN stands still. */
async function checkFailed(
  log: Log,
  producers: ScriptedProducer[],
  causeCode: string,
  durableLsn: number,
): Promise<void> {
  assert.is(log.durableLsn, durableLsn)
  assert.ok(log.lastCommitFailed)
  for (const producer of producers) {
    assert.is((await producer.get('lastCommitFailed')).value, true)
    assert.is((await producer.get('durableLsn')).value, durableLsn)
    for (const attempt of [
      producer.commitSync('later'),
      producer.commit('later'),
      producer.append('later'),
    ]) {
      const error = errorOf(await attempt)
      checkFailure(error, 'not-written', causeCode)
      assert.is(error.lsn, undefined)
    }
  }
  assert.is(log.durableLsn, durableLsn)
}

/** A resumed log takes records from every thread, with LSNs that were never handed out before. */
async function checkResumed(log: Log, producers: ScriptedProducer[], highestLsn: number): Promise<void> {
  const results = await Promise.all(
    producers.flatMap((producer) => [producer.commitSync('resumed'), producer.commit('resumed')]),
  )
  const lsns = results.map(({ value, error }) => {
    if (error !== undefined) throw new Error(error.stack)
    return value.lsn
  })
  assert.ok(Math.min(...lsns) > highestLsn, `${lsns} are all above ${highestLsn}`)
  assert.is(new Set(lsns).size, lsns.length)
  assert.not(log.lastCommitFailed)
  assert.is(log.durableLsn, Math.max(...lsns))
}

test('with two slots, a frame that was written before the failed one is acknowledged although it ends later', async () => {
  const { log, faults, producers, directory } = await openFaulty({ stagingSlots: 2 }, 3)
  const first = faults.hold('sync-frame')
  const second = faults.hold('sync-frame', 'before', { nth: 2 })
  const early = producers[0].commitSync('first')
  await first.reached()
  const late = producers[1].commitSync('second')
  await second.reached()
  second.release({ code: 'EIO' })
  checkFailure(errorOf(await late), 'indeterminate', 'EIO')
  assert.ok(log.lastCommitFailed)
  first.release()
  assert.equal((await early).value, { lsn: 1, durable: true })
  assert.is(log.durableLsn, 1)
  assert.ok(log.lastCommitFailed, 'the log is failed, whatever ended last')
  await log.resume()
  assert.is((await producers[2].commitSync('third')).value?.lsn, 3)
  await closeAll(log, producers)
  assert.equal(
    [...(await contentAfterReopen(directory)).entries()],
    [
      [1, 'first'],
      [3, 'third'],
    ],
  )
})

test('with two slots, a frame behind the failed one is never acknowledged although its own sync succeeds', async () => {
  const { log, faults, producers, directory } = await openFaulty({ stagingSlots: 2 }, 3)
  const first = faults.hold('sync-frame')
  const second = faults.hold('sync-frame', 'before', { nth: 2 })
  const early = producers[0].commitSync('first')
  await first.reached()
  const late = producers[1].commitSync('second')
  await second.reached()
  second.release()
  await eventually('the second is synced', () => log.stats().syncs === 1)
  assert.is(log.durableLsn, 0, 'publication is in order')
  first.release({ code: 'EIO' })
  checkFailure(errorOf(await early), 'indeterminate', 'EIO')
  checkFailure(errorOf(await late), 'indeterminate', 'EIO')
  assert.is(log.durableLsn, 0)
  await log.resume()
  assert.is((await producers[2].commitSync('third')).value?.lsn, 3)
  await closeAll(log, producers)
  assert.equal([...(await contentAfterReopen(directory)).entries()], [[3, 'third']])
})

test('until resume() an indeterminate record may come back after a crash, one that was not written may not', async () => {
  const { log, faults, producers, directory } = await openFaulty({}, 2)
  await producers[0].commitSync('acknowledged')
  const hold = faults.hold('sync-frame')
  const written = producers[0].commitSync('indeterminate')
  await hold.reached()
  const waiting = producers[1].commitSync('not written')
  await eventually('both are published', () => log.stats().pendingRecords === 2)
  hold.release({ code: 'EIO' })
  checkFailure(errorOf(await written), 'indeterminate', 'EIO')
  checkFailure(errorOf(await waiting), 'not-written', 'EIO')

  const before = await contentAfterReopen(crashImageOf(directory))
  assert.equal([...before.values()].slice(0, 1), ['acknowledged'])
  assert.not([...before.values()].includes('not written'))
  await log.resume()
  assert.equal([...(await contentAfterReopen(crashImageOf(directory))).values()], ['acknowledged'])
  await closeAll(log, producers)
  assert.equal([...(await contentAfterReopen(directory)).values()], ['acknowledged'])
})

test('a failed log that is closed without resume() opens again with everything acknowledged', async () => {
  const { log, faults, producers, directory } = await openFaulty({}, 1)
  await producers[0].commitSync('acknowledged')
  faults.fail('write-frame', { code: 'EIO' })
  const failed = errorOf(await producers[0].commitSync('failed'))
  await closeAll(log, producers)
  const again = await openLog(directory)
  assert.equal([...contentOf(again).values()], ['acknowledged'])
  const next = again.connect().commitSync({ payload: 'next' })
  assert.ok(next.lsn > failed.lsn!, 'the failed LSN is not handed out again')
  await again.close()
})

for (const method of ['flushSync', 'flush'] as const) {
  test(`${method} tells of an append that failed before a resume(), and the next one does not`, async () => {
    const { log, faults, producers } = await openFaulty({}, 1)
    faults.fail('write-frame', { code: 'EIO' })
    const [producer] = producers
    const lsn = (await producer.append('lost')).value!
    await eventually('it failed', () => log.lastCommitFailed)
    await log.resume()
    await producer.append('kept')
    const error = errorOf(await producer[method]())
    checkFailure(error, 'indeterminate', undefined)
    assert.is(error.lsn, lsn)
    assert.is((await producer[method]()).error, undefined)
    assert.equal([...contentOf(log).values()], ['kept'])
    await closeAll(log, producers)
  })
}

test('a verdict is final: after resume() and more commits a failed LSN still counts as failed', async () => {
  const { log, faults, producers } = await openFaulty({}, 2)
  const verdicts: [number, string][] = []
  for (let round = 0; round < 3; round++) {
    const hold = faults.hold('write-frame')
    const written = producers[0].commitSync('failed')
    await hold.reached()
    const waiting = producers[1].commitSync('failed')
    await eventually('both are published', () => log.stats().pendingRecords === 2)
    hold.release({ code: 'EIO' })
    for (const error of (await Promise.all([written, waiting])).map(errorOf)) {
      verdicts.push([error.lsn!, error.outcome!])
    }
    await log.resume()
    assert.is((await producers[0].commitSync('kept')).error, undefined)
    for (const [lsn, outcome] of verdicts) {
      assert.ok(lsn < log.durableLsn)
      for (const producer of producers) {
        const error = errorOf(await producer.flushSync(lsn))
        assert.is(error.outcome, outcome)
        assert.is(error.lsn, lsn)
      }
    }
  }
  await closeAll(log, producers)
})

test('a follower of a failed batch never returns durable, however late it wakes', async () => {
  const { log, faults, producers } = await openFaulty({}, 1)
  const traps = new StepTraps()
  const follower = await ScriptedProducer.start(log, { traps })
  // Stopped on its way back from a wait that nobody ended yet, or from the one that the failure itself ends.
  for (const isLate of [false, true]) {
    const hold = faults.hold('sync-frame')
    const written = producers[0].commitSync('written')
    await hold.reached()
    const followed = follower.commitSync('followed')
    await eventually('it is published', () => log.stats().pendingRecords === 2)
    let isEnded = false
    void followed.then(() => {
      isEnded = true
    })
    traps.arm(1, 'hold', isLate ? 'timedOut' : 'woken')
    if (isLate) await eventually('the follower is stopped', () => traps.isHeld)
    hold.release({ code: 'EIO' })
    checkFailure(errorOf(await written), 'indeterminate', 'EIO')
    await log.resume()
    for (let index = 0; index < 5; index++) {
      assert.is((await producers[0].commitSync('later')).error, undefined)
    }
    await eventually('the follower is stopped, or was not waiting', () => traps.isHeld || isEnded)
    traps.release()
    checkFailure(errorOf(await followed), 'not-written', undefined)
  }
  await closeAll(log, [...producers, follower])
})

test('a follower of a durable batch returns durable, however late it wakes after a failure', async () => {
  for (const isResumed of [false, true]) {
    const { log, faults, producers } = await openFaulty({}, 1)
    const traps = new StepTraps()
    const follower = await ScriptedProducer.start(log, { traps })
    const hold = faults.hold('sync-frame')
    const written = producers[0].commitSync('written')
    await hold.reached()
    // Stopped in its wait, its record already published: the leader's next batch takes it along.
    traps.arm(1, 'hold', 'timedOut')
    const followed = follower.commitSync('followed')
    await eventually('the follower is stopped', () => traps.isHeld)
    hold.release()
    assert.is((await written).error, undefined)
    const { lsn } = (await producers[0].commitSync('takes it along')).value!
    faults.fail('sync-frame', { code: 'EIO' })
    checkFailure(errorOf(await producers[0].commitSync('failed')), 'indeterminate', 'EIO')
    if (isResumed) await log.resume()
    traps.release()
    assert.equal((await followed).value, { lsn: lsn - 1, durable: true })
    await closeAll(log, [...producers, follower])
  }
})

test.run()
