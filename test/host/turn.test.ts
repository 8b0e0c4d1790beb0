// Who writes what a turn of an event loop publishes: the committer, also in the midst of a long turn, or the thread itself.
import { once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openLog } from '../../src/index.ts'
import { untilCommitterSleeps } from '../support/committer-sleep.ts'
import { eventually } from '../support/eventually.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import turnsUrl from './turns.worker.ts?url'

const ENOUGH_TO_KNOW_A_WRITE = 100
/** More than one, and so in the midst of the turn. */
const FRAMES = 4
/** Far more than the ring can hold. */
const AT_MOST = 200_000
const COMMITS = 200
const ROUNDS = 20
const COMMITS_AT_MOST = 20_000
const THREADS_LIMIT = 1000
const A_SECOND_MICROS = 1_000_000

test('promises of one turn are written in several frames before it ends, when it lasts longer than a write', async () => {
  const log = await openLog(temporaryDirectory(), { sealIdleMs: 0 })
  const producer = log.connect()
  for (let count = 0; count < ENOUGH_TO_KNOW_A_WRITE; count++) producer.commitSync({ payload: 'before' })
  // One that is not there yet can write nothing in the turn.
  await untilCommitterSleeps(log)
  const enough = log.stats().frames + FRAMES
  const promises: Promise<unknown>[] = []
  // No await: one turn.
  while (log.stats().frames < enough && promises.length < AT_MOST)
    promises.push(producer.commit({ payload: 'in the turn' }))
  const frames = log.stats().frames
  assert.ok(frames >= enough, `${frames} of ${enough} frames after ${promises.length} commits`)
  await Promise.all(promises)
  await log.close()
})

test('a worker thread that alone has promises waiting writes them itself, one frame in a round of its event loop', async () => {
  const { own, frames, rounds } = await commitInWorker({ ownLeadMicros: A_SECOND_MICROS })
  // A turn that something held up for as long as a write is left to the committer.
  assert.ok(own > COMMITS / 2, `${own} of ${frames} frames`)
  assert.is(frames, COMMITS)
  assert.ok(rounds >= own, `${own} frames in ${rounds} rounds`)
})

test('what a thread would write itself is durable although its event loop stands still from then on', async () => {
  const log = await openLog(temporaryDirectory(), { ownLeadMicros: A_SECOND_MICROS, sealIdleMs: 0 })
  const bell = new Int32Array(new SharedArrayBuffer(4))
  const workerData = { handle: log.handle, blocking: ENOUGH_TO_KNOW_A_WRITE, commits: COMMITS, bell }
  const worker = new Worker(turnsUrl, { workerData })
  await once(worker, 'message')
  worker.postMessage('go')
  const all = ENOUGH_TO_KNOW_A_WRITE + COMMITS + 1
  await eventually('the last commit is durable', () => log.durableLsn === all)
  Atomics.store(bell, 0, 1)
  Atomics.notify(bell, 0)
  await once(worker, 'message')
  worker.postMessage('end')
  await log.close()
})

test('the event loop turns also beside promises that are durable whenever their turn ends', async () => {
  const log = await openLog(temporaryDirectory(), { sealIdleMs: 0 })
  const producer = log.connect()
  let rounds = 0
  const countRounds = (): void => {
    rounds++
    if (rounds < ROUNDS) setImmediate(countRounds)
  }
  countRounds()
  let commits = 0
  while (rounds < ROUNDS && commits < COMMITS_AT_MOST) {
    const committed = producer.commit({ payload: 'durable at once' })
    producer.flushSync()
    await committed
    commits++
  }
  assert.is(rounds, ROUNDS, `${rounds} rounds in ${commits} commits`)
  await log.close()
})

test('no promise is written by its own thread when ownLeadMicros is 0, or writes last longer', async () => {
  for (const ownLeadMicros of [0, 1]) {
    const { own, frames } = await commitInWorker({ ownLeadMicros })
    assert.is(own, 0, `ownLeadMicros ${ownLeadMicros}: ${own} of ${frames} frames`)
  }
})

test('a worker thread beside another one leaves its promises to the committer, which writes those of both', async () => {
  const { own, frames } = await commitInWorker({ ownLeadMicros: A_SECOND_MICROS, others: 1 })
  assert.ok(own < frames / 2, `${own} of ${frames} frames`)
})

test('the event loop of the main thread is not held up by a write, however long writes may last', async () => {
  const { fileSystem, writesOf } = countWriters()
  const log = await openLog(temporaryDirectory(), {
    ownLeadMicros: A_SECOND_MICROS,
    sealIdleMs: 0,
    fileSystem,
  })
  const producer = log.connect()
  for (let count = 0; count < ENOUGH_TO_KNOW_A_WRITE; count++) producer.commitSync({ payload: 'before' })
  // As long as it is not there a promise that waits for 25 ms is led by its thread.
  await untilCommitterSleeps(log)
  const before = writesOf(0)
  for (let count = 0; count < COMMITS; count++) await producer.commit({ payload: 'of the main thread' })
  const own = writesOf(0) - before
  assert.is(own, 0, `${own} of ${COMMITS} frames`)
  await log.close()
})

/** Counts who has written the frames of the promises that a worker, beside `others`, makes one after the other. */
async function commitInWorker({ ownLeadMicros, others = 0 }: { ownLeadMicros: number; others?: number }) {
  const { fileSystem, writesOf } = countWriters()
  const log = await openLog(temporaryDirectory(), { ownLeadMicros, sealIdleMs: 0, fileSystem })
  const start = (): Worker =>
    new Worker(turnsUrl, {
      workerData: { handle: log.handle, blocking: ENOUGH_TO_KNOW_A_WRITE, commits: COMMITS },
    })
  const workers = Array.from({ length: 1 + others }, start)
  const threadId = workers[0].threadId
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  // As long as it is not there a promise that waits for 25 ms is led by its thread.
  await untilCommitterSleeps(log)
  const [framesBefore, ownBefore] = [log.stats().frames, writesOf(threadId)]
  for (const worker of workers) worker.postMessage('go')
  const told = await Promise.all(workers.map((worker) => once(worker, 'message')))
  const own = writesOf(threadId) - ownBefore
  const frames = log.stats().frames - framesBefore
  for (const worker of workers) worker.postMessage('end')
  await log.close()
  return { own, frames, rounds: told[0][0] as number }
}

function countWriters() {
  const writes = new Int32Array(new SharedArrayBuffer(4 * THREADS_LIMIT))
  const module = join(process.cwd(), 'test/support/writers-file-system.cjs')
  const writesOf = (threadId: number): number => Atomics.load(writes, threadId)
  return { fileSystem: { module, data: { writes } }, writesOf }
}

test.run()
