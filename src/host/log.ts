import { EventEmitter } from 'node:events'
import type { CommitContext } from '../commit/context.ts'
import { leaveProtocol } from '../commit/join.ts'
import { Leader } from '../commit/leader.ts'
import { READY_NONE } from '../commit/segment-supply.ts'
import { Watch } from '../commit/watch.ts'
import { GroupWalError, WaitGivenUpError } from '../errors.ts'
import { type LogRecord, readRecords } from '../read/reader.ts'
import { CLIENT_OPENER, CLIENT_PRODUCER } from '../shared/clients.ts'
import type { CounterValues } from '../shared/stats.ts'
import type { SyncMethod } from '../storage/sync-method.ts'
import { Closing } from './close.ts'
import { connect, joinLog } from './connect.ts'
import { closedError, failureCause } from './failure.ts'
import { deadlineOf } from './give-up.ts'
import type { LogHandle } from './handle.ts'
import { Health } from './health.ts'
import { InternalWorkers } from './internal-workers.ts'
import type { LogParts } from './open.ts'
import type { Producer } from './producer.ts'
import { checkInteger, checkOptionNames } from './record-input.ts'
import { Resume } from './resume.ts'

/** How often close() and resume() look whether other threads have come to rest. */
const REST_CHECK_MS = 2

const READ_OPTIONS: readonly string[] = ['fromLsn']

/** What a log does and how it stands. */
export interface LogStats extends CounterValues {
  durableLsn: number
  lastCommitFailed: boolean
  /** Records that were handed an LSN and are not durable yet, noops included. */
  pendingRecords: number
  producers: number
  syncMethod: SyncMethod
  /** Why that one. */
  syncReason: string
  /** False where no page-aligned memory could be had: then the log is written through the page cache. */
  alignedMemory: boolean
  segmentSequence: number
  /** The segment after that one is made already; it is begun when a quarter of the current one is used. */
  nextSegmentReady: boolean
}

/** What a log tells by events. */
export interface LogEvents {
  /** A write or sync lasts longer than stallWarnMs; once per write. */
  stalled: [{ lastsMs: number }]
  /** The log has failed; resume() makes it take records again. */
  failed: [Error]
  /**
   * A thread ended while its producer was connected: told at once of a pool's workers and of those that
   * noteWorkerExit is called for, within seconds of others (where there is /proc).
   */
  'producer-died': [{ client: number; workerId: number }]
  /** An internal worker ended although the log is open; the log goes on without it, slower. */
  'worker-died': [{ name: string; cause: Error | undefined }]
}

/** An open log: the host's side. Made by `openLog`; belongs to the thread that opened it. */
export class Log extends EventEmitter<LogEvents> {
  readonly #parts: LogParts
  readonly #context: CommitContext
  readonly #leader: Leader
  readonly #watch: Watch
  readonly #workers: InternalWorkers
  readonly #health: Health
  #closing: Promise<void> | undefined

  private constructor(parts: LogParts, context: CommitContext, workers: InternalWorkers) {
    super()
    this.#parts = parts
    this.#context = context
    this.#leader = new Leader(context)
    this.#watch = new Watch(context, this.#leader)
    this.#workers = workers
    this.#closing = undefined
    this.#health = new Health(context, parts.options.stallWarnMs, {
      stalled: (lastsMs) => this.emit('stalled', { lastsMs }),
      failed: (error) => this.emit('failed', error),
      producerDied: (client, workerId) => this.emit('producer-died', { client, workerId }),
    })
  }

  /** @internal use `openLog` */
  static async start(parts: LogParts): Promise<Log> {
    const context = joinLog(parts.handle, CLIENT_OPENER)
    let log: Log | undefined
    const workers = await InternalWorkers.start(parts.handle, parts.options.keepSpares, {
      died: (name, cause) => {
        // One that ended before it took part has no line: nobody may wait for it to begin.
        if (name === 'segment-keeper') {
          context.keeper.noteKeeperEnd(context.clients.maxClients + 1)
          context.control.wakeAllWaiters()
        } else context.doorbell.dropCommitter(context.doorbell.committerClient())
        log?.emit('worker-died', { name, cause })
      },
    })
    log = new Log(parts, context, workers)
    return log
  }

  /** What `connect()` takes in another thread; send it by workerData or postMessage. */
  get handle(): LogHandle {
    return this.#parts.handle
  }

  /** Absolute path of the log's directory. */
  get directory(): string {
    return this.#parts.options.directory
  }

  /** All records with LSN <= this are on disk. */
  get durableLsn(): number {
    return this.#context.control.durableLsn()
  }

  /** Whether the newest batch failed. For show: each commit tells the outcome of its own record. */
  get lastCommitFailed(): boolean {
    return this.#context.control.lastCommitFailed()
  }

  /** What recovery found when the log was opened. */
  get recovery(): LogParts['report'] {
    return this.#parts.report
  }

  /** File system, disk and sync method, and reasons to doubt them. */
  get environment(): LogParts['environment'] & { sync: LogParts['sync'] } {
    return { ...this.#parts.environment, sync: this.#parts.sync }
  }

  /** Counters since the log was opened; each is exact, together they are a moment's blur. */
  stats(): LogStats {
    const { control, keeper, counters, clients } = this.#context
    return {
      ...counters.readAll(),
      durableLsn: control.durableLsn(),
      lastCommitFailed: control.lastCommitFailed(),
      pendingRecords: this.#countPending(),
      producers: clients.countKind(CLIENT_PRODUCER),
      syncMethod: this.#parts.sync.method,
      syncReason: this.#parts.sync.reason,
      alignedMemory: this.#parts.aligned,
      segmentSequence: control.segmentSequence(),
      nextSegmentReady: keeper.readyState() !== READY_NONE,
    }
  }

  /** Not from the durable LSN on: behind that there may be a gap. */
  #countPending(): number {
    const { control, ring, slots } = this.#context
    const frame = control.publishedCount()
    const firstLsn = frame === control.stagedCount() ? control.headLsn() : slots.firstLsn(frame)
    return Math.max(0, (ring.tailSequence() - firstLsn) | 0)
  }

  /** A producer for the opener's own thread. commitSync on it blocks the event loop; prefer commit. */
  connect(): Producer {
    this.#checkOpen()
    return connect(this.#parts.handle)
  }

  /**
   * Iterates the committed records in LSN order, up to what is durable now, checksums verified. Records own their
   * bytes. Without `fromLsn` from the oldest record that is there.
   *
   * @throws while iterating: CorruptLogError, ReadTruncatedError, GroupWalError GROUPWAL_UNKNOWN_RECORD_TYPE,
   *   GROUPWAL_UNSUPPORTED_VERSION, GROUPWAL_IO
   */
  read(options: { fromLsn?: number } = {}): IterableIterator<LogRecord> {
    checkOptionNames(options, READ_OPTIONS)
    const toLsn = this.durableLsn
    const { fromLsn } = options
    if (fromLsn !== undefined) checkInteger('fromLsn', fromLsn, Number.MAX_SAFE_INTEGER, 1)
    if (toLsn === 0) return [][Symbol.iterator]()
    return readRecords(this.#parts.fs, this.directory, { fromLsn, toLsn })
  }

  /**
   * Drops whole segments all of whose records are durable and below `lsn` (0, as `durableLsn` of a new log, drops
   * nothing); up to keepSpares of them are kept to be written anew. Resolves with the number dropped.
   *
   * @throws TypeError, RangeError about `lsn`; LogClosedError; GroupWalError GROUPWAL_TRUNCATE_FAILED,
   *   GROUPWAL_WORKER_DIED
   */
  async truncateBefore(lsn: number): Promise<number> {
    this.#checkOpen()
    checkInteger('lsn', lsn, Number.MAX_SAFE_INTEGER)
    // So the first segment that is left begins with a frame that is durable: whoever reads the log relies on it.
    return this.#workers.dropSegments(Math.min(lsn, this.durableLsn))
  }

  /**
   * After a failure (say, disk space was freed): fences the failed frames off in a new segment, so that they never
   * come back, and takes records again. Failed records stay failed.
   *
   * @throws GroupWalError GROUPWAL_RESUME_REFUSED: the fence cannot be made (`cause`), the log has not failed, or
   *   it was resumed too often
   */
  async resume(): Promise<void> {
    this.#checkOpen()
    const { handle, options, fs } = this.#parts
    const { layout } = this.#context.memory
    const resume = new Resume(this.#context, this.#leader, this.#watch, fs, this.directory)
    resume.begin()
    const base = {
      logId: handle.logId,
      blockBytes: layout.blockBytes,
      segmentBytes: options.segmentBytes,
      maxOutstandingRecords: handle.maxOutstandingRecords,
      randomBytes: this.#context.sources.randomBytes,
      nowMs: this.#context.sources.nowMs,
    }
    try {
      while (!resume.tryFinish(base)) await delay(REST_CHECK_MS)
      this.#health.noteResumed()
    } catch (error) {
      resume.cancel()
      throw error
    }
  }

  /**
   * Stops intake, commits what is left, writes the last seal and frees the directory. Waiters whose record cannot be
   * committed get GROUPWAL_CLOSED. Calling it again returns the same promise.
   *
   * A log that has failed is closed as it is, without a seal; `failed` was emitted then when this resolves.
   *
   * @throws WaitGivenUpError GROUPWAL_TIMEOUT when a write does not end within `timeoutMs`: waiters are told that
   *   their records are indeterminate, and the directory is freed when the write ends
   * @throws GroupWalError GROUPWAL_IO when the closing seal could not be written: nothing acknowledged is lost
   */
  close(options: { timeoutMs?: number } = {}): Promise<void> {
    if (this.#closing !== undefined) return this.#closing
    let deadlineMs: number
    try {
      deadlineMs = deadlineOf(options, this.#context.clock.monotonicMs)
    } catch (error) {
      return Promise.reject(error)
    }
    this.#closing = this.#close(deadlineMs)
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(deadlineMs: number): Promise<void> {
    const closing = new Closing(this.#context, this.#leader, this.#watch)
    const hadFailed = this.#health.hasFailed
    if (hadFailed) this.#health.tellFailureBeforeClose()
    while (!closing.begin() || !closing.tryFinish()) {
      if (this.#context.clock.monotonicMs() >= deadlineMs) {
        while (!closing.abandon()) await delay(REST_CHECK_MS)
        void this.#releaseWhenWritten(closing)
        throw new WaitGivenUpError('GROUPWAL_TIMEOUT', 'the log was not drained before timeoutMs passed', {
          outcome: 'indeterminate',
        })
      }
      await delay(REST_CHECK_MS)
    }
    await this.#release()
    if (closing.isSealed || hadFailed) return
    const message =
      'the closing seal could not be written: nothing acknowledged is lost, the next open recovers'
    throw new GroupWalError('GROUPWAL_IO', message, { cause: failureCause(this.#context.phases) })
  }

  async #releaseWhenWritten(closing: Closing): Promise<void> {
    while (!closing.hasComeToRest()) await delay(REST_CHECK_MS)
    await this.#release()
  }

  async #release(): Promise<void> {
    this.#health.stop()
    this.#context.control.stopWorkers()
    await this.#workers.whenEnded()
    leaveProtocol(this.#context)
    this.#parts.lock?.release()
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw closedError(undefined)
  }

  /**
   * A worker thread of the application ended: has what its producers left taken over. Emits `producer-died` for each
   * of them, unless the end was meant. The taking over needs it only where there is no /proc, and there only for
   * workers that the opener's thread started. The producer pool calls it by itself.
   */
  noteWorkerExit(workerId: number, options: { isExpected?: boolean } = {}): void {
    try {
      this.#health.noteWorkerExit(workerId, options.isExpected === true)
    } finally {
      // Whatever a listener does: the committer looks after what was left behind.
      this.#context.doorbell.ringCommitter()
    }
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
