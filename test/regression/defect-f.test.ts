// Defect (f) of the original: after a failed fsync a retry returned Ok without syncing anything: the kernel had marked
// the pages clean, and acknowledged records were lost ("fsyncgate").

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkFailure, closeAll, errorOf, openFaulty } from '../support/failing-log.ts'
import { contentAfterReopen } from '../support/log-content.ts'
import { endLeftovers } from '../support/scripted-producer.ts'

test.after.each(endLeftovers)

for (const syncMethod of ['fdatasync', 'fsync', 'direct'] as const) {
  test(`${syncMethod}: after a failed sync nothing is acknowledged, and nothing is written or synced again`, async () => {
    const { log, faults, producers, directory } = await openFaulty({ syncMethod, stagingSlots: 2 }, 3)
    assert.is((await producers[0].commitSync('acknowledged')).error, undefined)
    const { segmentSequence } = log.stats()
    // Only this one sync fails: each later one would say that all is well.
    faults.fail('sync-frame', { code: 'EIO' })
    checkFailure(errorOf(await producers[0].commitSync('failed')), 'indeterminate', 'EIO')
    const writes = faults.calls('write-frame')
    const syncs = faults.calls('sync-frame')
    assert.is(writes, 2)
    assert.is(syncs, 2)
    for (const producer of producers) {
      checkFailure(errorOf(await producer.commitSync('later')), 'not-written', 'EIO')
      checkFailure(errorOf(await producer.commit('later')), 'not-written', 'EIO')
      checkFailure(errorOf(await producer.flushSync(2)), 'indeterminate', 'EIO')
    }
    assert.is(log.durableLsn, 1)
    assert.is(faults.calls('write-frame'), writes)
    assert.is(faults.calls('sync-frame'), syncs)

    await log.resume()
    assert.ok(log.stats().segmentSequence > segmentSequence, 'it goes on in another file')
    assert.is((await producers[1].commitSync('resumed')).error, undefined)
    checkFailure(errorOf(await producers[0].flushSync(2)), 'indeterminate', 'EIO')
    await closeAll(log, producers)
    assert.equal([...(await contentAfterReopen(directory)).values()], ['acknowledged', 'resumed'])
  })
}

test.run()
