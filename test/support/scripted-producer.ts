import { type ResourceLimits, Worker } from 'node:worker_threads'
import type { BatchResult, CommitResult, Log, LogHandle } from '../../src/index.ts'
import workerUrl from './scripted-producer.worker.ts?url'
import type { StepTraps, TrapData } from './step-traps.ts'

export interface ScriptedWorkerData {
  handle: LogHandle
  traps: TrapData | undefined
}

export interface ScriptedCall {
  id: number
  method: string
  args: unknown[]
  vmTimeoutMs: number | undefined
}

/** An error of the worker, as plain data. */
export interface FlatError {
  name: string
  message: string
  code?: string | undefined
  outcome?: string | undefined
  lsn?: number | undefined
  causeCode?: string | undefined
  isGroupWal: boolean
  stack?: string | undefined
}

export interface ScriptedReply {
  id: number
  value: unknown
  error: FlatError | undefined
}

/** How a call ended: one of both. */
export type Ended<T> = { value: T; error?: undefined } | { value?: undefined; error: FlatError }

export type CommitEnd = Ended<CommitResult>

/** What a call ends with whose thread ended before. */
export const WORKER_ENDED = 'WorkerEnded'

export interface ScriptedOptions {
  traps?: StepTraps
  resourceLimits?: ResourceLimits
}

const alive = new Set<ScriptedProducer>()

/** Ends the threads that a test which failed has left behind: for `test.after.each`, so that its file still ends. */
export async function endLeftovers(): Promise<void> {
  await Promise.all(Array.from(alive, (producer) => producer.terminate()))
}

/**
 * A producer in a worker thread of its own that does what the test tells it, one call after the other. Each method
 * resolves, and never rejects, when the call in the worker has ended, or its thread has.
 */
export class ScriptedProducer {
  readonly worker: Worker
  readonly #waiting: Map<number, (reply: ScriptedReply) => void> = new Map()
  /** Resolves with the error that ended the thread, if one did. */
  readonly ended: Promise<Error | undefined>
  #nextId = 1
  #hasEnded = false

  private constructor(worker: Worker) {
    this.worker = worker
    alive.add(this)
    worker.on('message', (reply: ScriptedReply) => {
      const settle = this.#waiting.get(reply.id)
      this.#waiting.delete(reply.id)
      settle?.(reply)
    })
    this.ended = new Promise((resolve) => {
      let cause: Error | undefined
      worker.on('error', (error: Error) => {
        cause = error
      })
      worker.once('exit', () => {
        const error = { name: WORKER_ENDED, message: cause?.message ?? 'the worker ended', isGroupWal: false }
        this.#hasEnded = true
        alive.delete(this)
        for (const [id, settle] of this.#waiting) settle({ id, value: undefined, error })
        resolve(cause)
      })
    })
  }

  /** Resolves when it is connected. */
  static async start(log: Log, options: ScriptedOptions = {}): Promise<ScriptedProducer> {
    const { traps, ...workerOptions } = options
    const workerData: ScriptedWorkerData = { handle: log.handle, traps: traps?.data }
    const producer = new ScriptedProducer(new Worker(workerUrl, { ...workerOptions, workerData }))
    const { error } = await producer.get('durableLsn')
    if (error !== undefined) throw new Error(`could not connect: ${error.message}`)
    return producer
  }

  static startMany(log: Log, count: number): Promise<ScriptedProducer[]> {
    return Promise.all(Array.from({ length: count }, () => ScriptedProducer.start(log)))
  }

  call(method: string, args: unknown[], vmTimeoutMs?: number): Promise<Ended<unknown>> {
    if (this.#hasEnded) throw new Error(`${method} is called in a worker that has ended`)
    const id = this.#nextId++
    return new Promise((resolve) => {
      this.#waiting.set(id, ({ value, error }) => resolve(error === undefined ? { value } : { error }))
      this.worker.postMessage({ id, method, args, vmTimeoutMs } satisfies ScriptedCall)
    })
  }

  /** A property of the producer. */
  get(property: string): Promise<Ended<unknown>> {
    return this.call('get', [property])
  }

  commitSync(payload: string, options?: { timeoutMs: number }): Promise<CommitEnd> {
    return this.call('commitSync', [{ payload }, options]) as Promise<CommitEnd>
  }

  commit(payload: string): Promise<CommitEnd> {
    return this.call('commit', [{ payload }]) as Promise<CommitEnd>
  }

  commitBatchSync(payloads: string[]): Promise<Ended<BatchResult>> {
    const records = payloads.map((payload) => ({ payload }))
    return this.call('commitBatchSync', [records]) as Promise<Ended<BatchResult>>
  }

  append(payload: string): Promise<Ended<number>> {
    return this.call('append', [{ payload }]) as Promise<Ended<number>>
  }

  flush(lsn?: number): Promise<Ended<undefined>> {
    return this.call('flush', [lsn]) as Promise<Ended<undefined>>
  }

  flushSync(lsn?: number): Promise<Ended<undefined>> {
    return this.call('flushSync', [lsn]) as Promise<Ended<undefined>>
  }

  /** Frees the producer's place and ends its thread. */
  async close(): Promise<void> {
    await this.call('close', [])
    await this.ended
  }

  async terminate(): Promise<void> {
    await this.worker.terminate()
    await this.ended
  }
}
