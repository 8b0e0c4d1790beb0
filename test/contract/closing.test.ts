import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, GroupWalError, type Log, openLog } from '../../src/index.ts'
import { listSegments } from '../../src/storage/directory.ts'
import { createNodeFileSystem } from '../../src/storage/node-file-system.ts'
import { eventually } from '../support/eventually.ts'
import { Gate } from '../support/gate.ts'
import { causeCode, type Failure, failureOf, failureWith } from '../support/rejection.ts'
import { RemoteProducer } from '../support/remote-producer.ts'
import { skipNow } from '../support/skip.ts'
import { openSmallLog, textsOf } from '../support/small-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

test('close() commits what was published, though nobody waits for it', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  const texts = Array.from({ length: 1000 }, (_, index) => `record ${index}`)
  for (const payload of texts) producer.append({ payload })
  await log.close()
  assert.is(log.durableLsn, 1000)
  assert.equal(await textsAfterReopening(log.directory), texts)
})

test('close() stops intake at once, and settles what came before', async () => {
  const gate = new Gate()
  const log = await openSmallLog({ fileSystem: gate.fileSystem })
  const remote = await RemoteProducer.connect(log.handle)
  const producer = log.connect()
  gate.shut()
  producer.append({ payload: 'held' })
  await gate.untilHeld(1)
  const blocked = remote.call('commitSync', { payload: 'blocked' })
  await eventually('both are published', () => log.stats().pendingRecords === 2)
  const pending = producer.commit({ payload: 'pending' })
  let isClosed = false
  const closed = log.close().then(() => {
    isClosed = true
  })
  for (const call of [
    () => producer.commit({ payload: 'too late' }),
    () => producer.commitBatch([{ payload: 'too late' }]),
    () => producer.commitSync({ payload: 'too late' }),
    () => producer.append({ payload: 'too late' }),
    () => producer.tryAppend({ payload: 'too late' }),
  ]) {
    assert.is((await failureWith('GROUPWAL_CLOSED', call)).outcome, 'not-written')
  }
  assert.not(isClosed)
  gate.open()
  await closed
  assert.equal(await blocked, { lsn: 2, durable: true })
  assert.equal(await pending, { lsn: 3, durable: true })
  await remote.end()
  assert.equal(await textsAfterReopening(log.directory), ['held', 'blocked', 'pending'])
})

test('close({ timeoutMs }) gives up on a disk that does not answer, and wakes every waiter with the truth', async () => {
  const gate = new Gate()
  const log = await openSmallLog({ ringBytes: 4096, fileSystem: gate.fileSystem })
  const inFlight = await RemoteProducer.connect(log.handle)
  const inRing = await RemoteProducer.connect(log.handle)
  const withoutPlace = await RemoteProducer.connect(log.handle)
  const producer = log.connect()
  gate.shut()
  const lsn = await inFlight.call('append', { payload: 'in flight' })
  await gate.untilHeld(1)
  const waiters: [string, Promise<Failure>, string][] = [
    ['a flush of what is in flight', failed(inFlight.call('flushSync')), 'indeterminate'],
    ['a promise of what is in flight', failed(producer.flush(lsn)), 'indeterminate'],
    ['a commit in the ring', failed(inRing.call('commitSync', { payload: 'in the ring' })), 'not-written'],
  ]
  await eventually('it is in the ring', () => log.stats().pendingRecords === 2)
  waiters.push(['a promise in the ring', failed(producer.commit({ payload: 'too' })), 'not-written'])
  while (producer.tryAppend({ payload: 'filler' }) !== undefined);
  waiters.push(
    [
      'an append without a place',
      failed(withoutPlace.call('append', { payload: 'no place' })),
      'not-written',
    ],
    ['a promise without a place', failed(producer.commit({ payload: 'no place' })), 'not-written'],
  )
  // The filler that was refused, the append and the promise.
  await eventually('the ring is found full', () => log.stats().fullRings === 3)
  assert.is((await failureWith('GROUPWAL_TIMEOUT', log.close({ timeoutMs: 20 }))).outcome, 'indeterminate')
  for (const [who, waiting, outcome] of waiters) {
    const failure = await waiting
    assert.equal([failure.code, failure.outcome], ['GROUPWAL_CLOSED', outcome], who)
  }
  // While the write may still end, nobody else gets the directory.
  await failureWith('GROUPWAL_LOCKED', openLog(log.directory))
  gate.open()
  for (const remote of [inFlight, inRing, withoutPlace]) await remote.end()
  assert.equal(
    (await textsAfterReopening(log.directory)).filter((text) => text !== 'in flight'),
    [],
  )
})

test('a log that has failed is closed all the same, and opens again with what was acknowledged', async () => {
  const gate = new Gate()
  const log = await openSmallLog({ fileSystem: gate.fileSystem })
  const producer = log.connect()
  await producer.commit({ payload: 'acknowledged' })
  gate.openBroken()
  const failure = await failureWith('GROUPWAL_COMMIT_FAILED', producer.commit({ payload: 'failed' }))
  assert.is(causeCode(failure), 'EIO')
  await log.close()
  assert.equal((await textsAfterReopening(log.directory)).slice(0, 1), ['acknowledged'])
})

test('close() may be called again and again: it is one promise', async () => {
  const log = await openSmallLog()
  const closed = log.close()
  assert.is(log.close(), closed)
  await closed
  assert.is(log.close({ timeoutMs: 1 }), closed)
  await log[Symbol.asyncDispose]()
})

test('an option of close() that is wrong or unknown is refused, and the log stays open', async () => {
  const log = await openSmallLog()
  const wrong: [object, new () => Error][] = [
    [{ timeoutMs: -1 }, RangeError],
    [{ timeoutMs: Number.NaN }, RangeError],
    [{ timeoutMs: '100' }, TypeError],
    [{ timeout: 100 }, TypeError],
  ]
  for (const [options, type] of wrong) {
    const failure = await failureOf(() => log.close(options))
    assert.instance(failure, type, `${JSON.stringify(options)}: ${failure}`)
  }
  assert.is(log.connect().commitSync({ payload: 'still open' }).lsn, 1)
  await log.close({ timeoutMs: Number.POSITIVE_INFINITY })
})

test('the end of an `await using` block closes the log', async () => {
  const directory = temporaryDirectory()
  {
    await using log = await openLog(directory, { segmentBytes: 1 << 20 })
    log.connect().append({ payload: 'x' })
  }
  assert.equal(await textsAfterReopening(directory), ['x'])
})

test('a closed log refuses everything but looking', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  producer.commitSync({ payload: 'x' })
  await log.close()
  for (const call of [
    () => log.connect(),
    () => connect(log.handle),
    () => producer.commitSync({ payload: 'y' }),
    () => producer.commit({ payload: 'y' }),
    () => log.truncateBefore(1),
    () => log.resume(),
  ]) {
    await failureWith('GROUPWAL_CLOSED', call)
  }
  await producer.flush()
  producer.flushSync(1)
  assert.is(log.durableLsn, 1)
  assert.is(log.stats().records, 1)
  assert.equal(textsOf(log), ['x'])
})

test('what truncateBefore() was asked for before close() is done', async () => {
  const log = await openSmallLog({ keepSpares: 0 })
  const producer = log.connect()
  const payload = 'p'.repeat(400_000)
  while (log.stats().rotations < 3) await producer.commit({ payload })
  const before = listSegments(createNodeFileSystem(), log.directory).segments.length
  const dropping = log.truncateBefore(log.durableLsn)
  await log.close()
  const dropped = await dropping
  assert.ok(dropped >= 2, `${dropped} dropped`)
  const { segments } = listSegments(createNodeFileSystem(), log.directory)
  assert.ok(segments.length <= before - dropped + 1, `${segments.length} of ${before} are left`)
})

test('closing ends the internal workers, and tells of no death', async () => {
  const before = countThreads()
  if (before === undefined) return skipNow('threads are not counted: there is no /proc')
  const deaths: unknown[] = []
  for (let round = 0; round < 3; round++) {
    const log = await openSmallLog()
    log.on('worker-died', (death) => deaths.push(death))
    log.on('producer-died', (death) => deaths.push(death))
    if (round > 0) await log.connect().commit({ payload: 'x' })
    await log.close()
  }
  assert.equal(deaths, [])
  await eventually('their threads are gone', () => countThreads()! <= before)
})

test('a thread whose log was closed ends by itself', async () => {
  const log = await openSmallLog()
  const remote = await RemoteProducer.connect(log.handle)
  await remote.call('commit', { payload: 'x' })
  await log.close()
  assert.is((await remote.fails('commit', { payload: 'y' })).code, 'GROUPWAL_CLOSED')
  const ended = once(remote.worker, 'exit')
  await remote.end()
  assert.equal(await ended, [0])
})

/** Errors of other threads lose their class on the way. */
function failed(promise: Promise<unknown>): Promise<Failure> {
  return promise.then(
    () => Object.assign(new Error('it did not fail')),
    (failure) => {
      if (failure instanceof Error) assert.ok(GroupWalError.is(failure), failure.stack)
      return failure as Failure
    },
  )
}

/** Also shows that the directory was freed, and that the log had no gap where it was closed in order. */
async function textsAfterReopening(directory: string): Promise<string[]> {
  let log: Log | undefined
  while (log === undefined) {
    try {
      log = await openLog(directory, { segmentBytes: 1 << 20 })
    } catch (error) {
      // A log whose close() gave up frees its directory when its last write has ended: the event loop must turn.
      if (!GroupWalError.is(error) || error.code !== 'GROUPWAL_LOCKED') throw error
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const texts = textsOf(log)
  await log.close()
  return texts
}

function countThreads(): number | undefined {
  try {
    return readdirSync('/proc/self/task').length
  } catch {
    return undefined
  }
}

test.run()
