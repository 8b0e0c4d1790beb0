import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, type LogHandle, openLog, type Producer } from '../../src/index.ts'
import { Gate } from '../support/gate.ts'
import { causeCode, failureWith } from '../support/rejection.ts'
import { RemoteProducer } from '../support/remote-producer.ts'
import { checkRescues } from '../support/rescues.ts'
import { openSmallLog, textsOf } from '../support/small-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import deserterUrl from './deserter.worker.ts?url'
import lonelyUrl from './lonely.worker.ts?url'
import openAndLeaveUrl from './open-and-leave.child.ts?url'
import ownerUrl from './owner.worker.ts?url'
import sequenceUrl from './sequence.worker.ts?url'

test('a pending commit keeps its thread alive until it is settled; an idle producer does not', async () => {
  const gate = new Gate()
  const log = await openSmallLog({ fileSystem: gate.fileSystem })
  gate.shut()
  const producer = log.connect()
  producer.append({ payload: 'held' })
  await gate.untilHeld(1)
  const pending = new Worker(lonelyUrl, { workerData: { handle: log.handle, does: 'commit' } })
  const settled = once(pending, 'message')
  await once(pending, 'online')
  // Those that have nothing pending end by themselves. Each begins when the one before has ended: so the first
  // worker, whose commit the disk does not answer, has had all the time to end, too.
  for (const does of ['connect only', 'commit, then idle']) {
    if (does === 'commit, then idle') gate.open()
    const idle = new Worker(lonelyUrl, { workerData: { handle: log.handle, does } })
    assert.equal(await once(idle, 'exit'), [0], does)
  }
  const [result] = await settled
  assert.ok(result.durable)
  await log.close()
})

test('promise commits of a worker settle while the event loop of the host stands still', async () => {
  const log = await openSmallLog()
  const done = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(sequenceUrl, { workerData: { handle: log.handle, done, commitCount: 200 } })
  await once(worker, 'message')
  worker.postMessage('go')
  // Nothing runs in this thread until the worker says that all of its commits are settled.
  assert.is(Atomics.wait(done, 0, 0, 30_000), 'ok')
  assert.is(Atomics.load(done, 0), 200)
  assert.is(log.durableLsn, 200)
  checkRescues(log.stats().recheckRescues)
  await once(worker, 'exit')
  await log.close()
})

test('promise commits of a worker settle while the host waits over a change of segments', async () => {
  const log = await openSmallLog()
  const done = new Int32Array(new SharedArrayBuffer(4))
  const payload = 'p'.repeat(300_000)
  const worker = new Worker(sequenceUrl, {
    workerData: { handle: log.handle, done, commitCount: 20, payload },
  })
  await once(worker, 'message')
  worker.postMessage('go')
  assert.is(Atomics.wait(done, 0, 0, 30_000), 'ok')
  assert.ok(log.stats().rotations >= 4, `${log.stats().rotations} changes of segments`)
  await once(worker, 'exit')
  await log.close()
})

test('a worker may open the log, too: its handle serves everywhere, the host thread included', async () => {
  const directory = temporaryDirectory()
  const owner = new Worker(ownerUrl, { workerData: directory })
  const [handle] = (await once(owner, 'message')) as [LogHandle]
  const producer = connect(handle)
  assert.is(producer.commitSync({ payload: 'blocking' }).lsn, 1)
  assert.is((await producer.commit({ payload: 'a promise' })).lsn, 2)
  const remote = await RemoteProducer.connect(handle)
  assert.is((await remote.call('commit', { payload: 'of a third thread' })).lsn, 3)
  await remote.end()
  owner.postMessage('close')
  assert.equal(await once(owner, 'exit'), [0])
  await failureWith('GROUPWAL_CLOSED', producer.commit({ payload: 'too late' }))
  producer.close()
  const log = await openLog(directory, { segmentBytes: 1 << 20 })
  assert.equal(textsOf(log), ['blocking', 'a promise', 'of a third thread'])
  await log.close()
})

test('a worker that opened a log stays until it is closed; should it end all the same, the others go on', async () => {
  const directory = temporaryDirectory()
  const owner = new Worker(deserterUrl, { workerData: directory })
  let hasEnded = false
  const ended = once(owner, 'exit').then(() => {
    hasEnded = true
  })
  const [handle] = (await once(owner, 'message')) as [LogHandle]
  // Another thread lives its whole life meanwhile.
  const remote = await RemoteProducer.connect(handle)
  assert.is((await remote.call('commit', { payload: 'of another' })).lsn, 2)
  await remote.end()
  assert.not(hasEnded)
  owner.postMessage('end')
  await ended
  const producer = connect(handle)
  assert.is(producer.commitSync({ payload: 'blocking' }).lsn, 3)
  assert.is((await producer.commit({ payload: 'a promise' })).lsn, 4)
  producer.close()
  const log = await openLog(directory, { segmentBytes: 1 << 20 })
  assert.equal(textsOf(log), ['of the opener', 'of another', 'blocking', 'a promise'])
  await log.close()
})

test('a log whose opener has ended fails when somebody else opens the directory, and acknowledges nothing more', async () => {
  const directory = temporaryDirectory()
  const producer = await connectToDeserted(directory)
  assert.is(producer.commitSync({ payload: 'acknowledged' }).lsn, 2)
  const log = await openLog(directory, { segmentBytes: 1 << 20 })
  for (const call of [
    () => producer.commitSync({ payload: 'too late' }),
    () => producer.commit({ payload: 'too late' }),
  ]) {
    const failure = await failureWith('GROUPWAL_COMMIT_FAILED', call)
    assert.is(causeCode(failure), 'LOCK_LOST', failure.stack)
  }
  log.connect().commitSync({ payload: 'of the next' })
  assert.equal(textsOf(log), ['of the opener', 'acknowledged', 'of the next'])
  producer.close()
  await log.close()
})

test('so it does when the next commit needs another segment first', async () => {
  const directory = temporaryDirectory()
  const producer = await connectToDeserted(directory)
  const payload = 'x'.repeat(900_000)
  assert.is(producer.commitSync({ payload }).lsn, 2)
  const log = await openLog(directory, { segmentBytes: 1 << 20 })
  const failure = await failureWith('GROUPWAL_COMMIT_FAILED', () => producer.commitSync({ payload }))
  assert.equal([failure.outcome, causeCode(failure)], ['not-written', 'LOCK_LOST'], failure.stack)
  producer.close()
  await log.close()
})

test('threads whose opener ended before its segment-keeper had started go on into the next segments', async () => {
  const producer = await connectToDeserted(temporaryDirectory())
  for (const lsn of [2, 3, 4]) assert.is(producer.commitSync({ payload: 'x'.repeat(900_000) }).lsn, lsn)
  producer.close()
})

test('a process that leaves its log open ends by itself, and what it committed is there', async () => {
  const directory = temporaryDirectory()
  const child = spawn(process.execPath, [fileURLToPath(openAndLeaveUrl), directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  assert.equal(await once(child, 'close'), [0, null])
  assert.match(output, 'committed 3 of 3')
  const log = await openLog(directory)
  assert.equal(textsOf(log), ['sync', 'promise', 'promise of a worker'])
  await log.close()
})

/** A producer of a log, with one record, whose opener has ended without closing it. */
async function connectToDeserted(directory: string): Promise<Producer> {
  const owner = new Worker(deserterUrl, { workerData: directory })
  const [handle] = (await once(owner, 'message')) as [LogHandle]
  const producer = connect(handle)
  owner.postMessage('end')
  await once(owner, 'exit')
  return producer
}

test.run()
