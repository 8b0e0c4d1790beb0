import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, type LogHandle } from '../../src/index.ts'
import { eventually } from '../support/eventually.ts'
import { openFiles } from '../support/open-files.ts'
import { failureWith } from '../support/rejection.ts'
import { RemoteProducer } from '../support/remote-producer.ts'
import { skipNow } from '../support/skip.ts'
import { openSmallLog, textsOf } from '../support/small-log.ts'
import oneCommitUrl from './one-commit.worker.ts?url'

test('the handle is all that a thread needs: by workerData, by message, through several threads', async () => {
  const log = await openSmallLog()
  const byWorkerData = new Worker(oneCommitUrl, {
    workerData: { handle: log.handle, payload: 'by workerData' },
  })
  assert.equal(await once(byWorkerData, 'message'), [{ lsn: 1, durable: true }])
  const byMessage = new Worker(oneCommitUrl, { workerData: { payload: 'by message' } })
  byMessage.postMessage({ wrapped: [log.handle] })
  assert.equal(await once(byMessage, 'message'), [{ lsn: 2, durable: true }])
  const producer = connect(passOn(passOn(log.handle)))
  assert.equal(await producer.commit({ payload: 'passed on twice' }), { lsn: 3, durable: true })
  assert.equal(textsOf(log), ['by workerData', 'by message', 'passed on twice'])
  await log.close()
})

test('the handle is plain: it holds no function, survives structuredClone, and cannot be changed', async () => {
  const log = await openSmallLog()
  const { handle } = log
  assert.ok(Object.isFrozen(handle))
  assert.is(Object.getPrototypeOf(handle), Object.prototype)
  assert.not(Object.values(handle).some((value) => typeof value === 'function'))
  const cloned = structuredClone({ ...handle })
  assert.equal(Object.keys(cloned).sort(), Object.keys(handle).sort())
  connect(cloned).close()
  await log.close()
})

test('close() frees the place of a producer; one more than maxProducers is refused, and says what to do', async () => {
  const log = await openSmallLog({ maxProducers: 3 })
  const producers = [log.connect(), log.connect(), connect(log.handle)]
  assert.is(log.stats().producers, 3)
  const { message } = await failureWith('GROUPWAL_TOO_MANY_PRODUCERS', () => log.connect())
  assert.match(message, /\b3\b/)
  assert.match(message, 'maxProducers')
  producers[1].close()
  assert.is(log.stats().producers, 2)
  const next = log.connect()
  assert.is(next.commitSync({ payload: 'in the freed place' }).lsn, 1)
  await failureWith('GROUPWAL_TOO_MANY_PRODUCERS', () => connect(log.handle))
  await log.close()
})

test('producers that connect before the internal workers have started take none of their places', async () => {
  const log = await openSmallLog({ maxProducers: 2 })
  const deaths: string[] = []
  log.on('worker-died', ({ name }) => deaths.push(name))
  const producers = [log.connect(), log.connect()]
  for (let extra = 0; extra < 5; extra++) {
    await failureWith('GROUPWAL_TOO_MANY_PRODUCERS', () => log.connect())
  }
  // Only the committer seals, so it has found its place then.
  producers[0].commitSync({ payload: 'x' })
  await eventually('the committer seals', () => log.stats().seals > 0)
  assert.equal(deaths, [])
  await log.close()
})

test('a producer that is closed twice frees one place', async () => {
  const log = await openSmallLog({ maxProducers: 2 })
  const first = log.connect()
  first.close()
  const second = log.connect()
  const third = log.connect()
  first.close()
  first[Symbol.dispose]()
  assert.is(log.stats().producers, 2)
  assert.is(second.commitSync({ payload: 'x' }).lsn, 1)
  assert.is(third.commitSync({ payload: 'x' }).lsn, 2)
  await log.close()
})

test('after close() every call is refused, and tells that nothing was written', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  producer.commitSync({ payload: 'before' })
  producer.close()
  const calls: (() => unknown)[] = [
    () => producer.commitSync({ payload: 'x' }),
    () => producer.commit({ payload: 'x' }),
    () => producer.commitBatchSync([{ payload: 'x' }]),
    () => producer.commitBatch([{ payload: 'x' }]),
    () => producer.append({ payload: 'x' }),
    () => producer.tryAppend({ payload: 'x' }),
    () => producer.flushSync(),
    () => producer.flush(),
  ]
  for (const call of calls) {
    const failure = await failureWith('GROUPWAL_CLOSED', call)
    assert.is(failure.outcome, 'not-written', String(call))
  }
  assert.is(log.connect().commitSync({ payload: 'after' }).lsn, 2)
  await log.close()
})

test('the end of a block disposes of a producer, and settles what it has pending', async () => {
  const log = await openSmallLog()
  let pending: Promise<unknown>
  {
    using producer = log.connect()
    pending = producer.commit({ payload: 'pending' })
  }
  assert.equal(await pending, { lsn: 1, durable: true })
  await eventually('its place is free', () => log.stats().producers === 0)
  await log.close()
})

test('ten thousand times connect and close leak no place, no file descriptor and no memory', async () => {
  const log = await openSmallLog({ maxProducers: 4 })
  const cycle = async (index: number): Promise<void> => {
    const producer = index % 2 === 0 ? log.connect() : connect(log.handle)
    // Now and then one that works, too: blocking, so that it opens the segment, and with a promise.
    if (index % 100 === 0) producer.commitSync({ payload: 'x' })
    if (index % 200 === 0) await producer.commit({ payload: 'x' })
    producer.close()
  }
  for (let index = 0; index < 2000; index++) await cycle(index)
  const before = { memory: measureMemory(), descriptors: openFiles()?.length, timers: countTimers() }
  for (let index = 0; index < 8000; index++) await cycle(index)
  const after = { memory: measureMemory(), descriptors: openFiles()?.length, timers: countTimers() }
  assert.is(log.stats().producers, 0)
  // A timer that is about to find out that it is of no use any more may be there, and a keeper that fills a file.
  assert.ok(after.timers <= before.timers + 1, `${before.timers} timers became ${after.timers}`)
  const grownBytes = after.memory - before.memory
  assert.ok(grownBytes < 1_000_000, `memory grew by ${grownBytes} bytes`)
  if (before.descriptors === undefined || after.descriptors === undefined) {
    await log.close()
    return skipNow('file descriptors are not counted: there is no /proc')
  }
  assert.ok(
    after.descriptors <= before.descriptors + 2,
    `${before.descriptors} fds became ${after.descriptors}`,
  )
  await log.close()
})

test('a thread that ends with its producer connected is told of, though nobody said that it ended', async () => {
  const log = await openSmallLog()
  const [orderly, dying] = [
    await RemoteProducer.connect(log.handle),
    await RemoteProducer.connect(log.handle),
  ]
  const workerId = dying.worker.threadId
  const deaths: { workerId: number }[] = []
  log.on('producer-died', (death) => deaths.push(death))
  for (const remote of [orderly, dying]) await remote.call('commitSync', { payload: 'x' })
  await orderly.end()
  assert.is(log.stats().producers, 1)
  await dying.worker.terminate()
  if (!existsSync('/proc/self/task')) {
    await log.close()
    return skipNow('deaths of threads are not seen: there is no /proc')
  }
  await eventually('the death is told', () => deaths.length > 0)
  assert.equal(
    deaths.map((death) => death.workerId),
    [workerId],
  )
  assert.is(log.stats().producers, 0)
  // Told once.
  log.noteWorkerExit(workerId)
  assert.is(deaths.length, 1)
  await log.close()
})

test('an end that was meant is no death, however late its event comes', async () => {
  const log = await openSmallLog()
  const remote = await RemoteProducer.connect(log.handle)
  const workerId = remote.worker.threadId
  const deaths: unknown[] = []
  log.on('producer-died', (death) => deaths.push(death))
  remote.worker.once('exit', () => log.noteWorkerExit(workerId, { isExpected: true }))
  // The thread ends while this one is blocked; behind a round of its event loop the timers come first, then the event.
  await new Promise(setImmediate)
  const ended = remote.worker.terminate()
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1200)
  await ended
  await eventually('it is not counted any more', () => log.stats().producers === 0)
  assert.equal(deaths, [])
  await log.close()
})

test('a thread that connects and closes again and again frees its places, too', async () => {
  const log = await openSmallLog({ maxProducers: 1 })
  for (let round = 0; round < 5; round++) {
    const remote = await RemoteProducer.connect(log.handle)
    assert.is((await remote.call('commitSync', { payload: `round ${round}` })).lsn, round + 1)
    await remote.end()
  }
  assert.is(log.stats().producers, 0)
  assert.is(log.stats().takeovers, 0)
  await log.close()
})

test('closing a log and its producers frees every file descriptor', async () => {
  const before = openFiles()?.length
  if (before === undefined) return skipNow('there is no /proc')
  for (let round = 0; round < 3; round++) {
    const log = await openSmallLog()
    const producer = log.connect()
    producer.commitSync({ payload: 'x' })
    await producer.commit({ payload: 'x' })
    await log.close()
    producer.close()
  }
  // The lock library, once loaded, keeps what it keeps.
  const log = await openSmallLog()
  const base = openFiles()?.length
  const producer = log.connect()
  producer.commitSync({ payload: 'x' })
  await log.close()
  producer.close()
  assert.ok(openFiles()!.length <= base!, `${base} fds with an open log, ${openFiles()?.length} without`)
})

function passOn(handle: LogHandle): LogHandle {
  const { port1, port2 } = new MessageChannel()
  port1.postMessage(handle)
  const { message } = receiveMessageOnPort(port2) as { message: LogHandle }
  port1.close()
  return message
}

function countTimers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
}

/** What is alive on and off the heap, in bytes. */
function measureMemory(): number {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  for (let round = 0; round < 3; round++) gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

test.run()
