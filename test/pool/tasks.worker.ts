import { spawnSync } from 'node:child_process'
import { isMainThread, threadId, workerData } from 'node:worker_threads'
import { Piscina, workerData as piscinaWorkerData } from 'piscina'
import { CommitFailedError, connect } from '../../src/index.ts'
import { add, notify, waitAsync } from '../../src/shared/atomics.ts'

export default function commit(text: string): { lsn: number; threadId: number } {
  return { lsn: connect().commitSync({ payload: text }).lsn, threadId }
}

export async function commitMany({ count, text }: { count: number; text: string }): Promise<number[]> {
  const producer = connect()
  const results = await Promise.all(
    Array.from({ length: count }, (_, index) => producer.commit({ payload: `${text}-${index}` })),
  )
  return results.map(({ lsn }) => lsn)
}

export function tellWorkerData(): unknown {
  return { direct: workerData, byPiscina: piscinaWorkerData, byClass: Piscina.workerData, isMainThread }
}

export function failCommit(): never {
  const cause = Object.assign(new Error('no space'), { code: 'ENOSPC', errno: -28 })
  throw new CommitFailedError('record 7 is not durable', { outcome: 'indeterminate', lsn: 7, cause })
}

export function failOddly(): never {
  const inner = Object.assign(new TypeError('inner'), { callback: () => 1, depth: 2 })
  const outer = new AggregateError([inner, 'a string'], 'outer')
  throw Object.assign(outer, { self: outer })
}

export function throwText(): never {
  throw 'just text'
}

export function leaveProcess(): void {
  connect().commitSync({ payload: 'before the end' })
  process.exit(3)
}

export function dieUncaught(): Promise<void> {
  connect()
  setImmediate(() => failCommit())
  return new Promise(() => {})
}

/** Counts itself in the first word, and commits with the producer that it has when the second one is told. */
export async function commitWhenTold(words: Int32Array): Promise<number> {
  const producer = connect()
  add(words, 0, 1)
  notify(words, 0, 1)
  await waitAsync(words, 1, 0)
  return (await producer.commit({ payload: 'told' })).lsn
}

/** Is in a call that terminate() does not cut off, from when the FIFO is read until nobody has it open for writing. */
export function waitForProcess(fifo: string): void {
  connect()
  spawnSync('cat', [fifo])
}

export function spinForever(): never {
  connect().append({ payload: 'spinning' })
  for (;;) {
    // until it is terminated
  }
}

export function runOutOfMemory(): never {
  const producer = connect()
  const kept: unknown[] = []
  for (;;) {
    producer.append({ payload: 'going on' })
    for (let count = 0; count < 1000; count++) kept.push({ count, text: `${count}` })
  }
}

export function move(bytes: Uint8Array): unknown {
  return Piscina.move(bytes.map((byte) => byte + 1))
}

export async function closeOwn(): Promise<boolean> {
  const producer = connect()
  const isShared = connect() === producer
  producer.close()
  return isShared && connect() !== producer && connect().commitSync({ payload: 'anew' }).durable
}
