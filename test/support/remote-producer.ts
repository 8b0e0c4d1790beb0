import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { LogHandle, Producer } from '../../src/index.ts'
import workerUrl from './remote-producer.worker.ts?url'

/** What an error of the other thread said. */
export interface RemoteFailure {
  name: string
  message: string
  code: string | undefined
  outcome: string | undefined
  lsn: number | undefined
  causeCode: string | undefined
}

type Methods = Pick<
  Producer,
  | 'commitSync'
  | 'commitBatchSync'
  | 'append'
  | 'tryAppend'
  | 'flushSync'
  | 'commit'
  | 'commitBatch'
  | 'flush'
  | 'close'
>

/** A producer in another thread: its blocking calls block that one. */
export class RemoteProducer {
  readonly worker: Worker
  readonly #calls: Map<number, { resolve: (value: never) => void; reject: (error: unknown) => void }>
  #nextId: number

  private constructor(worker: Worker) {
    this.worker = worker
    this.#calls = new Map()
    this.#nextId = 1
    worker.on('message', ({ id, value, failure }) => {
      const call = this.#calls.get(id)
      this.#calls.delete(id)
      if (failure === undefined) call?.resolve(value as never)
      else call?.reject(failure)
    })
    worker.on('exit', (code) => {
      for (const { reject } of this.#calls.values()) reject(new Error(`the worker ended with code ${code}`))
    })
  }

  static async connect(handle: LogHandle): Promise<RemoteProducer> {
    const worker = new Worker(workerUrl, { workerData: handle })
    await once(worker, 'message')
    return new RemoteProducer(worker)
  }

  call<Name extends keyof Methods>(
    method: Name,
    ...args: Parameters<Methods[Name]>
  ): Promise<Awaited<ReturnType<Methods[Name]>>> {
    return new Promise((resolve, reject) => {
      this.#calls.set(this.#nextId, { resolve, reject })
      this.worker.postMessage({ id: this.#nextId++, method, args })
    })
  }

  /** As call, for one that must fail. */
  async fails<Name extends keyof Methods>(
    method: Name,
    ...args: Parameters<Methods[Name]>
  ): Promise<RemoteFailure> {
    let value: unknown
    try {
      value = await this.call(method, ...args)
    } catch (failure) {
      return failure as RemoteFailure
    }
    throw new Error(`${method} did not fail, but returned ${JSON.stringify(value)}`)
  }

  /** Closes the producer and resolves when the thread has ended by itself. */
  async end(): Promise<void> {
    const ended = once(this.worker, 'exit')
    await this.call('close')
    await ended
  }
}
