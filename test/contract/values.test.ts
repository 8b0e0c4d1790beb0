import { randomBytes } from 'node:crypto'
import { Module } from 'node:module'
import { runInNewContext } from 'node:vm'
import { buildSync } from 'esbuild'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as errors from '../../src/errors.ts'
import { type Log, type OpenOptions, openLog, type RecordInput } from '../../src/index.ts'
import { failureOf, failureWith } from '../support/rejection.ts'
import { openSmallLog, textsOf } from '../support/small-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import secondCopyUrl from './errors.copy.ts?url'

/** Each call that takes a record, made with the given one. */
async function callsWith(
  log: Log,
  record: RecordInput,
  check: (failure: Error, call: string) => void,
): Promise<void> {
  using producer = log.connect()
  const good = { payload: 'good' }
  const calls: [string, () => unknown][] = [
    ['commitSync', () => producer.commitSync(record)],
    ['commit', () => producer.commit(record)],
    ['append', () => producer.append(record)],
    ['tryAppend', () => producer.tryAppend(record)],
    ['commitBatchSync', () => producer.commitBatchSync([good, record])],
    ['commitBatch', () => producer.commitBatch([good, record])],
  ]
  for (const [name, call] of calls) check(await failureOf(call), name)
}

test('a string that is no well-formed UTF-16 is a TypeError: encoding would alter it', async () => {
  const log = await openSmallLog()
  for (const payload of [
    '\ud800',
    'high \udbff without low',
    'low \udc00 first',
    `${'a'.repeat(50_000)}\udfff`,
  ]) {
    await callsWith(log, { payload }, (failure, call) => {
      assert.instance(failure, TypeError, call)
      assert.match(failure.message, 'well-formed')
    })
  }
  assert.is(log.durableLsn, 0)
  await log.close()
})

test('every well-formed string comes back as it was', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  const texts = ['', 'ASCII', 'ümläut', '€ 漢字', '\u{1f600} pair', '\u0000\ufffd\ufeff', '漢'.repeat(60_000)]
  for (const payload of texts) producer.append({ payload })
  producer.commitBatchSync(texts.map((payload) => ({ payload })))
  assert.equal(textsOf(log), [...texts, ...texts])
  await log.close()
})

test("record types of the log's own range are refused, their neighbours taken", async () => {
  const log = await openSmallLog()
  for (const recordType of [0x7f00, 0x7f80, 0x7fff, 0xff00, 0xff42, 0xffff]) {
    await callsWith(log, { payload: 'x', recordType }, (failure, call) => {
      assert.instance(failure, RangeError, call)
      assert.match(failure.message, `0x${recordType.toString(16)} is reserved`)
    })
  }
  const producer = log.connect()
  const taken = [0, 1, 0x7eff, 0x8000, 0x8001, 0xfeff]
  for (const recordType of taken) producer.append({ payload: 'x', recordType })
  await producer.flush()
  assert.equal(
    Array.from(log.read(), ({ recordType }) => recordType),
    taken,
  )
  await log.close()
})

test('what a record says is what is read: defaults, and the largest numbers', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  producer.commitSync({ payload: 'defaults' })
  producer.commitSync({ payload: 'limits', recordType: 0xfeff, tenantId: 0xffffffff, vshardId: 0xffff })
  const [first, second] = log.read()
  assert.equal([first.lsn, first.recordType, first.tenantId, first.vshardId], [1, 0x8001, 0, 0])
  assert.equal(
    [second.lsn, second.recordType, second.tenantId, second.vshardId],
    [2, 0xfeff, 0xffffffff, 0xffff],
  )
  await log.close()
})

test('an option that nobody knows is refused: of openLog, of read, and of each call that waits', async () => {
  for (const name of ['segmentbytes', 'sync', 'durability', '__proto']) {
    const failure = await failureOf(openLog(temporaryDirectory(), { [name]: 1 } as OpenOptions))
    assert.instance(failure, TypeError)
    assert.match(failure.message, JSON.stringify(name))
    assert.match(failure.message, 'segmentBytes')
  }
  const log = await openSmallLog()
  const producer = log.connect()
  const record = { payload: 'x' }
  const timeout = { timeout: 5 } as object
  const signal = { signal: AbortSignal.abort() } as object
  for (const call of [
    () => log.read({ from: 1 } as object),
    () => producer.commit(record, timeout),
    () => producer.commitBatch([record], timeout),
    () => producer.flush(undefined, timeout),
    () => producer.commitSync(record, timeout),
    () => producer.commitBatchSync([record], timeout),
    () => producer.append(record, timeout),
    () => producer.flushSync(undefined, timeout),
    // Only what does not block can be aborted.
    () => producer.commitSync(record, signal),
    () => producer.commitSync(record, 5 as unknown as object),
    () => producer.commit(record, null as unknown as object),
  ]) {
    assert.instance(await failureOf(call), TypeError, String(call))
  }
  assert.is(producer.commitSync(record).lsn, 1)
  await log.close()
})

test('bytes are known by what they are, not by their class: those of another realm are taken', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  const foreign: Uint8Array = runInNewContext('new Uint8Array([1, 2, 3])')
  assert.not.instance(foreign, Uint8Array)
  const foreignView: Uint8Array = runInNewContext('new Uint8Array([9, 4, 5, 9]).subarray(1, 3)')
  class OwnBytes extends Uint8Array {}
  const taken = [
    foreign,
    foreignView,
    new OwnBytes([6]),
    Buffer.from([7]),
    new Uint8Array(new SharedArrayBuffer(2)),
  ]
  for (const payload of taken) producer.append({ payload })
  await producer.commitBatch(taken.map((payload) => ({ payload })))
  const expected = [[1, 2, 3], [4, 5], [6], [7], [0, 0]]
  assert.equal(
    Array.from(log.read(), ({ payload }) => [...payload]),
    [...expected, ...expected],
  )
  // What only claims to be bytes is not.
  const impostor = Object.create(Uint8Array.prototype)
  const tagged = { length: 1, 0: 1, [Symbol.toStringTag]: 'Uint8Array' }
  for (const payload of [impostor, tagged]) {
    await callsWith(log, { payload }, (failure, call) => assert.instance(failure, TypeError, call))
  }
  await log.close()
})

test('random bytes of every length up to a few granules come back as they were', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  const payloads = Array.from({ length: 300 }, (_, length) => randomBytes(length))
  await Promise.all(payloads.map((payload) => producer.commit({ payload })))
  const read = [...log.read()]
  for (const [index, payload] of payloads.entries())
    assert.ok(payload.equals(read[index].payload), `${index} bytes`)
  await log.close()
})

test('GroupWalError.is knows errors by their brand, from an ESM copy and from a CommonJS copy', async () => {
  const copies = { here: errors, esm: await loadEsmCopy(), cjs: loadCjsCopy() }
  assert.is.not(copies.esm.GroupWalError, copies.here.GroupWalError)
  assert.is.not(copies.cjs.GroupWalError, copies.here.GroupWalError)
  for (const [from, { CommitFailedError, GroupWalError }] of Object.entries(copies)) {
    const made = [
      new GroupWalError('GROUPWAL_IO', 'io'),
      new CommitFailedError('failed', { outcome: 'indeterminate', lsn: 7 }),
    ]
    for (const [by, copy] of Object.entries(copies)) {
      for (const error of made)
        assert.ok(copy.GroupWalError.is(error), `an error made by ${from}, asked ${by}`)
    }
    assert.equal([made[1].name, made[1].code], ['CommitFailedError', 'GROUPWAL_COMMIT_FAILED'])
  }
})

test('GroupWalError.is is false for everything else', () => {
  const { GroupWalError } = errors
  const lookalike = Object.assign(new Error('io'), { name: 'GroupWalError', code: 'GROUPWAL_IO' })
  for (const value of [
    undefined,
    null,
    'GROUPWAL_IO',
    1,
    {},
    new Error(),
    new TypeError(),
    lookalike,
    GroupWalError,
  ]) {
    assert.not(GroupWalError.is(value), String(value))
  }
})

test('the brand is not seen when an error is printed or listed, and what it says is', async () => {
  const log = await openSmallLog({ maxProducers: 1 })
  log.connect()
  const failure = await failureWith('GROUPWAL_TOO_MANY_PRODUCERS', () => log.connect())
  assert.equal(Object.keys(failure).sort(), ['code', 'name'])
  assert.equal(Object.getOwnPropertySymbols(failure).length, 1)
  assert.match(String(failure), /^GroupWalError: /)
  await log.close()
})

async function loadEsmCopy(): Promise<typeof errors> {
  return (await import(secondCopyUrl.href)) as typeof errors
}

function loadCjsCopy(): typeof errors {
  const { outputFiles } = buildSync({ entryPoints: ['src/errors.ts'], format: 'cjs', write: false })
  const module = new Module('errors.cjs') as Module & { _compile(code: string, name: string): void }
  module._compile(outputFiles[0].text, '/errors.cjs')
  return module.exports as typeof errors
}

test.run()
