import type { EncodableRecord } from '../commit/appender.ts'
import type { CommitContext } from '../commit/context.ts'
import { Follower } from '../commit/follower.ts'
import { leaveProtocol } from '../commit/join.ts'
import { Leader } from '../commit/leader.ts'
import { granulesOfRecord } from '../commit/prefix.ts'
import { Watch } from '../commit/watch.ts'
import { GroupWalError, WaitGivenUpError } from '../errors.ts'
import { RECORD_HEADER_BYTES } from '../format/record.ts'
import { GRANULE_SHIFT } from '../shared/layout.ts'
import { VERDICT_DURABLE, VERDICT_PENDING } from '../shared/phase.ts'
import { AsyncCommits } from './async-commits.ts'
import { type Batch, copyBatch, readBatch } from './batch.ts'
import { closedError, verdictError } from './failure.ts'
import { FlushTargets } from './flush-targets.ts'
import {
  type AsyncWaitOptions,
  cutOffError,
  deadlineOf,
  flushGivenUpError,
  givenUpError,
  giveUpLater,
  type WaitOptions,
} from './give-up.ts'
import {
  type BatchResult,
  type CommitResult,
  PENDING_BATCH,
  PENDING_COMMIT,
  PENDING_FLUSH,
  type PendingEntry,
  pendingEntry,
  rejectEntry,
} from './pending.ts'
import { Placer } from './placer.ts'
import { type RecordInput, RecordReader } from './record-input.ts'

/**
 * One thread's way to write into a log. Made by `connect(handle)` in any worker thread of the process that opened
 * the log, or by `log.connect()`; belongs to the thread that made it. Records of one producer are in the log in the
 * order of its calls.
 */
export class Producer {
  readonly #context: CommitContext
  readonly #placer: Placer
  readonly #follower: Follower
  readonly #async: AsyncCommits
  readonly #reader: RecordReader
  readonly #flushes: FlushTargets
  readonly #nowMs: () => number
  #isClosed: boolean

  /**
   * @internal use `connect(handle)` or `log.connect()`
   * @param ownLeadMs its promises may be written by this thread itself while writes last no longer; 0: never
   */
  constructor(context: CommitContext, ownLeadMs: number) {
    this.#context = context
    const leader = new Leader(context)
    const watch = new Watch(context, leader)
    this.#follower = new Follower(context, leader, watch)
    this.#placer = new Placer(context, leader, watch, this.#follower)
    this.#async = new AsyncCommits(context, leader, watch, ownLeadMs)
    this.#reader = new RecordReader(
      (context.ring.maxReservationGranules << GRANULE_SHIFT) - RECORD_HEADER_BYTES,
    )
    this.#flushes = new FlushTargets(context)
    this.#nowMs = context.clock.monotonicMs
    this.#isClosed = false
  }

  /** LSN of this producer's newest record, 0 when there is none. */
  get lastLsn(): number {
    return this.#placer.lastLsn
  }

  /** All records with LSN <= this are on disk. */
  get durableLsn(): number {
    return this.#context.control.durableLsn()
  }

  /** Whether close() was called. */
  get isClosed(): boolean {
    return this.#isClosed
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
   * @throws WaitGivenUpError GROUPWAL_TIMEOUT
   * @throws LogClosedError GROUPWAL_CLOSED
   * @throws GroupWalError GROUPWAL_LSN_EXHAUSTED
   */
  commitSync(record: RecordInput, options?: WaitOptions): CommitResult {
    const deadlineMs = deadlineOf(options, this.#nowMs)
    const current = this.#reader.readRecord(record)
    this.#placer.enterBlocking()
    const lsn = this.#placeOne(current, deadlineMs)
    this.#awaitDurable(lsn, lsn, deadlineMs)
    return { lsn, durable: true }
  }

  /**
   * Commits records together: recovered all or not at all. Blocks this thread.
   *
   * @throws as commitSync, `lsn` being that of the first record; RangeError when they do not fit into one batch
   *   (option maxBatchBytes)
   */
  commitBatchSync(records: readonly RecordInput[], options?: WaitOptions): BatchResult {
    const deadlineMs = deadlineOf(options, this.#nowMs)
    const batch = readBatch(records, this.#reader, this.#context.ring.maxReservationGranules)
    this.#placer.enterBlocking()
    this.#pushQueued(deadlineMs)
    this.#placer.reserve(batch.granules, batch.records.length, deadlineMs)
    const firstLsn = this.#placer.publishBatch(batch)
    const lastLsn = firstLsn + batch.records.length - 1
    this.#awaitDurable(lastLsn, lastLsn, deadlineMs, firstLsn)
    return { firstLsn, lastLsn, durable: true }
  }

  /**
   * Publishes a record without waiting for it to be durable; returns its LSN. Blocks while the ring is full. A
   * later flush tells whether it became durable; what is unpublished when the process ends is lost.
   *
   * @throws as commitSync
   */
  append(record: RecordInput, options?: WaitOptions): number {
    const deadlineMs = deadlineOf(options, this.#nowMs)
    const current = this.#reader.readRecord(record)
    this.#placer.enter()
    const lsn = this.#placeOne(current, deadlineMs)
    this.#placer.leave()
    this.#noteAppended(lsn)
    return lsn
  }

  /** As append, but returns undefined instead of waiting when the ring is full, or others wait before it. */
  tryAppend(record: RecordInput): number | undefined {
    const current = this.#reader.readRecord(record)
    this.#placer.enter()
    const hasPlace = !this.#async.hasQueued && this.#placer.tryReserve(granulesOfRecord(current.length), 1)
    const lsn = hasPlace ? this.#placer.publishOne(current) : undefined
    this.#placer.leave()
    if (lsn !== undefined) this.#noteAppended(lsn)
    else this.#context.counters.count('fullRings', 1)
    return lsn
  }

  /**
   * Waits until everything up to `lsn` (default: this producer's newest record) is durable. Blocks this thread.
   *
   * @throws CommitFailedError when that record, or an earlier append of this producer that no flush told of, failed
   * @throws RangeError when `lsn` was not handed out yet, or stands for no record: it is in the gap that the log had
   *   when it was opened (`log.recovery.gap`), or below its first LSN
   */
  flushSync(lsn?: number, options?: WaitOptions): void {
    const deadlineMs = deadlineOf(options, this.#nowMs)
    this.#placer.enterBlocking()
    try {
      this.#pushQueued(deadlineMs)
    } catch (error) {
      // Those that wait for space stay where they are: nothing was withdrawn.
      throw error instanceof WaitGivenUpError
        ? flushGivenUpError('GROUPWAL_TIMEOUT', 'timeoutMs passed')
        : error
    }
    this.#placer.leave()
    const target = this.#flushes.targetOf(lsn, this.lastLsn)
    if (target === 0) return
    this.#placer.enter()
    const firstLsn = this.#flushes.begin(target, this.lastLsn)
    try {
      this.#awaitDurable(target, firstLsn, deadlineMs)
    } catch (error) {
      if (error instanceof WaitGivenUpError) this.#flushes.noteUntold(firstLsn)
      throw error
    }
  }

  /** As commitSync, without blocking: many may be pending. Keeps its thread alive until it is settled. */
  commit(record: RecordInput, options?: AsyncWaitOptions): Promise<CommitResult> {
    return new Promise((resolve, reject) => {
      const entry = pendingEntry(PENDING_COMMIT, resolve, reject)
      // Before the record is read: options may run code of the caller's, which may use the reader.
      if (this.#giveUpLater(entry, options)) return
      try {
        const current = this.#reader.readRecord(record)
        if (entry.isSettled) return
        this.#placer.enter()
        if (!this.#async.hasQueued && this.#placer.tryReserve(granulesOfRecord(current.length), 1)) {
          this.#noteReserved(entry, 1)
          this.#placer.publishOne(current)
          this.#addPublished(entry)
        } else {
          this.#queue(entry, copyBatch([current]))
        }
        this.#placer.leave()
      } catch (error) {
        this.#rejectCall(entry, error as Error)
      }
    })
  }

  /** As commitBatchSync, without blocking. */
  commitBatch(records: readonly RecordInput[], options?: AsyncWaitOptions): Promise<BatchResult> {
    return new Promise((resolve, reject) => {
      const entry = pendingEntry(PENDING_BATCH, resolve, reject)
      if (this.#giveUpLater(entry, options)) return
      try {
        const batch = readBatch(records, this.#reader, this.#context.ring.maxReservationGranules)
        if (entry.isSettled) return
        this.#placer.enter()
        if (!this.#async.hasQueued && this.#placer.tryReserve(batch.granules, batch.records.length)) {
          this.#publishReserved(entry, batch)
        } else {
          this.#queue(entry, copyBatch(batch.records))
        }
        this.#placer.leave()
      } catch (error) {
        this.#rejectCall(entry, error as Error)
      }
    })
  }

  /** As flushSync, without blocking. Without `lsn` it also waits for this producer's commits that are queued. */
  flush(lsn?: number, options?: AsyncWaitOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#placer.enter()
      this.#placer.leave()
      const entry = pendingEntry(PENDING_FLUSH, resolve, reject)
      const isBehindQueued = lsn === undefined && this.#async.hasQueued
      const target = isBehindQueued ? 0 : this.#flushes.targetOf(lsn, this.lastLsn)
      if (this.#giveUpLater(entry, options)) return
      // What is queued has no LSN yet: the flush begins when the last of it has.
      if (isBehindQueued) this.#async.whenPushed(() => this.#beginFlush(entry, this.#placer.lastLsn))
      else this.#beginFlush(entry, target)
    })
  }

  /** Gives back this producer's place in the log. Promises that are pending are still settled, later calls refused. */
  close(): void {
    if (this.#isClosed) return
    this.#placer.close()
    this.#isClosed = true
    this.#async.rejectQueued(closedError(undefined))
    this.#async.leaveWhenSettled(() => leaveProtocol(this.#context))
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #placeOne(current: EncodableRecord, deadlineMs: number): number {
    if (this.#async.hasQueued) this.#pushQueued(deadlineMs)
    this.#placer.reserve(granulesOfRecord(current.length), 1, deadlineMs)
    return this.#placer.publishOne(current)
  }

  /** Commits that wait for ring space come before what this thread is about to write. */
  #pushQueued(deadlineMs: number): void {
    for (let queued = this.#async.oldestQueued(); queued !== undefined; queued = this.#async.oldestQueued()) {
      const { batch, entry } = queued
      if (!this.#wasCutOff(entry)) {
        this.#placer.reserve(batch.granules, batch.records.length, deadlineMs)
        this.#publishReserved(entry, batch)
      }
      this.#async.shiftQueued()
    }
  }

  /** Waits, and leaves the call with the verdict on everything from `firstLsn` to `lsn`; errors name `toldLsn`. */
  #awaitDurable(lsn: number, firstLsn: number, deadlineMs: number, toldLsn: number = lsn): void {
    const { phases } = this.#context
    const verdict = this.#follower.awaitVerdict(lsn, deadlineMs)
    this.#placer.leave()
    if (verdict === VERDICT_PENDING) throw givenUpError('GROUPWAL_TIMEOUT', 'timeoutMs passed', toldLsn)
    if (verdict !== VERDICT_DURABLE) throw verdictError(verdict, toldLsn, phases)
    const failedLsn = firstLsn === lsn ? 0 : phases.firstFailedIn(firstLsn, lsn)
    if (failedLsn !== 0) throw verdictError(phases.rangeVerdict(failedLsn), failedLsn, phases)
  }

  /** Before the record can be seen: should this call be cut off, it is not published again, nor said to be unwritten. */
  #noteReserved(entry: PendingEntry, recordCount: number): void {
    entry.firstLsn = this.#placer.reservedLsn
    entry.lastLsn = entry.firstLsn + recordCount - 1
  }

  #publishReserved(entry: PendingEntry, batch: Batch): void {
    this.#noteReserved(entry, batch.records.length)
    this.#placer.publishBatch(batch)
    this.#addPublished(entry)
  }

  /** A call that published this record was cut off (a `vm` timeout, a stack overflow): nobody knows how far it came. */
  #wasCutOff(entry: PendingEntry): boolean {
    if (entry.lastLsn === 0 || entry.isSettled) return entry.isSettled
    rejectEntry(entry, cutOffError(entry))
    return true
  }

  /** What ended the call says nothing about a record that has its place: it may have been published. */
  #rejectCall(entry: PendingEntry, error: Error): void {
    const isCutOff = entry.lastLsn > 0 && !GroupWalError.is(error)
    rejectEntry(entry, isCutOff ? cutOffError(entry, error) : error)
  }

  #addPublished(entry: PendingEntry): void {
    this.#async.addPublished(entry)
    this.#placer.wakeBehindHole()
  }

  /** The ring is full, or others wait before it. */
  #queue(entry: PendingEntry, batch: Batch): void {
    this.#context.counters.count('fullRings', 1)
    this.#async.addQueued({ entry, batch, publish: () => this.#publishQueued(entry, batch) })
  }

  /** In a turn of the event loop: false while the ring is full. */
  #publishQueued(entry: PendingEntry, batch: Batch): boolean {
    if (this.#wasCutOff(entry)) return true
    try {
      this.#placer.enter()
      const hasPlace = this.#placer.tryReserve(batch.granules, batch.records.length)
      if (hasPlace) this.#publishReserved(entry, batch)
      this.#placer.leave()
      return hasPlace
    } catch (error) {
      this.#rejectCall(entry, error as Error)
      return true
    }
  }

  /** True when the entry is settled already: its signal was aborted before. */
  #giveUpLater(entry: PendingEntry, options: AsyncWaitOptions | undefined): boolean {
    if (options !== undefined) giveUpLater(entry, options, (givenUp) => this.#onGivenUp(givenUp))
    return entry.isSettled
  }

  #onGivenUp(entry: PendingEntry): void {
    if (entry.kind === PENDING_FLUSH) this.#flushes.noteUntold(entry.firstLsn)
    else if (entry.lastLsn === 0) this.#async.withdrawQueued(entry)
  }

  #beginFlush(entry: PendingEntry, target: number): void {
    if (entry.isSettled) return
    // Once, also when a call that was cut off behind this comes here again: it tells of what came before it.
    if (entry.firstLsn === 0) entry.firstLsn = this.#flushes.begin(target, this.lastLsn)
    entry.lastLsn = target
    this.#async.addFlush(entry)
  }

  /** The committer leads for those who do not wait. */
  #noteAppended(lsn: number): void {
    this.#flushes.noteAppended(lsn)
    this.#context.doorbell.ringCommitter()
  }
}
