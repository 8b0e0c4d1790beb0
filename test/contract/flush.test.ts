import { cpSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Log, openLog } from '../../src/index.ts'
import { openSmallLog } from '../support/small-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

async function flushFailure(log: Log, lsn: number): Promise<unknown> {
  const producer = log.connect()
  try {
    assert.throws(
      () => producer.flushSync(lsn, { timeoutMs: 1000 }),
      (error: Error) => error instanceof RangeError,
    )
    return await producer.flush(lsn, { timeoutMs: 1000 }).then(
      () => 'durable',
      (error: unknown) => error,
    )
  } finally {
    producer.close()
  }
}

test('an LSN in the gap of an unclean end is never told to be durable, before or after it is passed', async () => {
  const log = await openSmallLog()
  log.connect().commitSync({ payload: 'durable' })
  const copy = temporaryDirectory()
  // Without LOCK: what a machine that stopped now would leave.
  cpSync(log.directory, copy, { recursive: true })
  await log.close()
  const again = await openLog(copy, { segmentBytes: 1 << 20 })
  const { gap } = again.recovery
  assert.ok(gap !== undefined)
  for (const when of ['before', 'after']) {
    for (const lsn of [gap.first, gap.last]) {
      const failure = await flushFailure(again, lsn)
      assert.instance(failure, RangeError, when)
      assert.match((failure as Error).message, `lsn ${lsn} stands for no record`)
    }
    const producer = again.connect()
    // What is durable, or will be, is flushed as ever.
    producer.flushSync(1)
    const { lsn } = producer.commitSync({ payload: when })
    assert.ok(lsn > gap.last)
    await producer.flush(lsn)
    producer.close()
  }
  await again.close()
})

test('an LSN below the first one of a new log is never told to be durable', async () => {
  const log = await openSmallLog({ firstLsn: 1000 })
  assert.instance(await flushFailure(log, 5), RangeError)
  assert.is(log.connect().commitSync({ payload: 'first' }).lsn, 1000)
  assert.instance(await flushFailure(log, 999), RangeError)
  await log.connect().flush(1000)
  await log.close()
})

test.run()
