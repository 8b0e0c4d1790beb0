// A producer that commits, and tells of every acknowledgement, for ever.

import { writeSync } from 'node:fs'
import { workerData } from 'node:worker_threads'
import { connect, type Producer } from '../../src/index.ts'
import { ACK_FD, payloadOf } from './kill-records.ts'

const WINDOW = 16

const { handle, run, producer: number } = workerData as { handle: never; run: number; producer: number }
const producer: Producer = connect(handle)
let next = 0

if (number % 4 === 0) for (;;) commitOne()
else if (number % 4 === 1) for (;;) commitBatch(1 + (next % 5))
else if (number % 4 === 2) for (;;) appendAndFlush(10)
else for (;;) await commitWindow()

function take(batchCount = 1): { payload: string }[] {
  const batchFirst = next
  return Array.from({ length: batchCount }, () => ({
    payload: payloadOf({ run, producer: number, index: next++, batchFirst, batchCount }),
  }))
}

function commitOne(): void {
  const index = next
  acknowledge(index, 1, producer.commitSync(take()[0]).lsn)
}

function commitBatch(count: number): void {
  const index = next
  acknowledge(index, count, producer.commitBatchSync(take(count)).firstLsn)
}

function appendAndFlush(count: number): void {
  const lsns: [number, number][] = []
  for (let done = 0; done < count; done++) lsns.push([next, producer.append(take()[0])])
  producer.flushSync()
  for (const [index, lsn] of lsns) acknowledge(index, 1, lsn)
}

async function commitWindow(): Promise<void> {
  const commits = Array.from({ length: WINDOW }, async () => {
    const index = next
    acknowledge(index, 1, (await producer.commit(take()[0])).lsn)
  })
  await Promise.all(commits)
}

/** One write, so that the lines of several threads do not mix. */
function acknowledge(index: number, count: number, lsn: number): void {
  for (;;) {
    try {
      writeSync(ACK_FD, `${number} ${index} ${count} ${lsn}\n`)
      return
    } catch (error) {
      // The reader is behind.
      if ((error as { code?: string }).code !== 'EAGAIN') throw error
    }
  }
}
