import { type ResourceLimits, type Transferable, Worker } from 'node:worker_threads'
import type { LogStats } from '../../../src/host/log.ts'
import type { LogHandle, OpenOptions } from '../../../src/index.ts'
import type { StepTraps } from '../../support/step-traps.ts'
import hostUrl from './host.worker.ts?url'
import {
  type Block,
  HOST_WORDS,
  type HostCalls,
  type HostData,
  type HostRequest,
  type Target,
} from './host-calls.ts'

/** The driver's side of the thread that opens the log. */
export class Host {
  readonly #worker: Worker
  readonly #words: Int32Array
  readonly #waiting: Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>
  readonly #ends: Map<Target, { promise: Promise<string | undefined>; resolve: (message?: string) => void }>
  #nextId: number
  #nextActorId: number
  #terminating: Promise<unknown> | undefined

  constructor(
    traps: { committer: StepTraps; keeper: StepTraps },
    resourceLimits: ResourceLimits | undefined,
  ) {
    this.#words = new Int32Array(new SharedArrayBuffer(HOST_WORDS.count * 4))
    this.#waiting = new Map()
    this.#ends = new Map()
    this.#nextId = 1
    this.#nextActorId = 1
    const workerData: HostData = {
      words: this.#words,
      traps: { committer: traps.committer.data, keeper: traps.keeper.data },
      resourceLimits,
    }
    this.#worker = new Worker(hostUrl, { workerData })
    this.#worker.on('message', ({ id, value, error, ended, message }) => {
      if (ended !== undefined) {
        this.#endOf(ended).resolve(message)
        return
      }
      const waiting = this.#waiting.get(id)!
      this.#waiting.delete(id)
      if (error === undefined) waiting.resolve(value)
      else waiting.reject(new Error(error))
    })
  }

  async call(method: keyof HostCalls, args: unknown[] = [], transfer: Transferable[] = []): Promise<unknown> {
    const id = this.#nextId++
    const reply = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    this.#worker.postMessage({ id, method, args } satisfies HostRequest, transfer)
    return await reply
  }

  async open(directory: string, options: OpenOptions): Promise<LogHandle> {
    return (await this.call('open', [directory, options])) as LogHandle
  }

  async stats(): Promise<LogStats> {
    return (await this.call('stats')) as LogStats
  }

  async content(): Promise<Map<number, string>> {
    return (await this.call('content')) as Map<number, string>
  }

  async internalThread(name: 'committer' | 'keeper'): Promise<number> {
    return ((await this.call('threadIds')) as Record<string, number>)[name]
  }

  newActorId(): number {
    return this.#nextActorId++
  }

  /** Resolves, once the host's event loop comes to it, when the thread has ended; with the error that ended it, if any. */
  ended(target: Target): Promise<string | undefined> {
    return this.#endOf(target).promise
  }

  /** The next end of an internal worker is that of the one which was started in its place. */
  async startAgain(name: 'committer' | 'keeper'): Promise<number> {
    this.#ends.delete(name)
    return (await this.call('startAgain', [name])) as number
  }

  #endOf(target: Target): { promise: Promise<string | undefined>; resolve: (message?: string) => void } {
    let end = this.#ends.get(target)
    if (end === undefined) {
      let resolve!: (message?: string) => void
      const promise = new Promise<string | undefined>((settle) => {
        resolve = settle
      })
      end = { promise, resolve }
      this.#ends.set(target, end)
    }
    return end
  }

  /** From here on the host's event loop stands still, until unblock. */
  async block(block: Block): Promise<void> {
    this.#terminating = this.call('block', [block])
    await this.#untilBlocked()
  }

  async #untilBlocked(): Promise<void> {
    while (Atomics.load(this.#words, HOST_WORDS.blocked) === 0) {
      await Atomics.waitAsync(this.#words, HOST_WORDS.blocked, 0).value
    }
  }

  async unblock(): Promise<void> {
    Atomics.add(this.#words, HOST_WORDS.gate, 1)
    Atomics.notify(this.#words, HOST_WORDS.gate)
    await this.#terminating
  }

  /**
   * Ends the thread from the host's, which from then on stands still if `block` says so. Resolves when terminate() was
   * called, with when that was; where the host stands still, then with what `unblock` gives.
   */
  async terminate(target: Target, block: Block | undefined): Promise<{ calledMs: Promise<number> }> {
    const calledMs = this.call('terminate', [target, block]) as Promise<number>
    this.#terminating = calledMs
    if (block === undefined) await calledMs
    else await this.#untilBlocked()
    return { calledMs }
  }

  /** Ends the host and all its threads, whatever they do. */
  async end(): Promise<void> {
    await this.#worker.terminate()
  }
}
