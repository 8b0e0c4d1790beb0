import type { CommitContext } from '../commit/context.ts'
import type { Leader } from '../commit/leader.ts'

/** After so many publications of one turn it is time to look at the clock. */
const PUBLISHED_PER_LOOK = 64
/** The mean time of a write is taken over so many. */
const WRITES_PER_MEAN = 32

/**
 * Who writes what one turn of an event loop publishes (docs/performance.md has the numbers):
 *
 * - The committer, rung in the midst of a turn that lasts longer than a write: what the turn has published so far is then
 *   written while it goes on. Not sooner: where a turn is shorter than a write, that would split its batch, and the disk
 *   would do the same work in more pieces.
 * - This thread itself, at the end of a turn that was shorter than a write, when nobody else writes or hands out LSNs: two wake-ups of threads
 *   would last half as long as a write on a quick disk, and the records of others would not make the batch larger.
 * - Else the committer, rung at the end of the turn.
 */
export class Turn {
  private readonly context: CommitContext
  private readonly ownLeadMs: number
  private publishedCount: number
  /** When the turn began, or the committer was rung in it. */
  private rungMs: number
  private hasRung: boolean
  /** LSNs that this thread was handed out since the end of a turn at which the ring's tail stood at `seenTail`. */
  private ownLsns: number
  private seenTail: number
  private meanWriteMs: number
  /** What was counted when that mean was taken. */
  private writesSeen: number
  private writeMicrosSeen: number

  /** @param ownLeadMs this thread may lead itself while writes last no longer than this; 0: never */
  constructor(context: CommitContext, ownLeadMs: number) {
    this.context = context
    this.ownLeadMs = ownLeadMs
    this.publishedCount = 0
    this.rungMs = 0
    this.hasRung = false
    this.ownLsns = 0
    this.seenTail = 0
    this.meanWriteMs = Number.POSITIVE_INFINITY
    this.writesSeen = 0
    this.writeMicrosSeen = 0
  }

  begin(): void {
    this.publishedCount = 0
    this.hasRung = false
    this.rungMs = this.context.clock.monotonicMs()
  }

  /** A record, or a batch with so many LSNs, was published in this turn. */
  notePublished(lsnCount: number): void {
    this.ownLsns += lsnCount
    this.publishedCount++
    if (this.publishedCount % PUBLISHED_PER_LOOK === 0) this.ringIfLong()
  }

  /** At the end of a turn, once: shall this thread lead what it has published? */
  shallLead(): boolean {
    if (this.ownLeadMs === 0) return false
    const { ring, control, clock } = this.context
    const tail = ring.tailSequence()
    const isAlone = this.ownLsns > 0 && ((tail - this.seenTail) | 0) === this.ownLsns
    this.seenTail = tail
    this.ownLsns = 0
    if (!isAlone || this.hasRung) return false
    const writeMs = this.writeMs()
    if (writeMs > this.ownLeadMs || clock.monotonicMs() - this.rungMs > writeMs) return false
    return control.isDrained() && control.lockOwner() === 0
  }

  /** Leads. One write that lasts too long is enough: the committer has the next ones. */
  lead(leader: Leader): boolean {
    const startMs = this.context.clock.monotonicMs()
    const hasLed = leader.tryLead()
    const tookMs = this.context.clock.monotonicMs() - startMs
    if (tookMs > this.ownLeadMs) this.startMean(tookMs)
    return hasLed
  }

  private ringIfLong(): void {
    const nowMs = this.context.clock.monotonicMs()
    if (nowMs - this.rungMs < this.writeMs()) return
    this.rungMs = nowMs
    this.hasRung = true
    this.context.doorbell.ringCommitter()
  }

  /** How long a write of the log has lasted lately; for ever, until enough of them were seen. */
  private writeMs(): number {
    const { counters } = this.context
    const writes = counters.read('syncs')
    if (writes - this.writesSeen >= WRITES_PER_MEAN) {
      const micros = counters.read('syncMicros') - this.writeMicrosSeen
      this.startMean(micros / (writes - this.writesSeen) / 1000)
    }
    return this.meanWriteMs
  }

  /** What is known by now; what comes from now on is counted anew. */
  private startMean(meanWriteMs: number): void {
    const { counters } = this.context
    this.meanWriteMs = meanWriteMs
    this.writesSeen = counters.read('syncs')
    this.writeMicrosSeen = counters.read('syncMicros')
  }
}
