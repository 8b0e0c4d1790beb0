import type { GroupWalError } from '../errors.ts'

/** What a promise commit is resolved with. */
export interface CommitResult {
  /** The record's own LSN. */
  lsn: number
  durable: true
}

/** What a batch commit is resolved with. */
export interface BatchResult {
  firstLsn: number
  lastLsn: number
  durable: true
}

export const PENDING_COMMIT = 0
export const PENDING_BATCH = 1
export const PENDING_FLUSH = 2

/** One promise that waits for its records to be decided. */
export interface PendingEntry {
  kind: number
  firstLsn: number
  /** Decided when this LSN is. */
  lastLsn: number
  resolve: (result: never) => void
  reject: (error: unknown) => void
  /** Given up (timeout or abort): its promise is rejected already. */
  isSettled: boolean
  /** Undoes timer and abort listener. */
  release: (() => void) | undefined
}

export function pendingEntry(
  kind: number,
  resolve: (result: never) => void,
  reject: (error: unknown) => void,
): PendingEntry {
  return { kind, firstLsn: 0, lastLsn: 0, resolve, reject, isSettled: false, release: undefined }
}

/** First in, first out, without shifting: entries are decided in the order of their LSNs. */
export class EntryQueue<T> {
  private items: (T | undefined)[]
  private head: number
  private count: number

  constructor() {
    this.items = new Array(64).fill(undefined)
    this.head = 0
    this.count = 0
  }

  get length(): number {
    return this.count
  }

  push(item: T): void {
    if (this.count === this.items.length) this.grow()
    this.items[(this.head + this.count) & (this.items.length - 1)] = item
    this.count++
  }

  /** The oldest; undefined when empty. */
  peek(): T | undefined {
    return this.items[this.head]
  }

  shift(): T | undefined {
    const item = this.items[this.head]
    if (this.count === 0) return undefined
    this.items[this.head] = undefined
    this.head = (this.head + 1) & (this.items.length - 1)
    this.count--
    return item
  }

  private grow(): void {
    const larger: (T | undefined)[] = new Array(this.items.length * 2).fill(undefined)
    for (let index = 0; index < this.count; index++) {
      larger[index] = this.items[(this.head + index) & (this.items.length - 1)]
    }
    this.items = larger
    this.head = 0
  }
}

/** The LSN that an error of this entry names: of a batch its first. 0 as long as it has none. */
export function lsnOfEntry({ kind, firstLsn, lastLsn }: PendingEntry): number {
  // A flush begins with an append that may be durable.
  return kind === PENDING_FLUSH ? lastLsn : firstLsn
}

/**
 * Settles an entry as durable. The promise first: when this is cut off, it may be done again. The release last: a signal
 * whose removeEventListener throws does so once, and not whenever the entries behind this one are to be settled.
 */
export function resolveEntry(entry: PendingEntry): void {
  if (entry.isSettled) return
  const resolve = entry.resolve as (result: unknown) => void
  if (entry.kind === PENDING_COMMIT) resolve({ lsn: entry.lastLsn, durable: true } satisfies CommitResult)
  else if (entry.kind === PENDING_BATCH) {
    resolve({ firstLsn: entry.firstLsn, lastLsn: entry.lastLsn, durable: true } satisfies BatchResult)
  } else resolve(undefined)
  entry.isSettled = true
  entry.release?.()
}

export function rejectEntry(entry: PendingEntry, error: GroupWalError | Error): void {
  if (entry.isSettled) return
  entry.reject(error)
  entry.isSettled = true
  entry.release?.()
}
