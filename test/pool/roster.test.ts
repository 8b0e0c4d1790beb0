import { EventEmitter } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PoolRoster } from '../../src/host/pool-roster.ts'
import { allocateControl, isStarted, MAX_THREADS, noteStarted } from '../../src/host/pool-worker.ts'
import type { Words } from '../../src/shared/atomics.ts'

/** A worker thread whose events the test emits. It does what piscina does when one ends: takes it from the list. */
class FakeWorker extends EventEmitter {
  readonly threadId: number
  readonly heard: string[]

  constructor(threadId: number, threads: FakeWorker[]) {
    super()
    this.threadId = threadId
    this.heard = []
    for (const event of ['error', 'exit']) {
      this.on(event, () => {
        this.heard.push(event)
        take(threads, this)
      })
    }
    threads.push(this)
  }

  terminate(): Promise<number> {
    return Promise.resolve(1)
  }
}

interface Fixture {
  roster: PoolRoster
  control: Words
  threads: FakeWorker[]
  abandoned: Error[]
}

function makeRoster(): Fixture {
  const control = allocateControl()
  const threads: FakeWorker[] = []
  const abandoned: Error[] = []
  const roster = new PoolRoster(control, {
    threads: () => threads as unknown as Worker[],
    idleCount: () => 0,
    ended: () => {},
    abandoned: (error) => abandoned.push(error),
  })
  return { roster, control, threads, abandoned }
}

function take(threads: FakeWorker[], worker: FakeWorker): void {
  const index = threads.indexOf(worker)
  if (index !== -1) threads.splice(index, 1)
}

test('a worker that started before the pool took it in did not fail to start when it ends', () => {
  const { roster, control, threads } = makeRoster()
  const worker = new FakeWorker(7, threads)
  noteStarted(control, 7)
  roster.adopt()
  worker.emit('exit', 1)
  assert.is(roster.startFailure, undefined)
})

test('a worker that starts or ends says nothing about one whose number has the same low half', () => {
  const low = 7
  const high = 7 + 65_536
  const { roster, control, threads } = makeRoster()
  const workers = [low, high].map((threadId) => new FakeWorker(threadId, threads))
  roster.adopt()
  for (const threadId of [low, high]) noteStarted(control, threadId)
  for (const worker of workers) worker.emit('exit', 1)
  assert.is(roster.startFailure, undefined)

  const starting = makeRoster()
  const [, late] = [low, high].map((threadId) => new FakeWorker(threadId, starting.threads))
  starting.roster.adopt()
  noteStarted(starting.control, low)
  late!.emit('exit', 1)
  assert.match(String(starting.roster.startFailure), /exited with code 1 before it was ready/)
})

test('workers that ended leave their places to those that start', () => {
  const { roster, control, threads } = makeRoster()
  for (let threadId = 1; threadId <= 3 * MAX_THREADS; threadId++) {
    const worker = new FakeWorker(threadId, threads)
    noteStarted(control, threadId)
    roster.adopt()
    assert.ok(isStarted(control, threadId))
    worker.emit('exit', 0)
    assert.not(isStarted(control, threadId))
  }
})

test('piscina hears nothing more of a worker that it has let go, and no failure comes of it', async () => {
  const { roster, threads } = makeRoster()
  const worker = new FakeWorker(1, threads)
  roster.adopt()
  void worker.terminate()
  take(threads, worker)
  await Promise.resolve()
  worker.emit('error', new Error('while it was ended'))
  worker.emit('exit', 1)
  assert.equal(worker.heard, [])
  assert.is(roster.startFailure, undefined)
})

test('piscina hears of the end of a worker that the application ended', async () => {
  const { roster, threads, abandoned } = makeRoster()
  const [worker] = [new FakeWorker(1, threads), new FakeWorker(2, threads)]
  roster.adopt()
  void worker!.terminate()
  await Promise.resolve()
  worker!.emit('exit', 1)
  await Promise.resolve()
  assert.equal(worker!.heard, ['exit'])
  assert.is(roster.startFailure, undefined)
  assert.equal(abandoned, [])
})

test('when the application ended the last worker and piscina starts no other, what waits is rejected', async () => {
  const { roster, threads, abandoned } = makeRoster()
  const worker = new FakeWorker(1, threads)
  roster.adopt()
  void worker.terminate()
  await Promise.resolve()
  worker.emit('exit', 1)
  await Promise.resolve()
  assert.match(String(roster.startFailure), /exited with code 1 before it was ready/)
  assert.equal(abandoned, [roster.startFailure])
})

test.run()
