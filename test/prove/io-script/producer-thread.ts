import { Worker } from 'node:worker_threads'
import type { LogHandle, Producer } from '../../../src/index.ts'
import workerUrl from './producer.worker.ts?url'

export interface ThreadCall {
  id: number
  method: 'connect' | 'commitSync' | 'commitBatchSync' | 'append' | 'flushSync' | 'close'
  args: unknown[]
}

/** An error as plain data. `isTyped`: it is a GroupWalError. */
export interface PlainError {
  name: string
  message: string
  code: string | undefined
  outcome: 'not-written' | 'indeterminate' | undefined
  lsn: number | undefined
  isTyped: boolean
}

export interface ThreadReply {
  id: number
  value: unknown
  error: PlainError | undefined
}

type Results = Pick<Producer, Exclude<ThreadCall['method'], 'connect'>> & {
  connect(handle: LogHandle): void
}

/**
 * A thread with a producer whose calls block it. Threads are slow to start: it does so with its first call, and serves
 * many logs, one after the other.
 */
export class ProducerThread {
  #worker: Worker | undefined
  readonly #waiting = new Map<number, (reply: ThreadReply) => void>()
  #nextId = 1

  /** Rejects with a `PlainError`. */
  call<Name extends ThreadCall['method']>(
    method: Name,
    ...args: Parameters<Results[Name]>
  ): Promise<ReturnType<Results[Name]>> {
    const id = this.#nextId++
    this.#worker ??= this.#start()
    const worker = this.#worker
    worker.ref()
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ value, error }) => {
        if (error === undefined) resolve(value as ReturnType<Results[Name]>)
        else reject(error)
      })
      worker.postMessage({ id, method, args } satisfies ThreadCall)
    })
  }

  async end(): Promise<void> {
    await this.#worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(workerUrl)
    worker.on('message', (reply: ThreadReply) => {
      this.#waiting.get(reply.id)?.(reply)
      this.#waiting.delete(reply.id)
      if (this.#waiting.size === 0) worker.unref()
    })
    return worker
  }
}
