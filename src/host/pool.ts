import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Piscina, queueOptionsSymbol, transferableSymbol, valueSymbol } from 'piscina'
import type { GroupWalError } from '../errors.ts'
import { store, type Words } from '../shared/atomics.ts'
import { rebuildError } from './flat-error.ts'
import type { Log } from './log.ts'
import { poolEntryPath } from './pool-entry-file.ts'
import { PoolRoster } from './pool-roster.ts'
import {
  allocateControl,
  MAX_THREADS,
  type PoolTask,
  type PoolWorkerData,
  type PoolWorkerReport,
  RETIRE,
} from './pool-worker.ts'
import { checkInteger, describe } from './record-input.ts'

type PiscinaOptions = NonNullable<ConstructorParameters<typeof Piscina>[0]>
type PiscinaRunOptions = NonNullable<Parameters<Piscina['run']>[1]>

/** What the pool decides by itself: piscina's defaults end idle workers, or freeze the event loop of waiting ones. */
const OWN_OPTIONS = ['atomics', 'minThreads', 'idleTimeout'] as const

/** As in piscina. */
const CLOSE_TIMEOUT_MS = 30_000

/** Timers of Node.js that are set for so many milliseconds, or more, fire at once. */
const TIMER_LIMIT_MS = 2 ** 31

/** Options of piscina, but for those that a pool of producers must set itself. */
export interface ProducerPoolOptions extends Omit<PiscinaOptions, 'filename' | (typeof OWN_OPTIONS)[number]> {
  /** The file whose exported function runs the tasks: a path or a `file:` URL, ES module or CommonJS. */
  filename: string | URL
  /** How many workers, all from the beginning: 1 to 1000. Default: as many as there are processors. */
  maxThreads?: number
  /** How many milliseconds close() waits for the tasks; `Infinity` or 2 ** 31: without end. Default 30000. */
  closeTimeout?: number
}

/** Options of piscina's `run`; the file may be a URL here, too. */
export interface PoolRunOptions extends Omit<PiscinaRunOptions, 'filename'> {
  filename?: string | URL | null
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
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`options must be an object with a filename, got ${describe(options)}`)
  }
  for (const name of OWN_OPTIONS) {
    if ((options as PiscinaOptions)[name] !== undefined) {
      throw new TypeError(`the option ${name} is set by createProducerPool: ${WHY[name]}`)
    }
  }
  return new ProducerPool<T, R>(log, options, allocateControl())
}

const WHY: Record<(typeof OWN_OPTIONS)[number], string> = {
  atomics: 'any other value stops the event loop of an idle worker, and pending commits with it',
  minThreads: 'all workers are kept, so give maxThreads',
  idleTimeout: 'a worker that ends takes its producer with it',
}

/** A Piscina whose workers are connected to a log. Made by `createProducerPool`. */
export class ProducerPool<T = unknown, R = unknown> extends Piscina<T, R> {
  readonly #control: Words
  readonly #closeTimeoutMs: number
  readonly #roster: PoolRoster
  /** Runs that are not settled, each with what rejects it when no worker is left to do so. */
  readonly #runs: Map<Promise<R>, (error: unknown) => void>
  /** New tasks are turned away. */
  #isClosing: boolean

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
      // With `force` piscina itself waits, by a timer: so the longest that there is, 24 days.
      closeTimeout: Math.min(closeTimeoutMs, TIMER_LIMIT_MS - 1),
    })
    this.#control = control
    this.#closeTimeoutMs = closeTimeoutMs
    this.#runs = new Map()
    this.#isClosing = false
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
    let reject: (error: unknown) => void = () => {}
    const run = new Promise<R>((resolve, rejectRun) => {
      reject = rejectRun
      this.#start(task, options).then(resolve, (error: unknown) => rejectRun(this.#asThrown(error)))
    })
    this.#runs.set(run, reject)
    const forget = (): boolean => this.#runs.delete(run)
    run.then(forget, forget)
    this.#roster.adopt()
    return run
  }

  /** A piscina run of the task in the envelope that the worker expects. Throws about the arguments. */
  #start(task: T, options: PoolRunOptions): Promise<R> {
    const { startFailure } = this.#roster
    if (startFailure !== undefined) throw startFailure
    if (typeof options !== 'object' || options === null) throw new TypeError('options must be an object')
    const { filename, name, ...rest } = options
    const envelope = wrapTask({
      task,
      filename: filename == null ? undefined : pathOf(filename, 'filename'),
      name: name == null ? undefined : checkName(name),
    })
    // While the pool ends, a new task is turned away, as piscina does it.
    const signal = this.#isClosing ? AbortSignal.abort('the pool is being closed') : rest.signal
    return super.run(envelope as T, { ...rest, signal: signal ?? null })
  }

  /** Finishes the tasks (with `force` only those at work), gives back the places in the log, and ends the workers. */
  override close(options?: { force?: boolean }): Promise<void> {
    return this.#turnAwayWhile(async () => {
      // Piscina counts each worker as often as it finishes a task, and so may end the others in the midst of theirs.
      if (options?.force === true || (await this.#isFinishedInTime())) {
        await this.#retire(() => super.close(options))
        return
      }
      try {
        super.emit('error', new Error(`the tasks were not finished within ${this.#closeTimeoutMs} ms`))
      } finally {
        await this.#retire(() => super.destroy())
        super.emit('close')
      }
    })
  }

  /** Ends the workers; tasks that are at work are rejected. */
  override destroy(): Promise<void> {
    return this.#turnAwayWhile(() => this.#retire(() => super.destroy()))
  }

  async #turnAwayWhile(close: () => Promise<void>): Promise<void> {
    this.#isClosing = true
    try {
      await close()
    } finally {
      this.#isClosing = false
    }
  }

  /** The workers may end. While close() waits for the tasks, one that ends is a loss, and the others stay connected. */
  async #retire(end: () => Promise<void>): Promise<void> {
    this.#roster.isRetiring = true
    try {
      await end()
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
    for (const reject of this.#runs.values()) reject(error)
  }
}

/** A task with Piscina.move() or a queue option around it keeps both. */
function wrapTask(envelope: PoolTask): unknown {
  const { task } = envelope
  if (typeof task !== 'object' || task === null) return envelope
  const own = task as Record<symbol, unknown>
  const wrapped: Record<symbol | string, unknown> = { ...envelope }
  if (own[queueOptionsSymbol] !== undefined) wrapped[queueOptionsSymbol] = own[queueOptionsSymbol]
  if (!(transferableSymbol in own) || !(valueSymbol in own)) return wrapped
  return Piscina.move({
    [transferableSymbol]: own[transferableSymbol] as object,
    [valueSymbol]: { ...wrapped, task: own[valueSymbol] },
  } as unknown as ArrayBuffer)
}

function isReport(message: unknown): message is PoolWorkerReport {
  return (
    typeof message === 'object' &&
    message !== null &&
    (message as Partial<PoolWorkerReport>).groupwalPool === 1
  )
}

function pathOf(filename: unknown, what: string): string {
  if (filename instanceof URL) return fileURLToPath(filename)
  if (typeof filename !== 'string' || filename === '') {
    throw new TypeError(`${what} must be a path or a file: URL, got ${describe(filename)}`)
  }
  return filename.startsWith('file:') ? fileURLToPath(filename) : resolve(filename)
}

function checkName(name: unknown): string {
  if (typeof name !== 'string') throw new TypeError(`name must be a string, got ${describe(name)}`)
  return name
}

function checkThreads(maxThreads: unknown): number {
  if (maxThreads === undefined) return Math.min(availableParallelism(), MAX_THREADS)
  return checkInteger('maxThreads', maxThreads, MAX_THREADS, 1)
}

function checkCloseTimeout(closeTimeout: unknown): number {
  if (closeTimeout === undefined) return CLOSE_TIMEOUT_MS
  if (typeof closeTimeout !== 'number') {
    throw new TypeError(`closeTimeout must be a number, got ${describe(closeTimeout)}`)
  }
  if (!(closeTimeout >= 0)) throw new RangeError(`closeTimeout must be 0 or more, got ${closeTimeout}`)
  return closeTimeout
}
