import { VERDICT_PENDING } from '../shared/phase.ts'
import type { CommitContext } from './context.ts'
import type { Leader } from './leader.ts'
import { RECHECK_MS, type Watch } from './watch.ts'

/** Waits, blocking its thread, until a record is decided; leads when nobody else does. */
export class Follower {
  private readonly context: CommitContext
  private readonly leader: Leader
  private readonly watch: Watch

  constructor(context: CommitContext, leader: Leader, watch: Watch) {
    this.context = context
    this.leader = leader
    this.watch = watch
  }

  /** The verdict on the record, or VERDICT_PENDING when the monotonic clock passes `deadlineMs`. */
  awaitVerdict(lsn: number, deadlineMs: number): number {
    const { phases, control } = this.context
    for (;;) {
      const frame = this.frameOf(lsn)
      // Loaded before the verdict: whoever decides the frame stores the verdict first and changes this word then.
      const value = control.wakeValue(frame)
      const verdict = phases.verdictOn(lsn)
      if (verdict !== VERDICT_PENDING) return verdict
      if (!this.isExpectedIn(frame, lsn)) continue
      if (control.isUnstaged(lsn) && this.leader.tryLead()) continue
      const timeoutMs = this.timeoutUntil(deadlineMs)
      if (timeoutMs <= 0) return VERDICT_PENDING
      if (!control.waitForFrame(frame, value, timeoutMs)) this.recheck(lsn, frame, value)
    }
  }

  /** The frame in flight that holds the record, or the next one to be staged. */
  private frameOf(lsn: number): number {
    const { control, slots } = this.context
    const staged = control.stagedCount()
    if (control.isUnstaged(lsn)) return staged
    let frame = control.publishedCount()
    while (((staged - frame) | 0) > 0 && lsn >= slots.endLsn(frame)) frame = (frame + 1) | 0
    return frame
  }

  /** Is it still so that the record is, or will be, in `frame`, and that `frame` is not published? */
  private isExpectedIn(frame: number, lsn: number): boolean {
    const { control } = this.context
    if (control.isUnstaged(lsn)) return control.stagedCount() === frame
    return ((frame - control.publishedCount()) | 0) >= 0
  }

  private timeoutUntil(deadlineMs: number): number {
    if (deadlineMs === Number.POSITIVE_INFINITY) return RECHECK_MS
    return Math.min(RECHECK_MS, deadlineMs - this.context.clock.monotonicMs())
  }

  /** Nobody woke this thread for a while. Either the disk is slow, or somebody died, or a wake-up was lost. */
  private recheck(lsn: number, frame: number, value: number): void {
    const { phases, control, counters } = this.context
    if (this.watch.lookForDead()) return
    if (phases.verdictOn(lsn) === VERDICT_PENDING || control.wakeValue(frame) !== value) return
    // Decided, and the word not changed: give whoever decided it the time to do so before it counts as lost.
    if (!control.waitForFrame(frame, value, RECHECK_MS)) counters.count('recheckRescues', 1)
  }
}
