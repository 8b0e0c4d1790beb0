// Defect (c) of the original: an error while appending left without setting the flag: oversized records were told Ok,
// innocent ones the error, and acknowledged records were not in the file.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually } from '../support/eventually.ts'
import { checkFailure, closeAll, errorOf, openFaulty } from '../support/failing-log.ts'
import { contentAfterReopen } from '../support/log-content.ts'
import { endLeftovers } from '../support/scripted-producer.ts'

test.after.each(endLeftovers)

test('an oversized record is refused, and harms no other record that is on its way', async () => {
  const { log, faults, producers, directory } = await openFaulty({ maxBatchBytes: 4096 }, 3)
  const [leader, follower, offender] = producers
  const inHost = log.connect()
  const hold = faults.hold('sync-frame')
  const led = leader.commitSync('led')
  await hold.reached()
  const followed = follower.commitSync('followed')
  const promised = inHost.commit({ payload: 'promised' })
  await eventually('all are published', () => log.stats().pendingRecords === 3)
  const oversized = 'x'.repeat(5000)
  for (const call of [
    offender.commitSync(oversized),
    offender.commit(oversized),
    offender.append(oversized),
  ]) {
    const error = errorOf(await call)
    assert.is(error.name, 'RangeError')
    assert.match(error.message, 'maxBatchBytes')
  }
  assert.is(errorOf(await offender.commitBatchSync(['x'.repeat(2500), 'x'.repeat(2500)])).name, 'RangeError')
  hold.release()
  assert.is((await led).error, undefined)
  assert.is((await followed).error, undefined)
  assert.is((await promised).durable, true)
  assert.not(log.lastCommitFailed)
  assert.is((await offender.commitSync('next')).value?.lsn, 4)
  inHost.close()
  await closeAll(log, producers)
  const payloads = [...(await contentAfterReopen(directory)).values()]
  assert.equal(payloads.sort(), ['followed', 'led', 'next', 'promised'])
})

test('a batch that could not be appended to the file is told to all of its members, and only to them', async () => {
  const { log, faults, producers, directory } = await openFaulty({}, 3)
  const [leader, ...followers] = producers
  assert.is((await leader.commitSync('before')).error, undefined)
  const hold = faults.hold('write-frame')
  const led = leader.commitSync('led')
  await hold.reached()
  const followed = followers.map((follower) => follower.commitSync('followed'))
  await eventually('all are published', () => log.stats().pendingRecords === 3)
  hold.release({ short: 100 })
  checkFailure(errorOf(await led), 'indeterminate', 'SHORT_WRITE')
  for (const call of followed) checkFailure(errorOf(await call), 'not-written', 'SHORT_WRITE')
  assert.ok(log.lastCommitFailed)
  assert.is(log.durableLsn, 1)
  await closeAll(log, producers)
  assert.equal([...(await contentAfterReopen(directory)).values()], ['before'])
})

test.run()
