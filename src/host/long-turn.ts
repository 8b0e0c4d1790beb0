import type { CommitContext } from '../commit/context.ts'

/** After so many publications of one turn it is time to look at the clock. */
const PUBLISHED_PER_LOOK = 64
/** The mean time of a write is taken over so many. */
const WRITES_PER_MEAN = 32

/**
 * Rings the committer in the midst of a turn of the event loop that lasts longer than a write: what the turn has
 * published so far is then written while it goes on. Not sooner: where a turn is shorter than a write, that would split its
 * batch, and the disk would do the same work in more pieces (docs/performance.md).
 */
export class LongTurn {
  private readonly context: CommitContext
  private publishedCount: number
  /** When the turn began, or the committer was rung in it. */
  private rungMs: number
  private meanWriteMs: number
  /** What was counted when that mean was taken. */
  private writesSeen: number
  private writeMicrosSeen: number

  constructor(context: CommitContext) {
    this.context = context
    this.publishedCount = 0
    this.rungMs = 0
    this.meanWriteMs = Number.POSITIVE_INFINITY
    this.writesSeen = 0
    this.writeMicrosSeen = 0
  }

  beginTurn(): void {
    this.publishedCount = 0
    this.rungMs = this.context.clock.monotonicMs()
  }

  /** Something was published in this turn. */
  notePublished(): void {
    this.publishedCount++
    if (this.publishedCount % PUBLISHED_PER_LOOK === 0) this.ringIfLong()
  }

  private ringIfLong(): void {
    const nowMs = this.context.clock.monotonicMs()
    if (nowMs - this.rungMs < this.writeMs()) return
    this.rungMs = nowMs
    this.context.control.ringCommitter()
  }

  /** How long a write of the log has lasted lately; for ever, until enough of them were seen. */
  private writeMs(): number {
    const { counters } = this.context
    const writes = counters.read('syncs')
    if (writes - this.writesSeen >= WRITES_PER_MEAN) {
      const micros = counters.read('syncMicros')
      this.meanWriteMs = (micros - this.writeMicrosSeen) / (writes - this.writesSeen) / 1000
      this.writesSeen = writes
      this.writeMicrosSeen = micros
    }
    return this.meanWriteMs
  }
}
