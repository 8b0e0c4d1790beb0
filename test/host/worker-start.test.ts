// The system has no threads left: `new Worker` throws, as it does under `ulimit -u` or a cgroup's pids.max.
import { syncBuiltinESMExports } from 'node:module'
import workerThreads, { type Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openLog } from '../../src/index.ts'
import { causeCode, failureWith } from '../support/rejection.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

for (const [nth, name] of ['committer', 'segment-keeper'].entries()) {
  test(`a log whose ${name} cannot be started does not open, and leaves no thread and no lock`, async () => {
    const directory = temporaryDirectory()
    const started = await withThreads(nth, async () => {
      const failure = await failureWith('GROUPWAL_WORKER_START', openLog(directory))
      assert.is(causeCode(failure), 'ERR_WORKER_INIT_FAILED')
    })
    assert.is(started.length, nth)
    // Of a thread that has ended.
    for (const worker of started) assert.is(worker.threadId, -1)
    const log = await openLog(directory)
    assert.ok(log.connect().commitSync({ payload: 'x' }).durable)
    await log.close()
  })
}

/** Runs with room for so many threads; returns those that were started. */
async function withThreads(limit: number, run: () => Promise<void>): Promise<Worker[]> {
  const { Worker: RealWorker } = workerThreads
  const started: Worker[] = []
  workerThreads.Worker = class extends RealWorker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      if (started.length === limit)
        throw Object.assign(new Error('EAGAIN'), { code: 'ERR_WORKER_INIT_FAILED' })
      super(...args)
      started.push(this)
    }
  }
  syncBuiltinESMExports()
  try {
    await run()
  } finally {
    workerThreads.Worker = RealWorker
    syncBuiltinESMExports()
  }
  return started
}

test.run()
