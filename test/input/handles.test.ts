import { createContext } from 'node:vm'
import { MessageChannel, moveMessagePortToContext, receiveMessageOnPort } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, type LogHandle, openLog } from '../../src/index.ts'
import { failureOf, failureWith } from '../support/rejection.ts'
import { openSmallLog, textsOf } from '../support/small-log.ts'
import { withoutWasmMemory } from '../support/without-wasm-memory.ts'

test('what is no handle at all is refused, and the error says what would be one', async () => {
  const log = await openSmallLog()
  for (const wrong of [null, {}, 'handle', 1, [], () => {}, log, log.directory, new Date(), log.connect()]) {
    const { message } = await failureWith('GROUPWAL_INVALID_HANDLE', () => connect(wrong as LogHandle))
    assert.match(message, 'log.handle')
  }
  await log.close()
})

test('connect() without a handle, outside of a producer pool, is refused', async () => {
  const { message } = await failureWith('GROUPWAL_INVALID_HANDLE', () => connect())
  assert.match(message, 'handle')
})

test('the handle of another process is refused, and named so', async () => {
  const log = await openSmallLog()
  const foreign = { ...log.handle, pid: process.pid + 1 }
  const { message } = await failureWith('GROUPWAL_INVALID_HANDLE', () => connect(foreign))
  assert.match(message, `process ${process.pid + 1}`)
  assert.match(message, 'one owning process')
  await log.close()
})

test('a handle that went through JSON has lost its memory, and is refused', async () => {
  const log = await openSmallLog()
  const parsed = JSON.parse(JSON.stringify(log.handle)) as LogHandle
  const { message } = await failureWith('GROUPWAL_INVALID_HANDLE', () => connect(parsed))
  assert.match(message, 'shared memory')
  await log.close()
})

test('a handle with any damaged field is refused, and harms the log in no way', async () => {
  const log = await openSmallLog()
  const memories = {
    'no memory': undefined,
    'memory that is not shared': new ArrayBuffer(1 << 20),
    'no bytes': new SharedArrayBuffer(0),
    'too few bytes': new SharedArrayBuffer(32),
    'bytes of something else': new SharedArrayBuffer(1 << 20),
    'a beginning without its end': copyOfStart(log.handle, 65536),
    'an object with a buffer that is not shared': { buffer: new ArrayBuffer(1 << 20) },
    'what looks like a memory': { buffer: sharedBufferOf(log.handle) },
    'a number': 7,
  }
  for (const [what, region] of Object.entries(memories)) await refuses(what, { region })
  for (const field of [
    'groupwal',
    'pid',
    'directory',
    'syncMethod',
    'logId',
    'maxOutstandingRecords',
    'sealIdleMs',
    'ownLeadMicros',
  ] as const) {
    for (const value of [undefined, null, {}, -1, Number.NaN])
      await refuses(`${field}: ${value}`, { [field]: value })
  }
  await refuses('another version', { groupwal: 2 })
  await refuses('an unknown sync method', { syncMethod: 'pray' })
  await refuses('a log id that is too short', { logId: new Uint8Array(3) })
  await refuses('a relative directory', { directory: 'data' })
  await refuses('a file system that is none', { fileSystem: 'fs' })
  assert.is(log.stats().producers, 0)
  assert.is(connect(log.handle).commitSync({ payload: 'x' }).lsn, 1)
  assert.not(log.lastCommitFailed)
  await log.close()

  async function refuses(what: string, change: object): Promise<void> {
    const failure = await failureOf(() => connect({ ...log.handle, ...change } as LogHandle))
    assert.is(failure.code, 'GROUPWAL_INVALID_HANDLE', `${what}: ${failure.stack}`)
  }
})

test('the handle of a log that was closed is refused, also when the log is open again', async () => {
  const first = await openSmallLog()
  const { handle } = first
  await first.close()
  await failureWith('GROUPWAL_CLOSED', () => connect(handle))
  const second = await openLog(first.directory, { segmentBytes: 1 << 20 })
  await failureWith('GROUPWAL_CLOSED', () => connect(handle))
  assert.is(connect(second.handle).commitSync({ payload: 'x' }).lsn, 1)
  await second.close()
})

for (const kind of ['aligned memory', 'a plain SharedArrayBuffer'] as const) {
  test(`a handle on ${kind} that was received in another realm serves as well`, async () => {
    const log = await (kind === 'aligned memory' ? openSmallLog() : withoutWasmMemory(() => openSmallLog()))
    assert.is(log.stats().alignedMemory, kind === 'aligned memory')
    const handle = receivedElsewhere(log.handle)
    assert.not.instance(handle, Object)
    const producer = connect(handle)
    assert.is(producer.commitSync({ payload: 'blocking' }).lsn, 1)
    assert.is((await producer.commit({ payload: 'a promise' })).lsn, 2)
    assert.equal(textsOf(log), ['blocking', 'a promise'])
    await log.close()
  })
}

/** As test runners with a realm of their own for each file receive it. */
function receivedElsewhere(handle: LogHandle): LogHandle {
  const { port1, port2 } = new MessageChannel()
  const moved = moveMessagePortToContext(port2, createContext())
  port1.postMessage(handle)
  const { message } = receiveMessageOnPort(moved) as { message: LogHandle }
  port1.close()
  return message
}

/** The first bytes of a log's memory: all words that say what it is are right. */
function copyOfStart(handle: LogHandle, bytes: number): SharedArrayBuffer {
  const copy = new SharedArrayBuffer(bytes)
  new Uint8Array(copy).set(new Uint8Array(sharedBufferOf(handle), 0, bytes))
  return copy
}

function sharedBufferOf({ region }: LogHandle): SharedArrayBuffer {
  return region instanceof SharedArrayBuffer ? region : (region.buffer as SharedArrayBuffer)
}

test.run()
