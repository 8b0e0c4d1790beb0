import { once } from 'node:events'
import { Piscina, queueOptionsSymbol, transferableSymbol, valueSymbol } from 'piscina'
import type { GroupWalError } from '../errors.ts'
import { store, type Words } from '../shared/atomics.ts'
import { rebuildError } from './flat-error.ts'
import type { Log } from './log.ts'
import { poolEntryPath } from './pool-entry-file.ts'
import {
  checkCloseTimeout,
  checkForce,
  checkName,
  checkPoolOptions,
  checkThreads,
  type PoolRunOptions,
  type ProducerPoolOptions,
  pathOf,
} from './pool-options.ts'
import { PoolRoster } from './pool-roster.ts'
import {
  allocateControl,
  type PoolTask,
  type PoolWorkerData,
  type PoolWorkerReport,
  RETIRE,
} from './pool-worker.ts'

export type { PoolRunOptions, ProducerPoolOptions } from './pool-options.ts'

/** Timers of Node.js that are set for so many milliseconds, or more, fire at once. */
const TIMER_LIMIT_MS = 2 ** 31

/** A run that is not settled. */
interface Run {
  reject(error: unknown): void
  /** The task was sent to a worker. */
  isAtWork: boolean
  /** No worker is to get the task any more. */
  isTurnedAway: boolean
}

/**
 * Starts a pool of worker threads that write into a log. It is a Piscina; the functions that it runs call `connect()`
 * without an argument. Errors that a task throws arrive with class, fields and causes. Before `log.close()`, call
 * `pool.close()` (finishes the tasks) or `pool.destroy()`.
 *
 * @param log an open log, in the thread that opened it
 * @throws TypeError, RangeError about the options
 */
export function createProducerPool<T = unknown, R = unknown>(
  log: Log,
  options: ProducerPoolOptions,
): ProducerPool<T, R> {
  checkPoolOptions(options)
  return new ProducerPool<T, R>(log, options, allocateControl())
}

/** A Piscina whose workers are connected to a log. Made by `createProducerPool`. */
export class ProducerPool<T = unknown, R = unknown> extends Piscina<T, R> {
  readonly #control: Words
  readonly #closeTimeoutMs: number
  readonly #roster: PoolRoster
  readonly #runs: Map<Promise<R>, Run>
  /** Calls of close() and destroy() that are under way: new tasks are turned away. */
  #endCalls: number
  #retiring: Promise<void> | undefined

  /** @internal use `createProducerPool` */
  constructor(log: Log, options: ProducerPoolOptions, control: Words) {
    const { filename, name = 'default', workerData, ...rest } = options
    const maxThreads = checkThreads(options.maxThreads)
    const closeTimeoutMs = checkCloseTimeout(options.closeTimeout)
    const data: PoolWorkerData = {
      groupwalPool: 1,
      handle: log.handle,
      user: workerData,
      filename: pathOf(filename, 'options.filename'),
      name: checkName(name),
      control,
    }
    super({
      ...rest,
      filename: poolEntryPath(),
      workerData: data,
      atomics: 'disabled',
      minThreads: maxThreads,
      maxThreads,
      idleTimeout: Number.POSITIVE_INFINITY,
    })
    this.#control = control
    this.#closeTimeoutMs = closeTimeoutMs
    this.#runs = new Map()
    this.#endCalls = 0
    this.#retiring = undefined
    this.#roster = new PoolRoster(control, {
      threads: () => this.threads,
      idleCount: () => this.idleThreads,
      ended: (threadId, isExpected) => log.noteWorkerExit(threadId, { isExpected }),
      abandoned: (error) => this.#rejectAll(error),
    })
    this.#roster.adopt()
  }

  /**
   * Runs a task in one of the workers.
   *
   * @throws GroupWalError GROUPWAL_WORKER_START when a worker of this pool could not start, now or earlier
   * @throws whatever the task throws
   */
  override run(task: T, options: PoolRunOptions = {}): Promise<R> {
    const run: Run = { reject: () => {}, isAtWork: false, isTurnedAway: false }
    const settled = new Promise<R>((resolve, reject) => {
      run.reject = reject
      this.#start(task, options, run).then(resolve, (error: unknown) => reject(this.#asThrown(error)))
    })
    this.#runs.set(settled, run)
    const forget = (): boolean => this.#runs.delete(settled)
    settled.then(forget, forget)
    this.#roster.adopt()
    return settled
  }

  /** A piscina run of the task in the envelope that the worker expects. Throws about the arguments. */
  #start(task: T, options: PoolRunOptions, run: Run): Promise<R> {
    const { startFailure } = this.#roster
    if (startFailure !== undefined) throw startFailure
    if (typeof options !== 'object' || options === null) throw new TypeError('options must be an object')
    const { filename, name, ...rest } = options
    const envelope = wrapTask(
      {
        task,
        filename: filename == null ? undefined : pathOf(filename, 'filename'),
        name: name == null ? undefined : checkName(name),
      },
      () => {
        if (run.isTurnedAway) throw new Error('the task was turned away')
        run.isAtWork = true
      },
    )
    // While the pool ends, a new task is turned away, as piscina does it.
    if (this.#endCalls > 0) return this.#turnAway()
    return super.run(envelope as T, { ...rest, signal: rest.signal ?? null })
  }

  /**
   * Finishes the tasks, gives back the places in the log, ends the workers, and resolves when all their threads have
   * ended. Tasks that are not finished within `closeTimeout` are rejected, and an `error` event tells of them. New
   * tasks are rejected with an AbortError meanwhile.
   *
   * @param options with `force`, tasks that no worker has begun are rejected with an AbortError, at once; those at
   *   work are finished all the same: `destroy()` ends them
   * @throws TypeError about the options
   */
  override async close(options: { force?: boolean } = {}): Promise<void> {
    const isForced = checkForce(options)
    // Not by piscina's close(): it counts a worker as often as it finishes a task, and so ends others in the midst.
    await this.#turnAwayWhile(async () => {
      if (isForced) this.#turnQueuedAway()
      try {
        if (!(await this.#isFinishedInTime())) {
          super.emit('error', new Error(`the tasks were not finished within ${this.#closeTimeoutMs} ms`))
        }
      } finally {
        await this.#retire()
        super.emit('close')
      }
    })
  }

  /** Ends the workers, and resolves when all their threads have ended; tasks that are at work or wait are rejected. */
  override destroy(): Promise<void> {
    return this.#turnAwayWhile(() => this.#retire())
  }

  /** Rejects with piscina's AbortError. */
  #turnAway(): Promise<R> {
    return super.run(undefined as T, { signal: AbortSignal.abort('the pool is being closed') })
  }

  /** Piscina keeps those tasks until it ends its workers, but cannot send them. */
  #turnQueuedAway(): void {
    for (const run of this.#runs.values()) {
      if (run.isAtWork) continue
      run.isTurnedAway = true
      this.#turnAway().catch(run.reject)
    }
  }

  async #turnAwayWhile(close: () => Promise<void>): Promise<void> {
    this.#endCalls++
    try {
      await close()
    } finally {
      this.#endCalls--
    }
  }

  /** Of several calls that end the pool at the same time: piscina starts new workers when it is asked twice. */
  #retire(): Promise<void> {
    this.#retiring ??= this.#endWorkers().finally(() => {
      this.#retiring = undefined
    })
    return this.#retiring
  }

  /** The workers may end. While close() waits for the tasks, one that ends is a loss, and the others stay connected. */
  async #endWorkers(): Promise<void> {
    this.#roster.isRetiring = true
    try {
      await super.destroy()
      await this.#roster.allEnded()
    } finally {
      this.#roster.isRetiring = false
      store(this.#control, RETIRE, 0)
    }
  }

  /** Waits for the runs to be settled, at most closeTimeout. Without end there is no timer. */
  async #isFinishedInTime(): Promise<boolean> {
    const late = new AbortController()
    const isLate = once(late.signal, 'abort')
    const waitMs = this.#closeTimeoutMs
    const timer = waitMs < TIMER_LIMIT_MS ? setTimeout(() => late.abort(), waitMs) : undefined
    while (this.#runs.size > 0 && !late.signal.aborted) {
      await Promise.race([Promise.allSettled(this.#runs.keys()), isLate])
    }
    clearTimeout(timer)
    return !late.signal.aborted
  }

  /** Keeps what is between the pool and its workers from the application's listeners. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    const [first] = args
    if (event === 'message' && isReport(first)) {
      this.#roster.noteReport(first)
      return true
    }
    // It is told by every run() instead.
    if (event === 'error' && this.#roster.isStartError(first)) return true
    if (event === 'workerDestroy') queueMicrotask(() => this.#roster.adopt())
    return super.emit(event, ...args)
  }

  #asThrown(error: unknown): unknown {
    if (isReport(error)) this.#roster.noteReport(error)
    const { startFailure } = this.#roster
    if (isReport(error) || this.#roster.isStartError(error)) return startFailure
    // Piscina's words for a worker that ended by process.exit(), here while it was being loaded.
    if (startFailure !== undefined && /^worker exited with code/.test((error as Error)?.message))
      return startFailure
    return rebuildError(error)
  }

  #rejectAll(error: GroupWalError): void {
    for (const run of this.#runs.values()) run.reject(error)
  }
}

/**
 * What piscina sends to a worker. A task with Piscina.move() or a queue option around it keeps both.
 *
 * @param onSend called when a worker is about to get the task; when it throws, the worker does not get it
 */
function wrapTask({ task, filename, name }: PoolTask, onSend: () => void): unknown {
  const own = (typeof task === 'object' && task !== null ? task : {}) as Record<symbol, unknown>
  const isMoved = transferableSymbol in own && valueSymbol in own
  const value = isMoved ? own[valueSymbol] : task
  const queueOptions = own[queueOptionsSymbol]
  const wrapped = {
    // Piscina does not tell when it sends a task; but only then is it copied, and so read.
    get task() {
      onSend()
      return value
    },
    filename,
    name,
    ...(queueOptions !== undefined && { [queueOptionsSymbol]: queueOptions }),
  }
  if (!isMoved) return wrapped
  const moved = { [transferableSymbol]: own[transferableSymbol] as object, [valueSymbol]: wrapped }
  return Piscina.move(moved as unknown as ArrayBuffer)
}

function isReport(message: unknown): message is PoolWorkerReport {
  return (
    typeof message === 'object' &&
    message !== null &&
    (message as Partial<PoolWorkerReport>).groupwalPool === 1
  )
}
