/** What is known about a record whose commit failed. */
export type CommitOutcome = 'not-written' | 'indeterminate'

/** Every `code` that a groupwal error can have. Stable: programs may switch on it. */
export type GroupWalErrorCode =
  | 'GROUPWAL_COMMIT_FAILED'
  | 'GROUPWAL_TIMEOUT'
  | 'GROUPWAL_ABORTED'
  | 'GROUPWAL_CLOSED'
  | 'GROUPWAL_CORRUPT'
  | 'GROUPWAL_UNSUPPORTED_VERSION'
  | 'GROUPWAL_UNKNOWN_RECORD_TYPE'
  | 'GROUPWAL_FOREIGN_DIRECTORY'
  | 'GROUPWAL_LOCKED'
  | 'GROUPWAL_LOCK_UNAVAILABLE'
  | 'GROUPWAL_OPEN_FAILED'
  | 'GROUPWAL_SYNC_METHOD_UNAVAILABLE'
  | 'GROUPWAL_TOO_MANY_PRODUCERS'
  | 'GROUPWAL_INVALID_HANDLE'
  | 'GROUPWAL_RESUME_REFUSED'
  | 'GROUPWAL_WORKER_START'
  | 'GROUPWAL_WORKER_DIED'
  | 'GROUPWAL_LSN_EXHAUSTED'
  | 'GROUPWAL_READ_TRUNCATED'
  | 'GROUPWAL_TRUNCATE_FAILED'
  | 'GROUPWAL_IO'

const brand = Symbol.for('groupwal.error')

/**
 * Base of all errors about the world (disk, other processes, other threads). A caller's own mistakes are
 * `TypeError` and `RangeError`. Test with `GroupWalError.is(e)`: it works across copies of the package, ESM and CJS.
 */
export class GroupWalError extends Error {
  override name = 'GroupWalError'
  readonly code: GroupWalErrorCode
  constructor(code: GroupWalErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    Object.defineProperty(this, brand, { value: true, enumerable: false })
  }

  /** Tells whether a value is an error of groupwal, whichever copy of the package made it. */
  static is(value: unknown): value is GroupWalError {
    return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[brand] === true
  }
}

/** The write or sync that should have made a record durable failed, or the log had failed before it. */
export class CommitFailedError extends GroupWalError {
  override name = 'CommitFailedError'
  /** `not-written`: it is not in the log and never will be. `indeterminate`: it may be recovered after a crash, until `resume()` returned. */
  readonly outcome: CommitOutcome
  /** The record's LSN, of a batch that of its first record; undefined when it never got one. */
  readonly lsn: number | undefined
  constructor(
    message: string,
    fields: { outcome: CommitOutcome; lsn?: number | undefined; cause?: unknown },
  ) {
    super('GROUPWAL_COMMIT_FAILED', message, { cause: fields.cause })
    this.outcome = fields.outcome
    this.lsn = fields.lsn
  }
}

/** The log was closed before the record became durable. */
export class LogClosedError extends GroupWalError {
  override name = 'LogClosedError'
  /** `indeterminate` only when close() itself gave up on a write that did not end. */
  readonly outcome: CommitOutcome
  /** As in CommitFailedError. */
  readonly lsn: number | undefined
  constructor(message: string, fields: { outcome: CommitOutcome; lsn?: number | undefined }) {
    super('GROUPWAL_CLOSED', message)
    this.outcome = fields.outcome
    this.lsn = fields.lsn
  }
}

/** The wait was given up (`timeoutMs` or `signal`), not the record. */
export class WaitGivenUpError extends GroupWalError {
  override name = 'WaitGivenUpError'
  /** `indeterminate`: it was published and may yet become durable. `not-written`: it was withdrawn before it got an LSN. */
  readonly outcome: CommitOutcome
  /** As in CommitFailedError. */
  readonly lsn: number | undefined
  constructor(
    code: 'GROUPWAL_TIMEOUT' | 'GROUPWAL_ABORTED',
    message: string,
    fields: { outcome: CommitOutcome; lsn?: number | undefined; cause?: unknown },
  ) {
    super(code, message, { cause: fields.cause })
    this.outcome = fields.outcome
    this.lsn = fields.lsn
  }
}

/** Acknowledged data is damaged or missing. */
export class CorruptLogError extends GroupWalError {
  override name = 'CorruptLogError'
  /** File name of the segment. */
  readonly segment: string
  /** Byte offset in the segment at which the damage was found. */
  readonly offset: number
  /** First and last LSN that are concerned, as far as known. */
  readonly firstLsn: number | undefined
  readonly lastLsn: number | undefined
  constructor(
    message: string,
    fields: {
      segment: string
      offset: number
      firstLsn?: number | undefined
      lastLsn?: number | undefined
      cause?: unknown
    },
  ) {
    super('GROUPWAL_CORRUPT', message, { cause: fields.cause })
    this.segment = fields.segment
    this.offset = fields.offset
    this.firstLsn = fields.firstLsn
    this.lastLsn = fields.lastLsn
  }
}

/** The records asked for were dropped by `truncateBefore`, before the read began or while it went on. */
export class ReadTruncatedError extends GroupWalError {
  override name = 'ReadTruncatedError'
  /** The LSN that the reader was to return next. */
  readonly lsn: number
  /** The lowest LSN that still stands in the log, as far as known. */
  readonly firstLsn: number | undefined
  constructor(message: string, fields: { lsn: number; firstLsn?: number | undefined }) {
    super('GROUPWAL_READ_TRUNCATED', message)
    this.lsn = fields.lsn
    this.firstLsn = fields.firstLsn
  }
}

/** Who has a log open, as its LOCK file says. */
export interface LockOwner {
  pid: number
  /** Clock ticks between boot and the start of the process; undefined where /proc is missing. */
  startTime: number | undefined
  bootId: string | undefined
  hostName: string
}

/** The log is open already, in this process or in another. */
export class LockedError extends GroupWalError {
  override name = 'LockedError'
  /** Undefined when the LOCK file did not say. */
  readonly owner: LockOwner | undefined
  constructor(message: string, owner: LockOwner | undefined) {
    super('GROUPWAL_LOCKED', message)
    this.owner = owner
  }
}
