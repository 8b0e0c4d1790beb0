// @timeout 120
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually } from '../support/eventually.ts'
import { checkFailure, closeAll, errorOf, openFaulty, rejectionOf } from '../support/failing-log.ts'
import { untilNextSegmentReady } from '../support/keeper-rest.ts'
import { contentAfterReopen, crashImageOf } from '../support/log-content.ts'
import { endLeftovers, type FlatError } from '../support/scripted-producer.ts'

test.after.each(endLeftovers)

test('a fence that fails leaves the log failed, and resume() can be called again', async () => {
  for (const operation of ['write-header', 'sync-header', 'rename', 'sync-directory'] as const) {
    const { log, faults, producers, directory } = await openFaulty({}, 1)
    const [producer] = producers
    await producer.commitSync('acknowledged')
    faults.fail('write-frame', { code: 'ENOSPC' })
    await producer.commitSync('failed')
    faults.fail(operation, { code: 'ENOSPC' }, { times: 1e6 })
    for (let attempt = 0; attempt < 2; attempt++) {
      const refusal = await rejectionOf(log.resume())
      assert.is(refusal.code, 'GROUPWAL_RESUME_REFUSED', operation)
      assert.is(refusal.causeCode, 'ENOSPC', operation)
      checkFailure(errorOf(await producer.commitSync('still failed')), 'not-written', 'ENOSPC')
      assert.is(log.durableLsn, 1)
      assert.ok(log.lastCommitFailed)
      assert.is([...(await contentAfterReopen(crashImageOf(directory))).values()][0], 'acknowledged')
    }
    faults.clear(operation)
    await log.resume()
    assert.is((await producer.commitSync('resumed')).error, undefined)
    await closeAll(log, producers)
    assert.equal([...(await contentAfterReopen(directory)).values()], ['acknowledged', 'resumed'], operation)
  }
})

test('resume() waits for a write that is under way, and what that makes durable stays', async () => {
  const { log, faults, producers, directory } = await openFaulty({ stagingSlots: 2 }, 2)
  const hold = faults.hold('write-frame')
  const slow = producers[0].commitSync('slow')
  await hold.reached()
  faults.fail('write-frame', { code: 'EIO' })
  checkFailure(errorOf(await producers[1].commitSync('failed')), 'indeterminate', 'EIO')
  let isResumed = false
  const resumed = log.resume().then(() => {
    isResumed = true
  })
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.not(isResumed)
  hold.release()
  assert.is((await slow).error, undefined)
  await resumed
  assert.is((await producers[1].commitSync('kept')).error, undefined)
  await closeAll(log, producers)
  assert.equal([...(await contentAfterReopen(directory)).values()], ['slow', 'kept'])
})

test('resume() of a log that has not failed, or is closed, is refused', async () => {
  const { log, producers } = await openFaulty({}, 1)
  await producers[0].commitSync('kept')
  const refusal = await rejectionOf(log.resume())
  assert.is(refusal.code, 'GROUPWAL_RESUME_REFUSED')
  assert.is((await producers[0].commitSync('kept')).error, undefined)
  await closeAll(log, producers)
  assert.is((await rejectionOf(log.resume())).code, 'GROUPWAL_CLOSED')
})

test('the 65th resume() is refused, and nothing acknowledged is lost', async () => {
  const { log, faults, producers, directory } = await openFaulty({}, 1)
  const [producer] = producers
  const kept: string[] = []
  for (let round = 0; round < 65; round++) {
    faults.fail('write-frame', { code: 'EIO' })
    checkFailure(errorOf(await producer.commitSync('failed')), 'indeterminate', 'EIO')
    if (round === 64) break
    await log.resume()
    kept.push(`kept ${round}`)
    assert.is((await producer.commitSync(`kept ${round}`)).error, undefined)
  }
  const refusal = await rejectionOf(log.resume())
  assert.is(refusal.code, 'GROUPWAL_RESUME_REFUSED')
  assert.match(refusal.message, 'reopen')
  checkFailure(errorOf(await producer.commitSync('refused')), 'not-written', 'EIO')
  await closeAll(log, producers)
  assert.equal([...(await contentAfterReopen(directory)).values()], kept)
})

test('no room for the next segment: what waits in the ring is not written, and resume() goes on', async () => {
  const { log, faults, producers, directory } = await openFaulty({}, 1)
  const [producer] = producers
  const large = 'x'.repeat(300 * 1024)
  faults.fail('write-other', { code: 'ENOSPC' }, { times: 1e6 })
  faults.fail('write-header', { code: 'ENOSPC' }, { times: 1e6 })
  let acknowledged = 0
  let failure: FlatError | undefined
  while (failure === undefined) {
    const { value, error } = await producer.commitSync(large)
    if (value !== undefined) acknowledged++
    failure = error
  }
  checkFailure(failure, 'not-written', 'ENOSPC')
  assert.is(log.durableLsn, acknowledged)
  const refusal = await rejectionOf(log.resume())
  assert.is(refusal.causeCode, 'ENOSPC')
  faults.clear('write-other')
  faults.clear('write-header')
  await log.resume()
  assert.is((await producer.commitSync('resumed')).error, undefined)
  await closeAll(log, producers)
  const content = [...(await contentAfterReopen(directory)).values()]
  assert.is(content.length, acknowledged + 1)
  assert.is(content.at(-1), 'resumed')
})

test('a leader that cannot open the segment it rotated to fails what it staged as not written', async () => {
  const { log, faults, producers, directory } = await openFaulty({}, 1)
  const [producer] = producers
  const large = 'x'.repeat(300 * 1024)
  const { segmentSequence } = log.stats()
  for (let index = 0; index < 3; index++) await producer.commitSync(large)
  await untilNextSegmentReady(log)
  faults.fail('open', { code: 'EMFILE' }, { times: 1e6 })
  const failure = errorOf(await producer.commitSync(large))
  checkFailure(failure, 'not-written', 'EMFILE')
  assert.is(log.stats().segmentSequence, segmentSequence + 1)
  faults.clear('open')
  await log.resume()
  assert.is((await producer.commitSync('resumed')).error, undefined)
  await closeAll(log, producers)
  assert.equal([...(await contentAfterReopen(directory)).values()], [large, large, large, 'resumed'])
})

test('a thread that cannot open the segment is served by the committer', async () => {
  const { log, faults, producers } = await openFaulty({}, 2)
  // Nobody waits for it, so that nobody else leads: behind a commit its own thread may, while the committer starts.
  await producers[0].append('opens it in the committer')
  await eventually('the committer has led', () => log.durableLsn === 1)
  faults.fail('open', { code: 'EMFILE' }, { times: 1e6 })
  for (let index = 0; index < 3; index++) {
    assert.is((await producers[1].commitSync('served')).error, undefined)
  }
  faults.clear('open')
  await closeAll(log, producers)
})

test.run()
