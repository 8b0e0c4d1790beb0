import { Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openLog } from '../../src/index.ts'
import { untilCommitterSleeps } from '../support/committer-sleep.ts'
import { checkRescues } from '../support/rescues.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import workerUrl from './group-commit.worker.ts?url'

test('single_thread_group_commit: one record is durable, has LSN 1, and is read back', async () => {
  const log = await openLog(temporaryDirectory())
  const producer = log.connect()
  const result = producer.commitSync({ recordType: 0x8001, tenantId: 1, vshardId: 0, payload: 'hello' })
  assert.equal(result, { lsn: 1, durable: true })
  assert.is(log.durableLsn, 1)
  assert.not(log.lastCommitFailed)
  const records = [...log.read()]
  assert.is(records.length, 1)
  assert.is(Buffer.from(records[0].payload).toString(), 'hello')
  assert.is(records[0].tenantId, 1)
  producer.close()
  await log.close()
})

test('concurrent_group_commit: ten writers are all durable, and all ten records are read back', async () => {
  const log = await openLog(temporaryDirectory())
  const lsns = await Promise.all(
    Array.from({ length: 10 }, (_, index) =>
      runWorker({ handle: log.handle, count: 1, name: `record-${index}` }),
    ),
  )
  assert.equal(
    lsns.flat().sort((a, b) => a - b),
    Array.from({ length: 10 }, (_, index) => index + 1),
  )
  assert.is(log.durableLsn, 10)
  const texts = [...log.read()].map((record) => Buffer.from(record.payload).toString()).sort()
  assert.equal(texts, Array.from({ length: 10 }, (_, index) => `record-${index}-0`).sort())
  await log.close()
})

test('promise commits of one turn share a sync', async () => {
  const log = await openLog(temporaryDirectory())
  const producer = log.connect()
  // One that starts in the midst of the turn takes what it finds, again and again.
  await untilCommitterSleeps(log)
  const results = await Promise.all(
    Array.from({ length: 100 }, (_, index) => producer.commit({ payload: `p${index}` })),
  )
  assert.equal(
    results.map(({ lsn }) => lsn),
    Array.from({ length: 100 }, (_, index) => index + 1),
  )
  assert.ok(log.stats().syncs < 20, `${log.stats().syncs} syncs`)
  checkRescues(log.stats().recheckRescues)
  producer.close()
  await log.close()
})

test('promises settle without any timer', async () => {
  const log = await openLog(temporaryDirectory(), { ringBytes: 4096, sealIdleMs: 0 })
  const { setInterval: original } = globalThis
  const alive = original(() => {}, 1000)
  const timers = [] as unknown as NodeJS.Timeout
  // Those that the producer makes from now on never come due.
  globalThis.setInterval = (() => Object.assign(timers, { ref: () => {}, unref: () => {} })) as never
  try {
    const producer = log.connect()
    for (let round = 0; round < 20; round++) {
      const payload = 'x'.repeat(100 * round)
      // More than the ring holds: some have to wait for space.
      await Promise.all(Array.from({ length: 10 }, () => producer.commit({ payload })))
      await producer.commitBatch([{ payload: 'a' }, { payload: 'b' }])
      producer.append({ payload: 'c' })
      await producer.flush()
    }
    checkRescues(log.stats().recheckRescues)
    producer.close()
  } finally {
    globalThis.setInterval = original
    clearInterval(alive)
  }
  await log.close()
})

test('a log that was closed goes on with the next LSN when it is opened again', async () => {
  const directory = temporaryDirectory()
  for (let round = 0; round < 3; round++) {
    const log = await openLog(directory)
    const producer = log.connect()
    assert.is(producer.commitSync({ payload: `round ${round}` }).lsn, round + 1)
    assert.is([...log.read()].length, round + 1)
    await log.close()
  }
})

test('four threads that commit a thousand records each lose no wake-up', async () => {
  const log = await openLog(temporaryDirectory())
  const lsns = await Promise.all(
    Array.from({ length: 4 }, (_, index) =>
      runWorker({ handle: log.handle, count: 1000, name: `t${index}` }),
    ),
  )
  for (const own of lsns) assert.ok(own.every((lsn, index) => index === 0 || lsn > own[index - 1]))
  assert.is(new Set(lsns.flat()).size, 4000)
  assert.is([...log.read()].length, 4000)
  checkRescues(log.stats().recheckRescues)
  await log.close()
})

function runWorker(workerData: unknown): Promise<number[]> {
  const worker = new Worker(workerUrl, { workerData })
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

test.run()
