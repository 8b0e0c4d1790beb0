import { isUnfailed, PHASE_CLOSED, PHASE_POISONED, PHASE_SETTLED, phaseOf } from '../shared/phase.ts'
import {
  SLOT_CANCELLED,
  SLOT_FAILED,
  SLOT_STAGED,
  SLOT_WRITING,
  slotOwner,
  slotState,
} from '../shared/slots.ts'
import type { CommitContext } from './context.ts'
import { OWNER_ACTIVE, ownerState } from './gone.ts'
import { FAILURE_CALLS, type FailureCall } from './segment-writer.ts'

/**
 * Failure is final: the log takes no more frames until resume() has fenced the failed ones off. What was only
 * staged is cancelled (`not-written`); what a write was begun for is `indeterminate`.
 */
export class Poison {
  private readonly context: CommitContext

  constructor(context: CommitContext) {
    this.context = context
  }

  /** The frame's own write or sync failed. Called by its owner, with the slot's state word as it was set to WRITING. */
  failFrame(frame: number, stateWord: number, call: FailureCall, errno: number): void {
    const { slots, phases, client } = this.context
    const firstLsn = this.failedFromOf(frame)
    phases.raiseIndeterminateTo(slots.endLsn(frame) - 1)
    // Stored before the slot says FAILED: a thread that finds such a slot, its owner gone, poisons the log for it.
    const phase = phases.phase()
    if (isUnfailed(phase) || phase === PHASE_CLOSED) phases.storeFailure(errno, FAILURE_CALLS.indexOf(call))
    slots.changeState(frame, stateWord, client, SLOT_FAILED)
    this.failLog(firstLsn, call, errno)
  }

  /** The segment of a frame that is only staged cannot be opened. */
  failStaged(frame: number, stateWord: number, call: FailureCall, errno: number): void {
    const { slots, phases, client } = this.context
    const firstLsn = this.failedFromOf(frame)
    if (isUnfailed(phases.phase())) phases.storeFailure(errno, FAILURE_CALLS.indexOf(call))
    if (slots.changeState(frame, stateWord, client, SLOT_CANCELLED)) this.failLog(firstLsn, call, errno)
  }

  /**
   * Every LSN from `fromLsn` on has failed: the first LSN of a frame that is FAILED or CANCELLED, or HEAD_LSN and
   * the caller holds the commit-lock.
   */
  failLog(fromLsn: number, call: FailureCall, errno: number): void {
    const { phases, control, counters } = this.context
    phases.lowerFailedFrom(fromLsn)
    for (;;) {
      const word = phases.phaseWord()
      // Another thread has poisoned the log for this failure, and it was even resumed since.
      if (phases.isResumedPast(fromLsn)) return
      if (!isUnfailed(phaseOf(word))) break
      phases.storeFailure(errno, FAILURE_CALLS.indexOf(call))
      if (!phases.changePhase(word, PHASE_POISONED)) continue
      control.storeLastCommitFailed(true)
      counters.count('failures', 1)
      break
    }
    this.settle()
    this.wakeEverybody()
  }

  /** Nothing from HEAD on can be written. Only under the commit-lock. */
  failHead(call: FailureCall, errno: number): void {
    const { phases, control } = this.context
    // Stored before FAILED_FROM: should this thread die before the phase says so, whoever takes the lock over tells it.
    if (isUnfailed(phases.phase())) phases.storeFailure(errno, FAILURE_CALLS.indexOf(call))
    this.failLog(control.headLsn(), call, errno)
  }

  /** What the holder of the commit-lock who died may have begun with failHead. Only under the commit-lock. */
  finishHeadFailure(): void {
    const { phases, control } = this.context
    const headLsn = control.headLsn()
    if (!isUnfailed(phases.phase()) || phases.failedFrom() !== headLsn) return
    this.failLog(headLsn, FAILURE_CALLS[phases.failureCall()], phases.failureErrno())
  }

  /** A slot says FAILED or CANCELLED; its owner may have died before it told so. */
  finishFailure(frame: number): void {
    const { phases } = this.context
    const phase = phases.phase()
    if (phase === PHASE_CLOSED) return
    if (!isUnfailed(phase)) {
      this.settleFrame(frame)
      return
    }
    const firstLsn = this.failedFromOf(frame)
    if (!this.isOver(frame))
      this.failLog(firstLsn, FAILURE_CALLS[phases.failureCall()], phases.failureErrno())
  }

  /**
   * Makes every outcome final: cancels what is staged only. Any thread may do it, again and again: the steps are
   * compare-exchanges, minima and maxima. A leader that stages after this scan finds the phase changed and cancels.
   */
  settle(): void {
    const { phases, control } = this.context
    const word = phases.phaseWord()
    if (phaseOf(word) !== PHASE_POISONED) return
    const staged = control.stagedCount()
    // By difference: the published count may have passed what was read of the staged one.
    let frame = control.publishedCount()
    for (; ((staged - frame) | 0) > 0; frame = (frame + 1) | 0) this.settleFrame(frame)
    if (phases.changePhase(word, PHASE_SETTLED)) this.wakeEverybody()
  }

  /** FAILED_FROM is lowered after the slot's state is final, never before: until then it might yet become durable. */
  settleFrame(frame: number): void {
    const { slots, phases, client } = this.context
    let stateWord = slots.stateWord(frame)
    if (!slots.isOfFrame(stateWord, frame)) return
    const firstLsn = this.failedFromOf(frame)
    const endLsn = slots.endLsn(frame)
    if (this.isOver(frame)) return
    // Looked at after the state: who comes late, when the log was resumed since, finds a frame that may be written. What
    // was staged before a resume does not outlive it: so a state of that time is still there, or nothing is changed below.
    if (isUnfailed(phases.phase())) return
    const state = slotState(stateWord)
    if (state === SLOT_STAGED) slots.changeState(frame, stateWord, client, SLOT_CANCELLED)
    if (state === SLOT_WRITING && ownerState(this.context, slotOwner(stateWord)) !== OWNER_ACTIVE) {
      // Its bytes may be on disk or not. Nobody repeats the write: the log has failed.
      slots.changeState(frame, stateWord, client, SLOT_FAILED)
    }
    stateWord = slots.stateWord(frame)
    if (!slots.isOfFrame(stateWord, frame)) return
    const settled = slotState(stateWord)
    if (settled !== SLOT_CANCELLED) phases.raiseIndeterminateTo(endLsn - 1)
    if (settled === SLOT_CANCELLED || settled === SLOT_FAILED) phases.lowerFailedFrom(firstLsn)
  }

  /**
   * The LSN from which on all has failed with this frame. Of a seal the one before it, which is durable: a resume behind
   * which no LSN has failed goes on at the seal's own, and whoever comes late with it has to find it resumed past.
   */
  private failedFromOf(frame: number): number {
    const { slots } = this.context
    const firstLsn = slots.firstLsn(frame)
    return slots.endLsn(frame) === firstLsn ? firstLsn - 1 : firstLsn
  }

  /** It was published, or a resume gave it up: what was read from its slot may be of the next one. */
  private isOver(frame: number): boolean {
    return ((frame - this.context.control.publishedCount()) | 0) < 0
  }

  wakeEverybody(): void {
    const { control, doorbell, clients } = this.context
    control.wakeAllWaiters()
    doorbell.ringCommitter()
    clients.wakeAllArmed()
  }
}
