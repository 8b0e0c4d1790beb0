import { compareExchange, load, notify, store, type WideWords, type Words } from './atomics.ts'
import {
  ABANDONED,
  DURABLE_LSN,
  FAILED_FROM,
  FAILED_RANGE_COUNT,
  FAILED_RANGES,
  FAILED_RANGES_LIMIT,
  FAILURE_CALL,
  FAILURE_ERRNO,
  HEAD_LSN,
  INDETERMINATE_TO,
  OPENED_DURABLE,
  OPENED_NEXT,
  PHASE,
  RESUMED_FROM,
} from './layout.ts'
import type { SharedMemory } from './memory.ts'

/** Records are taken and committed. */
export const PHASE_OPEN = 0
/** close() was called: what is reserved is committed, new records are refused. */
export const PHASE_CLOSING = 1
/** The last look at the ring was taken; only the closing thread stages. */
export const PHASE_SEALING = 2
export const PHASE_CLOSED = 3
/** A write or sync failed; what the frames in flight become is not settled yet. */
export const PHASE_POISONED = 4
/** As POISONED, and every outcome is final. */
export const PHASE_SETTLED = 5
/** resume() is at work: no verdict of failure is given until it ends. */
export const PHASE_RESUMING = 6
//
//     OPEN -> CLOSING -> SEALING -> CLOSED
//     OPEN, CLOSING, SEALING -> POISONED -> SETTLED -> RESUMING -> OPEN
//                                           SETTLED -> CLOSED

const PHASE_BITS = 4
/** Of the eras, those that a thread may come late by. */
const ERA_MASK = 0xfffff
const EVERYBODY = 0x7fffffff
/** Larger than every LSN, as are the numbers just below it: nothing has failed. */
const NOTHING_FAILED = Number.MAX_SAFE_INTEGER

/** The phase in a phase word. */
export function phaseOf(phaseWord: number): number {
  return phaseWord & ((1 << PHASE_BITS) - 1)
}

/** The log takes frames: it has not failed, and is not closed. */
export function isUnfailed(phase: number): boolean {
  return phase === PHASE_OPEN || phase === PHASE_CLOSING || phase === PHASE_SEALING
}

export const VERDICT_PENDING = 0
export const VERDICT_DURABLE = 1
export const VERDICT_NOT_WRITTEN = 2
export const VERDICT_INDETERMINATE = 3
/** The log was closed before the record was staged: it is not written. */
export const VERDICT_CLOSED = 4
/** close() gave up on a write that did not end: the record may be on disk or not. */
export const VERDICT_ABANDONED = 5

/** View on the phase of the log, the failed LSN ranges, and so on the verdict about each record. */
export class Phases {
  private readonly words: Words
  private readonly wide: WideWords

  constructor(memory: SharedMemory) {
    this.words = memory.words
    this.wide = memory.wide
  }

  /** Before any thread uses the log. */
  initialize(): void {
    this.wide.store(FAILED_FROM * 4, NOTHING_FAILED)
    this.wide.store(INDETERMINATE_TO * 4, 0)
    store(this.words, PHASE, PHASE_OPEN)
  }

  phaseIndex(): number {
    return PHASE
  }

  phaseWord(): number {
    return load(this.words, PHASE)
  }

  phase(): number {
    return phaseOf(load(this.words, PHASE))
  }

  /** Changes the phase, and the era with it; false when the word is no longer `expected`. */
  changePhase(expected: number, phase: number): boolean {
    const era = (expected >>> PHASE_BITS) + 1
    if (!compareExchange(this.words, PHASE, expected, (era << PHASE_BITS) | phase)) return false
    notify(this.words, PHASE, EVERYBODY)
    return true
  }

  // ---- what the opener found

  /** Before any thread uses the log: what is durable, and the LSN that it goes on with. */
  storeOpening(durableLsn: number, nextLsn: number): void {
    this.wide.store(OPENED_DURABLE * 4, durableLsn)
    this.wide.store(OPENED_NEXT * 4, nextLsn)
  }

  /** When the log was opened it went on behind this LSN: no record has it, though durable LSNs will pass it. */
  isSkipped(lsn: number): boolean {
    return lsn > this.wide.load(OPENED_DURABLE * 4) && lsn < this.wide.load(OPENED_NEXT * 4)
  }

  // ---- what failed

  failedFrom(): number {
    return this.wide.load(FAILED_FROM * 4)
  }

  indeterminateTo(): number {
    return this.wide.load(INDETERMINATE_TO * 4)
  }

  /**
   * Every LSN from here on has failed, unless a later resume ends the range. Before the phase says so. A thread that
   * comes with it only after that resume changes nothing: RESUMED_FROM is stored before FAILED_FROM is cleared, to a
   * value that no earlier clearing used.
   */
  lowerFailedFrom(lsn: number): void {
    for (;;) {
      const now = this.wide.load(FAILED_FROM * 4)
      if (now <= lsn || this.isResumedPast(lsn)) return
      if (this.wide.compareExchange(FAILED_FROM * 4, now, lsn) === now) return
    }
  }

  /** Has a resume since written down what failed at this LSN? */
  isResumedPast(lsn: number): boolean {
    return lsn < this.wide.load(RESUMED_FROM * 4)
  }

  raiseIndeterminateTo(lsn: number): void {
    for (;;) {
      const now = this.wide.load(INDETERMINATE_TO * 4)
      if (now >= lsn || this.wide.compareExchange(INDETERMINATE_TO * 4, now, lsn) === now) return
    }
  }

  /** Why the log failed: the first failure's errno (0: a short write) and the call. */
  storeFailure(errno: number, call: number): void {
    store(this.words, FAILURE_ERRNO, errno)
    store(this.words, FAILURE_CALL, call)
  }

  failureErrno(): number {
    return load(this.words, FAILURE_ERRNO)
  }

  failureCall(): number {
    return load(this.words, FAILURE_CALL)
  }

  failedRangeCount(): number {
    return load(this.words, FAILED_RANGE_COUNT)
  }

  isFailedRangeTableFull(): boolean {
    return this.failedRangeCount() === FAILED_RANGES_LIMIT
  }

  /** Writes down, for ever, that [first, last] failed. Before DURABLE_LSN may pass it. Only resume calls it. */
  addFailedRange(first: number, indeterminateTo: number, last: number): void {
    const count = this.failedRangeCount()
    const at = (FAILED_RANGES + count * 6) * 4
    this.wide.store(at, first)
    this.wide.store(at + 8, indeterminateTo)
    this.wide.store(at + 16, last)
    store(this.words, FAILED_RANGE_COUNT, count + 1)
  }

  /** Nothing from `nextLsn` on has failed. Only resume, before it opens the log again. */
  clearFailure(nextLsn: number): void {
    this.wide.store(RESUMED_FROM * 4, nextLsn)
    const era = (this.phaseWord() >>> PHASE_BITS) & ERA_MASK
    this.wide.store(FAILED_FROM * 4, NOTHING_FAILED - era - 1)
    this.wide.store(INDETERMINATE_TO * 4, 0)
  }

  /**
   * close() is about to give up: on a log that has not failed, nothing that is staged by now will be settled. Under the
   * commit-lock, before the phase becomes CLOSED.
   */
  storeAbandoned(isUnsettled: boolean): void {
    store(this.words, ABANDONED, isUnsettled ? 1 : 0)
  }

  /** The verdict of the ranges that resume wrote down: VERDICT_PENDING when the LSN is in none. */
  rangeVerdict(lsn: number): number {
    const count = load(this.words, FAILED_RANGE_COUNT)
    for (let index = 0; index < count; index++) {
      const at = (FAILED_RANGES + index * 6) * 4
      if (lsn < this.wide.load(at) || lsn > this.wide.load(at + 16)) continue
      return lsn <= this.wide.load(at + 8) ? VERDICT_INDETERMINATE : VERDICT_NOT_WRITTEN
    }
    return VERDICT_PENDING
  }

  /** The first failed LSN in [from, to] that resume wrote down, or 0. */
  firstFailedIn(from: number, to: number): number {
    const count = load(this.words, FAILED_RANGE_COUNT)
    for (let index = 0; index < count; index++) {
      const at = (FAILED_RANGES + index * 6) * 4
      const first = this.wide.load(at)
      if (first <= to && this.wide.load(at + 16) >= from) return Math.max(first, from)
    }
    return 0
  }

  /**
   * The verdict on a record, by its own LSN: once it is not VERDICT_PENDING it never changes.
   *
   * Order matters. DURABLE_LSN is loaded before the ranges, and a range is stored before DURABLE_LSN may pass it:
   * so a durable LSN that covers a failed record is never seen without its range. The phase word is loaded before
   * FAILED_FROM and again after: a failure is only told when no resume began in between.
   */
  verdictOn(lsn: number): number {
    for (;;) {
      const phaseWord = load(this.words, PHASE)
      const durableLsn = this.wide.load(DURABLE_LSN * 4)
      const ranged = this.rangeVerdict(lsn)
      if (ranged !== VERDICT_PENDING) return ranged
      if (durableLsn >= lsn) return VERDICT_DURABLE
      const phase = phaseOf(phaseWord)
      if (phase !== PHASE_SETTLED && phase !== PHASE_CLOSED) return VERDICT_PENDING
      const failedFrom = this.wide.load(FAILED_FROM * 4)
      const indeterminateTo = this.wide.load(INDETERMINATE_TO * 4)
      if (load(this.words, PHASE) !== phaseWord) continue
      const hasFailed = lsn >= failedFrom
      if (hasFailed && lsn <= indeterminateTo) return VERDICT_INDETERMINATE
      if (phase !== PHASE_CLOSED) return hasFailed ? VERDICT_NOT_WRITTEN : VERDICT_PENDING
      // An older frame that fails after close() gave up says nothing of those that are being written behind it.
      const isStaged = lsn < this.wide.load(HEAD_LSN * 4)
      if (isStaged && (!hasFailed || load(this.words, ABANDONED) === 1)) return VERDICT_ABANDONED
      return hasFailed ? VERDICT_NOT_WRITTEN : VERDICT_CLOSED
    }
  }
}
