import type { Control } from '../shared/control.ts'
import { PHASE_OPEN, type Phases, VERDICT_DURABLE, VERDICT_PENDING } from '../shared/phase.ts'
import { verdictError } from './failure.ts'
import { EntryQueue, lsnOfEntry, type PendingEntry, rejectEntry, resolveEntry } from './pending.ts'

/** The promises of one producer whose records have their places in the log, and its flushes, until they are decided. */
export class Unsettled {
  private readonly control: Control
  private readonly phases: Phases
  private readonly commits: EntryQueue<PendingEntry>
  private flushes: PendingEntry[]
  /** Commits settled so far. */
  settledCount: number

  constructor(control: Control, phases: Phases) {
    this.control = control
    this.phases = phases
    this.commits = new EntryQueue()
    this.flushes = []
    this.settledCount = 0
  }

  get commitCount(): number {
    return this.commits.length
  }

  get flushCount(): number {
    return this.flushes.length
  }

  /** LSNs only grow. */
  keepCommit(entry: PendingEntry): void {
    this.commits.push(entry)
  }

  /** It may wait for an older LSN than others, or for one that is durable. */
  keepFlush(entry: PendingEntry): void {
    this.flushes.push(entry)
  }

  hasDecided(): boolean {
    const oldest = this.commits.peek()
    if (oldest !== undefined && this.phases.verdictOn(oldest.lastLsn) !== VERDICT_PENDING) return true
    for (const flush of this.flushes) {
      if (this.phases.verdictOn(flush.lastLsn) !== VERDICT_PENDING) return true
    }
    return false
  }

  /** The LSN to be woken for; the next to be durable when nothing here waits. */
  oldestLsn(): number {
    let oldest = this.commits.peek()?.lastLsn ?? Number.MAX_SAFE_INTEGER
    for (const flush of this.flushes) oldest = Math.min(oldest, flush.lastLsn)
    return oldest === Number.MAX_SAFE_INTEGER ? this.control.durableLsn() + 1 : oldest
  }

  /** Settles every promise whose record is decided. */
  settleDecided(): void {
    const { phases } = this
    // While nothing ever failed, the durable LSN alone decides. Loaded first: a failed range is stored before it may pass.
    const durableLsn = this.control.durableLsn()
    if (phases.phase() === PHASE_OPEN && phases.failedRangeCount() === 0) {
      for (let entry = this.commits.peek(); entry !== undefined; entry = this.commits.peek()) {
        if (entry.lastLsn > durableLsn) break
        // Taken out last: the next call settles what one that was cut off had not.
        resolveEntry(entry)
        this.settledCount++
        this.commits.shift()
      }
    } else {
      for (let entry = this.commits.peek(); entry !== undefined; entry = this.commits.peek()) {
        if (!this.settleByVerdict(entry)) break
        this.settledCount++
        this.commits.shift()
      }
    }
    if (this.flushes.length > 0) this.flushes = this.flushes.filter((entry) => !this.settleByVerdict(entry))
  }

  private settleByVerdict(entry: PendingEntry): boolean {
    const { phases } = this
    const verdict = phases.verdictOn(entry.lastLsn)
    if (verdict === VERDICT_PENDING) return false
    if (verdict !== VERDICT_DURABLE) {
      rejectEntry(entry, verdictError(verdict, lsnOfEntry(entry), phases))
      return true
    }
    // A flush also speaks for the caller's earlier appends: one of them may have failed before a resume().
    const failedLsn = phases.firstFailedIn(entry.firstLsn, entry.lastLsn)
    if (failedLsn === 0) resolveEntry(entry)
    else rejectEntry(entry, verdictError(phases.rangeVerdict(failedLsn), failedLsn, phases))
    return true
  }
}
