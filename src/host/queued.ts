import type { Batch } from './batch.ts'
import { EntryQueue, type PendingEntry } from './pending.ts'

/** What waits for ring space before it can be published; `publish` returns false while the ring is full. */
export interface QueuedCommit {
  entry: PendingEntry
  batch: Batch
  publish(): boolean
}

/**
 * The commits of one producer that have no place in the ring yet, in the order of their calls. One that is given up
 * stays where it is until it comes to the head: to look for it would take as long as the queue is, and when the disk
 * stalls, all of it is given up. So nothing that was given up stands at the head.
 */
export class Queued {
  private readonly commits: EntryQueue<QueuedCommit>
  private readonly withdrawn: Set<PendingEntry>

  constructor() {
    this.commits = new EntryQueue()
    this.withdrawn = new Set()
  }

  /** How many are in the queue; 0 when none wants a place. */
  get length(): number {
    return this.commits.length
  }

  add(commit: QueuedCommit): void {
    this.commits.push(commit)
  }

  /** It wants no place any more. */
  withdraw(entry: PendingEntry): void {
    this.withdrawn.add(entry)
    this.passWithdrawn()
  }

  /** The one to be published next; undefined when there is none. */
  oldest(): QueuedCommit | undefined {
    return this.commits.peek()
  }

  /** Takes the oldest out. */
  shift(): void {
    this.commits.shift()
    this.passWithdrawn()
  }

  private passWithdrawn(): void {
    for (let commit = this.commits.peek(); commit !== undefined; commit = this.commits.peek()) {
      if (!this.withdrawn.delete(commit.entry)) return
      this.commits.shift()
    }
    // One that was given up while its record was read never came here.
    this.withdrawn.clear()
  }
}
