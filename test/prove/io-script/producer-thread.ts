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

/** A thread with a producer whose calls block it. It serves many logs, one after the other: threads are slow to start. */
export class ProducerThread {
  readonly #worker = new Worker(workerUrl)
  readonly #waiting = new Map<number, (reply: ThreadReply) => void>()
  #nextId = 1

  constructor() {
    this.#worker.unref()
    this.#worker.on('message', (reply: ThreadReply) => {
      this.#waiting.get(reply.id)?.(reply)
      this.#waiting.delete(reply.id)
      if (this.#waiting.size === 0) this.#worker.unref()
    })
  }

  /** Rejects with a `PlainError`. */
  call<Name extends ThreadCall['method']>(
    method: Name,
    ...args: Parameters<Results[Name]>
  ): Promise<ReturnType<Results[Name]>> {
    const id = this.#nextId++
    this.#worker.ref()
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ value, error }) => {
        if (error === undefined) resolve(value as ReturnType<Results[Name]>)
        else reject(error)
      })
      this.#worker.postMessage({ id, method, args } satisfies ThreadCall)
    })
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }
}
