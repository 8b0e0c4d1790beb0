import { randomBytes } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Log, openLog, type RecordInput } from '../../src/index.ts'
import { type Failure, failureOf } from '../support/rejection.ts'
import { openSmallLog, textsOf } from '../support/small-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

/** What a record may be at most: a batch of its own, less its header. */
const HEADER_BYTES = 24
const MIB = 1 << 20

/** The failure of each call that takes a record, made with one that must be refused. */
async function refusals(log: Log, record: RecordInput): Promise<Failure[]> {
  using producer = log.connect()
  const good = { payload: 'good' }
  const calls: (() => unknown)[] = [
    () => producer.commitSync(record),
    () => producer.commit(record),
    () => producer.append(record),
    () => producer.tryAppend(record),
    () => producer.commitBatchSync([good, record, good]),
    () => producer.commitBatch([good, record, good]),
  ]
  return Promise.all(calls.map((call) => failureOf(call)))
}

test('a payload over the limit is a RangeError that names the limit and the options that raise it', async () => {
  const log = await openSmallLog({ maxBatchBytes: 65536 })
  const limit = 65536 - HEADER_BYTES
  for (const payload of [Buffer.alloc(limit + 1), 'x'.repeat(limit + 1), Buffer.alloc(10 * MIB)]) {
    for (const failure of await refusals(log, { payload })) {
      assert.instance(failure, RangeError)
      assert.match(failure.message, `${payload.length} bytes`)
      assert.match(failure.message, `${limit}`)
      assert.match(failure.message, 'maxBatchBytes')
    }
  }
  await log.close()
})

test('a payload over the limit harms nothing that is in flight, before or behind it', async () => {
  const log = await openSmallLog({ maxBatchBytes: 65536 })
  const producer = log.connect()
  const other = log.connect()
  const payload = Buffer.alloc(65536)
  const results = await Promise.allSettled([
    producer.commit({ payload: 'before' }),
    other.commit({ payload: 'of another' }),
    producer.commit({ payload }),
    producer.commitBatch([{ payload: 'with it' }, { payload }]),
    producer.commit({ payload: 'behind' }),
  ])
  assert.equal(
    results.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected', 'rejected', 'fulfilled'],
  )
  assert.equal(textsOf(log), ['before', 'of another', 'behind'])
  assert.not(log.lastCommitFailed)
  await log.close()
})

test('the largest payload is taken by every call, alone and in a batch, and read back', async () => {
  const log = await openSmallLog({ maxBatchBytes: 65536 })
  const producer = log.connect()
  const payload = randomBytes(65536 - HEADER_BYTES)
  producer.commitSync({ payload })
  await producer.commit({ payload })
  producer.append({ payload })
  assert.is(producer.tryAppend({ payload }), 4)
  producer.commitBatchSync([{ payload }])
  await producer.commitBatch([{ payload }])
  const read = Array.from(log.read())
  assert.is(read.length, 6)
  for (const record of read) assert.ok(payload.equals(record.payload))
  await log.close()
})

test('the largest payload of the default options is a MiB less a header', async () => {
  const log = await openLog(temporaryDirectory(), { segmentBytes: 2 * MIB })
  const producer = log.connect()
  const payload = randomBytes(MIB - HEADER_BYTES)
  for (let round = 0; round < 5; round++) producer.commitSync({ payload })
  assert.instance(await failureOf(() => producer.commitSync({ payload: Buffer.alloc(MIB) })), RangeError)
  for (const record of log.read()) assert.ok(payload.equals(record.payload))
  await log.close()
})

test('the largest payload that ring and segment allow is half the ring, or a segment less its head', async () => {
  for (const [options, limit] of [
    [{ ringBytes: 4096 }, 2048 - HEADER_BYTES],
    [{ ringBytes: 4 * MIB }, MIB - 65536 - 128 - HEADER_BYTES],
  ] as const) {
    const log = await openSmallLog(options)
    const producer = log.connect()
    const payload = randomBytes(limit)
    producer.commitSync({ payload })
    await producer.commit({ payload })
    const failure = await failureOf(() => producer.commitSync({ payload: Buffer.alloc(limit + 1) }))
    assert.match(failure.message, `${limit}`)
    for (const record of log.read()) assert.ok(payload.equals(record.payload))
    await log.close()
  }
})

test('a batch that does not fit into one frame is a RangeError, and none of it is written', async () => {
  const log = await openSmallLog({ maxBatchBytes: 65536 })
  const producer = log.connect()
  const fits = Array.from({ length: 2048 }, () => ({ payload: '8 bytes!' }))
  for (const call of [
    () => producer.commitBatchSync([...fits, { payload: '' }]),
    () => producer.commitBatch([...fits, { payload: '' }]),
  ]) {
    const failure = await failureOf(call)
    assert.instance(failure, RangeError)
    assert.match(failure.message, '65536')
    assert.match(failure.message, 'maxBatchBytes')
  }
  assert.equal(producer.commitBatchSync(fits), { firstLsn: 1, lastLsn: 2048, durable: true })
  await log.close()
})

test('a payload of no bytes is a record like any other', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  producer.commitSync({ payload: '' })
  await producer.commit({ payload: new Uint8Array() })
  await producer.commitBatch([{ payload: Buffer.alloc(0) }, { payload: '' }])
  producer.append({ payload: 'not empty' })
  producer.flushSync()
  assert.equal(textsOf(log), ['', '', '', '', 'not empty'])
  const { directory } = log
  await log.close()
  const again = await openLog(directory, { segmentBytes: MIB })
  assert.equal(textsOf(again), ['', '', '', '', 'not empty'])
  await again.close()
})

for (const [field, limit] of [
  ['recordType', 0xffff],
  ['tenantId', 0xffffffff],
  ['vshardId', 0xffff],
] as const) {
  test(`${field} out of range, negative, fractional or NaN is a RangeError that names it, the value and the limit`, async () => {
    const log = await openSmallLog()
    const wrong = [limit + 1, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32, 2 ** 53, -(2 ** 31)]
    for (const value of wrong) {
      for (const failure of await refusals(log, { payload: 'x', [field]: value })) {
        assert.instance(failure, RangeError, `${value}`)
        assert.match(failure.message, field)
        assert.match(failure.message, `${limit}`)
        assert.match(failure.message, String(value))
      }
    }
    for (const value of ['1', null, 1n, {}, [1], true, new Date()]) {
      for (const failure of await refusals(log, { payload: 'x', [field]: value as unknown as number })) {
        assert.instance(failure, TypeError, typeof value)
        assert.match(failure.message, field)
      }
    }
    assert.is(log.connect().commitSync({ payload: 'first' }).lsn, 1)
    await log.close()
  })
}

test('a payload that is neither bytes nor text is a TypeError that says what it is', async () => {
  const log = await openSmallLog()
  const wrong: [unknown, string][] = [
    [undefined, 'undefined'],
    [null, 'null'],
    [42, '42'],
    [{}, 'Object'],
    [[1, 2], 'Array'],
    [new ArrayBuffer(8), 'ArrayBuffer'],
    [new SharedArrayBuffer(8), 'SharedArrayBuffer'],
    [new DataView(new ArrayBuffer(8)), 'DataView'],
    [new Uint16Array(4), 'Uint16Array'],
    [new Int8Array(4), 'Int8Array'],
    [new Uint8ClampedArray(4), 'Uint8ClampedArray'],
    [Symbol('x'), 'symbol'],
    [() => {}, 'function'],
    [Object.create(null), 'object'],
    [new String('boxed'), 'String'],
  ]
  for (const [payload, name] of wrong) {
    for (const failure of await refusals(log, { payload: payload as string })) {
      assert.instance(failure, TypeError, name)
      assert.match(failure.message, name)
    }
  }
  await log.close()
})

test('a record that is no object, and records that are no array, are TypeErrors', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  for (const wrong of [undefined, null, 'payload', 1, Symbol('x')]) {
    for (const failure of await refusals(log, wrong as unknown as RecordInput)) {
      assert.instance(failure, TypeError, String(wrong))
    }
    assert.instance(await failureOf(() => producer.commitBatchSync(wrong as unknown as [])), TypeError)
    assert.instance(await failureOf(producer.commitBatch(wrong as unknown as [])), TypeError)
  }
  for (const call of [() => producer.commitBatchSync([]), () => producer.commitBatch([])]) {
    assert.instance(await failureOf(call), RangeError)
  }
  assert.instance(await failureOf(() => producer.commitBatchSync({ length: 0 } as unknown as [])), TypeError)
  await log.close()
})

test('bytes whose buffer was given away or shrunk are a TypeError, not an empty payload', async () => {
  const log = await openSmallLog()
  const detached = new Uint8Array(8)
  structuredClone(detached.buffer, { transfer: [detached.buffer] })
  const resizable: ResizableBuffer = Reflect.construct(ArrayBuffer, [8, { maxByteLength: 8 }])
  const outOfBounds = new Uint8Array(resizable, 4, 4)
  resizable.resize(4)
  for (const payload of [detached, outOfBounds]) {
    assert.is(payload.length, 0)
    for (const failure of await refusals(log, { payload })) {
      assert.instance(failure, TypeError)
      assert.match(failure.message, 'detached')
    }
  }
  assert.is(log.durableLsn, 0)
  await log.close()
})

test('what is refused takes no LSN, breaks nothing, and says nothing of the content', async () => {
  const log = await openSmallLog({ maxBatchBytes: 4096 })
  const secret = 'secret'.repeat(1000)
  const wrong: unknown[] = [
    { payload: secret },
    { payload: { secret } },
    { payload: [secret] },
    { payload: 'x', tenantId: secret },
  ]
  for (const record of wrong) {
    for (const failure of await refusals(log, record as RecordInput)) {
      assert.not.match(failure.message, 'secretsecret')
    }
  }
  assert.is(log.connect().commitSync({ payload: 'first' }).lsn, 1)
  assert.is(log.stats().pendingRecords, 0)
  assert.is(log.stats().noops, 0)
  await log.close()
})

interface ResizableBuffer extends ArrayBuffer {
  resize(length: number): void
}

test.run()
