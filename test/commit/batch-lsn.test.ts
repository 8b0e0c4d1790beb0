import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkFailure, closeAll, openFaulty, rejectionOf } from '../support/failing-log.ts'
import type { FaultyOperation } from '../support/faults.ts'

const RECORDS = ['one', 'two', 'three'].map((payload) => ({ payload }))

const FAULTS: readonly [FaultyOperation, string][] = [
  ['write-frame', 'a failed write'],
  ['sync-frame', 'a failed sync'],
]

for (const [operation, name] of FAULTS) {
  test(`${name}: the error of a batch names the LSN of its first record, whether the call blocks or not`, async () => {
    const { log, faults, producers } = await openFaulty({}, 0)
    const producer = log.connect()
    const told: number[] = []
    for (const commit of [
      async () => producer.commitBatchSync(RECORDS),
      () => producer.commitBatch(RECORDS),
    ]) {
      const { lastLsn } = await commit()
      faults.fail(operation, { code: 'EIO' })
      const error = await rejectionOf(commit())
      checkFailure(error, 'indeterminate', 'EIO')
      assert.is(error.lsn, lastLsn + 1)
      told.push(error.lsn!)
      await log.resume()
    }
    // What failed before is told by its own number also to those who ask after the resume.
    for (const lsn of told) assert.is((await rejectionOf(producer.flush(lsn))).lsn, lsn)
    producer.close()
    await closeAll(log, producers)
  })
}

test.run()
