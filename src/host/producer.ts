import { assert } from '../assert.ts'
import {
  APPEND_FULL,
  APPEND_REFUSED,
  APPEND_RESERVED,
  APPEND_TIMED_OUT,
  Appender,
  type EncodableRecord,
  LSN_LIMIT,
} from '../commit/appender.ts'
import type { CommitContext } from '../commit/context.ts'
import { Follower } from '../commit/follower.ts'
import { leaveProtocol } from '../commit/join.ts'
import { Leader } from '../commit/leader.ts'
import { granulesOfRecord } from '../commit/prefix.ts'
import { Watch } from '../commit/watch.ts'
import { GroupWalError, LogClosedError, WaitGivenUpError } from '../errors.ts'
import { RECORD_HEADER_BYTES } from '../format/record.ts'
import { GRANULE_SHIFT } from '../shared/layout.ts'
import { PHASE_CLOSED, PHASE_SEALING, VERDICT_DURABLE, VERDICT_PENDING } from '../shared/phase.ts'
import { AsyncCommits } from './async-commits.ts'
import { closedError, refusalError, verdictError } from './failure.ts'
import {
  type BatchResult,
  type CommitResult,
  PENDING_BATCH,
  PENDING_COMMIT,
  PENDING_FLUSH,
  type PendingEntry,
  rejectEntry,
} from './pending.ts'
import { checkInteger, describe, type RecordInput, RecordReader } from './record-input.ts'

/** How long a blocking call may wait. */
export interface WaitOptions {
  /** Gives up the wait, not the record, after this many milliseconds. Default: never. */
  timeoutMs?: number
}

/** How long an asynchronous call may wait. */
export interface AsyncWaitOptions extends WaitOptions {
  /** Gives up the wait, not the record, when it is aborted. */
  signal?: AbortSignal
}

const NEVER = Number.POSITIVE_INFINITY
/** Calls deeper than the protocol's own: a stack too short for it overflows here, before anything is taken. */
const STACK_PROBE_DEPTH = 48
/** Records of a batch are checked and copied before any place is taken. */
interface BatchRecord {
  record: EncodableRecord
  granules: number
}

/**
 * One thread's way to write into a log. Made by `connect(handle)` in any worker thread of the process that opened
 * the log, or by `log.connect()`; belongs to the thread that made it. Records of one producer are in the log in the
 * order of its calls.
 */
export class Producer {
  readonly #context: CommitContext
  readonly #appender: Appender
  readonly #follower: Follower
  readonly #watch: Watch
  readonly #async: AsyncCommits
  readonly #reader: RecordReader
  /** A call is on the stack; if one is found here, it was cut off. */
  #isInside: boolean
  #isClosed: boolean
  #lastLsn: number
  /** First LSN that was appended and not yet told durable by a flush; 0 when there is none. */
  #firstUnflushedLsn: number

  /** @internal use `connect(handle)` or `log.connect()` */
  constructor(context: CommitContext) {
    this.#context = context
    const leader = new Leader(context)
    this.#watch = new Watch(context, leader)
    this.#appender = new Appender(context, leader, this.#watch)
    this.#follower = new Follower(context, leader, this.#watch)
    this.#async = new AsyncCommits(context, leader, this.#watch)
    const maxGranules = context.ring.maxReservationGranules
    this.#reader = new RecordReader((maxGranules << GRANULE_SHIFT) - RECORD_HEADER_BYTES)
    this.#isInside = false
    this.#isClosed = false
    this.#lastLsn = 0
    this.#firstUnflushedLsn = 0
  }

  /** LSN of this producer's newest record, 0 when there is none. */
  get lastLsn(): number {
    return this.#lastLsn
  }

  /** All records with LSN <= this are on disk. */
  get durableLsn(): number {
    return this.#context.control.durableLsn()
  }

  /** Whether the newest batch of the log failed. For show: each call tells the outcome of its own record. */
  get lastCommitFailed(): boolean {
    return this.#context.control.lastCommitFailed()
  }

  /**
   * Commits a record: returns when it is durable. Blocks this thread.
   *
   * @throws TypeError, RangeError about the record; nothing was written
   * @throws CommitFailedError GROUPWAL_COMMIT_FAILED with outcome and cause
   * @throws GroupWalError GROUPWAL_TIMEOUT, GROUPWAL_CLOSED
   */
  commitSync(record: RecordInput, options?: WaitOptions): CommitResult {
    const deadlineMs = this.#deadlineOf(options)
    const lsn = this.#appendBlocking(record, deadlineMs)
    this.#awaitDurable(lsn, lsn, deadlineMs)
    return { lsn, durable: true }
  }

  /**
   * Commits records together: recovered all or not at all. Blocks this thread.
   *
   * @throws as commitSync; RangeError when they do not fit into one batch (option maxBatchBytes)
   */
  commitBatchSync(records: readonly RecordInput[], options?: WaitOptions): BatchResult {
    const deadlineMs = this.#deadlineOf(options)
    const batch = this.#readBatch(records)
    this.#enter()
    this.#pushQueuedBlocking(deadlineMs)
    this.#reserveBlocking(granulesOfBatch(batch), batch.length, deadlineMs)
    const firstLsn = this.#publishBatch(batch)
    const lastLsn = firstLsn + batch.length - 1
    this.#isInside = false
    this.#awaitDurable(lastLsn, firstLsn, deadlineMs)
    return { firstLsn, lastLsn, durable: true }
  }

  /**
   * Publishes a record without waiting for it to be durable; returns its LSN. Blocks while the ring is full. A
   * later flush tells whether it became durable; what is unpublished when the process ends is lost.
   *
   * @throws as commitSync
   */
  append(record: RecordInput, options?: WaitOptions): number {
    const lsn = this.#appendBlocking(record, this.#deadlineOf(options))
    this.#noteAppended(lsn)
    this.#context.control.ringCommitter()
    return lsn
  }

  /** As append, but returns undefined instead of waiting when the ring is full (or others wait before it). */
  tryAppend(record: RecordInput): number | undefined {
    this.#reader.readRecord(record)
    this.#enter()
    const hasPlace =
      !this.#async.hasQueued && this.#tryReserve(granulesOfRecord(this.#reader.current.length), 1)
    const lsn = hasPlace ? this.#publishOne() : undefined
    this.#isInside = false
    if (lsn === undefined) return undefined
    this.#noteAppended(lsn)
    this.#context.control.ringCommitter()
    return lsn
  }

  /**
   * Waits until everything up to `lsn` (default: this producer's newest record) is durable. Blocks this thread.
   *
   * @throws CommitFailedError when that record, or an earlier append of this producer that no flush has told of, failed
   * @throws RangeError when `lsn` was not handed out yet
   */
  flushSync(lsn?: number, options?: WaitOptions): void {
    const target = this.#flushTarget(lsn)
    if (target === 0) return
    const deadlineMs = this.#deadlineOf(options)
    this.#enter()
    this.#pushQueuedBlocking(deadlineMs)
    this.#isInside = false
    this.#awaitDurable(target, this.#firstOfFlush(target), deadlineMs)
    this.#noteFlushed(target)
  }

  /** As commitSync, without blocking: many may be pending. Keeps its thread alive until it is settled. */
  commit(record: RecordInput, options?: AsyncWaitOptions): Promise<CommitResult> {
    return new Promise((resolve, reject) => {
      this.#reader.readRecord(record)
      const entry = newEntry(PENDING_COMMIT, resolve, reject)
      this.#giveUpLater(entry, options)
      if (entry.isSettled) return
      this.#enter()
      if (!this.#async.hasQueued && this.#tryReserve(granulesOfRecord(this.#reader.current.length), 1)) {
        const lsn = this.#publishOne()
        this.#isInside = false
        this.#addPublished(entry, lsn, lsn)
      } else {
        this.#isInside = false
        this.#queue(entry, [
          { record: copyOf(this.#reader.current), granules: granulesOfRecord(this.#reader.current.length) },
        ])
      }
    })
  }

  /** As commitBatchSync, without blocking. */
  commitBatch(records: readonly RecordInput[], options?: AsyncWaitOptions): Promise<BatchResult> {
    return new Promise((resolve, reject) => {
      const batch = this.#readBatch(records)
      const entry = newEntry(PENDING_BATCH, resolve, reject)
      this.#giveUpLater(entry, options)
      if (entry.isSettled) return
      this.#enter()
      if (!this.#async.hasQueued && this.#tryReserve(granulesOfBatch(batch), batch.length)) {
        const firstLsn = this.#publishBatch(batch)
        this.#isInside = false
        this.#addPublished(entry, firstLsn, firstLsn + batch.length - 1)
      } else {
        this.#isInside = false
        this.#queue(
          entry,
          batch.map(({ record, granules }) => ({ record: copyOf(record), granules })),
        )
      }
    })
  }

  /** As flushSync, without blocking. Waits for the promises of this producer that are queued, too. */
  flush(lsn?: number, options?: AsyncWaitOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      const target = this.#flushTarget(lsn)
      if (target === 0) return resolve()
      const entry = newEntry(PENDING_FLUSH, resolve, reject)
      entry.firstLsn = this.#firstOfFlush(target)
      entry.lastLsn = target
      this.#giveUpLater(entry, options)
      if (entry.isSettled) return
      this.#enter()
      this.#isInside = false
      this.#noteFlushed(target)
      this.#async.addFlush(entry)
    })
  }

  /**
   * Gives back this producer's place in the log. Promises that are pending are still settled.
   *
   * @throws GroupWalError GROUPWAL_CLOSED is what every later call gets
   */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#async.rejectQueued(closedError(undefined))
    this.#async.leaveWhenSettled(() => leaveProtocol(this.#context))
  }

  [Symbol.dispose](): void {
    this.close()
  }

  // ---- entering and leaving a call

  /** Before anything is taken: heals what an earlier call left behind, and makes sure that the stack suffices. */
  #enter(): void {
    if (this.#isClosed) throw new LogClosedError('this producer is closed', { outcome: 'not-written' })
    if (this.#isInside) this.#watch.healOwn()
    probeStack(STACK_PROBE_DEPTH)
    this.#isInside = true
  }

  #refuse(error: Error): never {
    this.#isInside = false
    throw error
  }

  // ---- placing records

  #appendBlocking(record: RecordInput, deadlineMs: number): number {
    this.#reader.readRecord(record)
    this.#enter()
    if (this.#async.hasQueued) this.#pushQueuedBlocking(deadlineMs)
    this.#reserveBlocking(granulesOfRecord(this.#reader.current.length), 1, deadlineMs)
    const lsn = this.#publishOne()
    this.#isInside = false
    return lsn
  }

  #tryReserve(granules: number, recordCount: number): boolean {
    const result = this.#appender.tryReserve(granules, recordCount)
    if (result === APPEND_REFUSED) this.#refuse(refusalError(this.#context.phases))
    return result === APPEND_RESERVED && this.#checkLimit(granules, recordCount)
  }

  #reserveBlocking(granules: number, recordCount: number, deadlineMs: number): void {
    const result = this.#appender.reserve(granules, recordCount, deadlineMs)
    assert(result !== APPEND_FULL, 'a blocking reservation waits')
    if (result === APPEND_REFUSED) this.#refuse(refusalError(this.#context.phases))
    if (result === APPEND_TIMED_OUT) {
      this.#refuse(
        new WaitGivenUpError(
          'GROUPWAL_TIMEOUT',
          'the ring was full until timeoutMs passed: the record was not written',
          {
            outcome: 'not-written',
          },
        ),
      )
    }
    this.#checkLimit(granules, recordCount)
  }

  #checkLimit(granules: number, recordCount: number): boolean {
    if (this.#appender.firstLsn + recordCount <= LSN_LIMIT) return true
    this.#appender.publishNoop(recordCount, granules)
    return this.#refuse(
      new GroupWalError(
        'GROUPWAL_LSN_EXHAUSTED',
        `the log has reached its last LSN, ${LSN_LIMIT}; begin a new one`,
      ),
    )
  }

  #publishOne(): number {
    const { current } = this.#reader
    const lsn = this.#appender.firstLsn
    current.lsn = lsn
    this.#appender.encodeNext(current)
    return this.#publishPlace(lsn, lsn)
  }

  #publishBatch(batch: readonly BatchRecord[]): number {
    const firstLsn = this.#appender.firstLsn
    for (let index = 0; index < batch.length; index++) {
      const { record } = batch[index]
      record.lsn = firstLsn + index
      record.continues = index < batch.length - 1
      this.#appender.encodeNext(record)
    }
    return this.#publishPlace(firstLsn, firstLsn + batch.length - 1)
  }

  /** Publishes; an LSN that close() did not see any more is not handed out. */
  #publishPlace(firstLsn: number, lastLsn: number): number {
    const { phases } = this.#context
    this.#appender.publish()
    this.#lastLsn = lastLsn
    const phase = phases.phase()
    if (phase === PHASE_SEALING || phase === PHASE_CLOSED) {
      const verdict = this.#follower.awaitVerdict(lastLsn, NEVER)
      if (verdict !== VERDICT_DURABLE) this.#refuse(verdictError(verdict, undefined, phases))
    }
    return firstLsn
  }

  #readBatch(records: readonly RecordInput[]): BatchRecord[] {
    if (!Array.isArray(records)) throw new TypeError(`records must be an array, got ${describe(records)}`)
    if (records.length === 0) throw new RangeError('records must hold at least one record')
    const batch: BatchRecord[] = []
    let granules = 0
    for (const input of records as readonly RecordInput[]) {
      const record = this.#reader.readRecord(input)
      // Text lies in the reader's own buffer, which the next record overwrites.
      const own = typeof input.payload === 'string' ? copyOf(record) : { ...record }
      batch.push({ record: own, granules: granulesOfRecord(own.length) })
      granules += granulesOfRecord(own.length)
    }
    const limit = this.#context.ring.maxReservationGranules
    if (granules > limit) {
      throw new RangeError(
        `records take ${granules << GRANULE_SHIFT} bytes together, the limit is ${limit << GRANULE_SHIFT}; ` +
          'the options maxBatchBytes, ringBytes and segmentBytes raise it',
      )
    }
    return batch
  }

  // ---- waiting

  #deadlineOf(options: WaitOptions | undefined): number {
    const timeoutMs = options?.timeoutMs
    if (timeoutMs === undefined) return NEVER
    return this.#context.clock.monotonicMs() + checkTimeout(timeoutMs)
  }

  #awaitDurable(lsn: number, firstLsn: number, deadlineMs: number): void {
    const { phases } = this.#context
    this.#isInside = true
    const verdict = this.#follower.awaitVerdict(lsn, deadlineMs)
    this.#isInside = false
    if (verdict === VERDICT_DURABLE) {
      const failedLsn = phases.firstFailedIn(firstLsn, lsn)
      if (failedLsn === 0) return
      throw verdictError(phases.rangeVerdict(failedLsn), failedLsn, phases)
    }
    if (verdict !== VERDICT_PENDING) throw verdictError(verdict, lsn, phases)
    throw givenUp('GROUPWAL_TIMEOUT', 'timeoutMs passed', lsn, undefined)
  }

  /** Commits that wait for ring space come before what this thread is about to write. */
  #pushQueuedBlocking(deadlineMs: number): void {
    for (let commit = this.#async.oldestQueued(); commit !== undefined; commit = this.#async.oldestQueued()) {
      const { batch, entry } = commit as QueuedBatch
      this.#reserveBlocking(granulesOfBatch(batch), batch.length, deadlineMs)
      const firstLsn = this.#publishBatch(batch)
      this.#async.shiftQueued()
      this.#addPublished(entry, firstLsn, firstLsn + batch.length - 1)
    }
  }

  #addPublished(entry: PendingEntry, firstLsn: number, lastLsn: number): void {
    entry.firstLsn = firstLsn
    entry.lastLsn = lastLsn
    this.#async.addPublished(entry)
  }

  #queue(entry: PendingEntry, batch: BatchRecord[]): void {
    const queued: QueuedBatch = {
      entry,
      batch,
      publish: () => this.#publishQueued(entry, batch),
      withdraw: (error: Error) => rejectEntry(entry, error),
    }
    this.#async.addQueued(queued)
  }

  #publishQueued(entry: PendingEntry, batch: BatchRecord[]): boolean {
    if (entry.isSettled) return true
    try {
      this.#isInside = true
      if (!this.#tryReserve(granulesOfBatch(batch), batch.length)) {
        this.#isInside = false
        return false
      }
      const firstLsn = this.#publishBatch(batch)
      this.#isInside = false
      this.#addPublished(entry, firstLsn, firstLsn + batch.length - 1)
    } catch (error) {
      rejectEntry(entry, error as Error)
    }
    return true
  }

  /** Arranges for `timeoutMs` and `signal`: they end the wait; a record without a place is withdrawn. */
  #giveUpLater(entry: PendingEntry, options: AsyncWaitOptions | undefined): void {
    if (options === undefined) return
    const { signal } = options
    const giveUp = (code: 'GROUPWAL_TIMEOUT' | 'GROUPWAL_ABORTED', why: string, cause: unknown): void => {
      const isWithdrawn = entry.kind !== PENDING_FLUSH && entry.lastLsn === 0
      if (isWithdrawn) this.#async.withdrawQueued(entry)
      rejectEntry(entry, givenUp(code, why, isWithdrawn ? undefined : entry.lastLsn, cause))
    }
    let timer: NodeJS.Timeout | undefined
    const onAbort = (): void => giveUp('GROUPWAL_ABORTED', 'the signal was aborted', signal?.reason)
    entry.release = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    if (options.timeoutMs !== undefined) {
      const timeoutMs = checkTimeout(options.timeoutMs)
      timer = setTimeout(() => giveUp('GROUPWAL_TIMEOUT', 'timeoutMs passed', undefined), timeoutMs)
    }
    if (signal?.aborted) onAbort()
    else signal?.addEventListener('abort', onAbort, { once: true })
  }

  // ---- flushes

  #flushTarget(lsn: number | undefined): number {
    if (lsn === undefined) return this.#lastLsn
    const { control, ring } = this.#context
    const durableLsn = control.durableLsn()
    const handedOut = durableLsn + ((ring.tailSequence() - durableLsn) | 0) - 1
    return checkInteger('lsn', lsn, handedOut, 1)
  }

  #firstOfFlush(target: number): number {
    const first = this.#firstUnflushedLsn
    return first === 0 ? target : Math.min(first, target)
  }

  #noteAppended(lsn: number): void {
    if (this.#firstUnflushedLsn === 0) this.#firstUnflushedLsn = lsn
  }

  #noteFlushed(target: number): void {
    if (target >= this.#lastLsn) this.#firstUnflushedLsn = 0
  }
}

interface QueuedBatch {
  entry: PendingEntry
  batch: BatchRecord[]
  publish(): boolean
  withdraw(error: Error): void
}

function granulesOfBatch(batch: readonly BatchRecord[]): number {
  let granules = 0
  for (const { granules: some } of batch) granules += some
  return granules
}

/** A record that owns its bytes. */
function copyOf(record: EncodableRecord): EncodableRecord {
  return { ...record, payload: record.payload.slice(record.from, record.from + record.length), from: 0 }
}

function newEntry(
  kind: number,
  resolve: (result: never) => void,
  reject: (error: unknown) => void,
): PendingEntry {
  return { kind, firstLsn: 0, lastLsn: 0, resolve, reject, isSettled: false, release: undefined }
}

function givenUp(
  code: 'GROUPWAL_TIMEOUT' | 'GROUPWAL_ABORTED',
  why: string,
  lsn: number | undefined,
  cause: unknown,
): WaitGivenUpError {
  const outcome = lsn === undefined ? 'not-written' : 'indeterminate'
  const what =
    lsn === undefined ? 'the record was withdrawn, it is not written' : `record ${lsn} may yet become durable`
  return new WaitGivenUpError(code, `${why}: ${what}`, { outcome, lsn, cause })
}

function checkTimeout(timeoutMs: unknown): number {
  if (typeof timeoutMs !== 'number')
    throw new TypeError(`timeoutMs must be a number, got ${describe(timeoutMs)}`)
  if (!(timeoutMs >= 0)) throw new RangeError(`timeoutMs must be 0 or more, got ${timeoutMs}`)
  return timeoutMs
}

function probeStack(depth: number): number {
  return depth === 0 ? 0 : probeStack(depth - 1) + 1
}
