import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LSN_LIMIT } from '../../src/commit/appender.ts'
import { type Log, openLog } from '../../src/index.ts'
import { failureOf, failureWith } from '../support/rejection.ts'
import { RemoteProducer } from '../support/remote-producer.ts'
import { checkRescues } from '../support/rescues.ts'
import { openSmallLog, textsOf } from '../support/small-log.ts'

const SMALL = { segmentBytes: 1 << 20 }
const P31 = 2 ** 31
const P32 = 2 ** 32

test('the last LSNs below 2^53 are handed out exactly, and then every call says that they are exhausted', async () => {
  const first = LSN_LIMIT - 4
  const log = await openSmallLog({ firstLsn: first })
  const producer = log.connect()
  assert.is(producer.commitSync({ payload: '1' }).lsn, first)
  assert.is((await producer.commit({ payload: '2' })).lsn, first + 1)
  assert.is(producer.append({ payload: '3' }), first + 2)
  await producer.flush()
  assert.is(producer.tryAppend({ payload: '4' }), first + 3)
  producer.flushSync()
  for (const call of [
    () => producer.commitSync({ payload: 'x' }),
    () => producer.commit({ payload: 'x' }),
    () => producer.append({ payload: 'x' }),
    () => producer.tryAppend({ payload: 'x' }),
    () => producer.commitBatchSync([{ payload: 'x' }, { payload: 'y' }]),
    () => producer.commitBatch([{ payload: 'x' }, { payload: 'y' }]),
  ]) {
    const { message } = await failureWith('GROUPWAL_LSN_EXHAUSTED', call)
    assert.match(message, `${LSN_LIMIT}`)
  }
  assert.equal(lsnsOf(log), [first, first + 1, first + 2, first + 3])
  const { directory } = log
  await log.close()
  const again = await openLog(directory, SMALL)
  assert.equal(textsOf(again), ['1', '2', '3', '4'])
  await failureWith('GROUPWAL_LSN_EXHAUSTED', () => again.connect().commitSync({ payload: 'x' }))
  await again.close()
})

test('a batch that reaches over the last LSN is refused as a whole', async () => {
  const log = await openSmallLog({ firstLsn: LSN_LIMIT - 2 })
  const producer = log.connect()
  const batch = [{ payload: '1' }, { payload: '2' }, { payload: '3' }]
  await failureWith('GROUPWAL_LSN_EXHAUSTED', () => producer.commitBatchSync(batch))
  await failureWith('GROUPWAL_LSN_EXHAUSTED', producer.commitBatch(batch))
  assert.equal([...log.read()], [])
  await log.close()
})

test('a log that begins at its end opens, refuses commits, closes, and opens again; none begins behind it', async () => {
  const log = await openSmallLog({ firstLsn: LSN_LIMIT })
  const producer = log.connect()
  for (let round = 0; round < 100; round++) {
    await failureWith('GROUPWAL_LSN_EXHAUSTED', () => producer.commitSync({ payload: 'x' }))
    await failureWith('GROUPWAL_LSN_EXHAUSTED', producer.commit({ payload: 'x' }))
  }
  await log.close()
  await (await openLog(log.directory, SMALL)).close()
  for (const firstLsn of [LSN_LIMIT + 1, Number.MAX_SAFE_INTEGER]) {
    assert.instance(await failureOf(openSmallLog({ firstLsn })), RangeError)
  }
})

test('firstLsn is for a new log only: one that exists goes on where it is', async () => {
  const log = await openSmallLog({ firstLsn: 1000 })
  assert.is(log.connect().commitSync({ payload: 'x' }).lsn, 1000)
  await log.close()
  for (const firstLsn of [1, 5_000_000]) {
    const again = await openLog(log.directory, { ...SMALL, firstLsn })
    assert.is(again.connect().commitSync({ payload: 'x' }).lsn, lsnsOf(again).length + 999)
    await again.close()
  }
})

/** Where the halves of the packed reservation word wrap, each alone and both at once; and numbers far beyond. */
const BEGINNINGS: [firstLsn: number, ringPosition: number][] = [
  [P31 - 100, 0],
  [P32 - 100, 0],
  [1, P31 - 100],
  [1, P32 - 100],
  [P32 - 100, P32 - 100],
  [P31 - 90, P32 - 110],
  [5 * P32 + P31 - 100, P31 - 50],
  [2 ** 52 - 100, P32 - 64],
]

for (const [firstLsn, ringPosition] of BEGINNINGS) {
  test(`sequences and positions wrap without a trace: first LSN ${firstLsn}, ring position ${ringPosition}`, async () => {
    const log = await openSmallLog({ firstLsn, ringPosition, ringBytes: 4096 })
    const producer = log.connect()
    const remote = await RemoteProducer.connect(log.handle)
    const lsns: number[] = []
    const promises: Promise<{ lsn: number }>[] = []
    for (let round = 0; round < 40; round++) {
      promises.push(producer.commit({ payload: 'a promise' }))
      lsns.push(producer.append({ payload: 'appended, and longer than a granule or two'.repeat(2) }))
      const { firstLsn: first, lastLsn } = producer.commitBatchSync([{ payload: 'b1' }, { payload: 'b2' }])
      lsns.push(first, lastLsn)
      // An LSN from before the wrap is durable, and told at once.
      producer.flushSync(lsns[0])
    }
    lsns.push(...(await Promise.all(promises)).map(({ lsn }) => lsn))
    lsns.push((await remote.call('commitSync', { payload: 'of another thread' })).lsn)
    await remote.call('flush', lsns[0])
    lsns.sort((a, b) => a - b)
    assert.equal(
      lsns,
      lsns.map((_, index) => firstLsn + index),
    )
    assert.equal(lsnsOf(log), lsns)
    assert.is(log.durableLsn, lsns.at(-1))
    checkRescues(log.stats().recheckRescues)
    assert.is(log.stats().pendingRecords, 0)
    await remote.end()
    await log.close()
    const again = await openLog(log.directory, SMALL)
    assert.equal(lsnsOf(again), lsns)
    assert.is(again.connect().commitSync({ payload: 'next' }).lsn, lsns.at(-1)! + 1)
    await again.close()
  })
}

function lsnsOf(log: Log): number[] {
  return Array.from(log.read(), ({ lsn }) => lsn)
}

test.run()
