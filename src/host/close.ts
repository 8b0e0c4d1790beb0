import type { CommitContext } from '../commit/context.ts'
import type { Leader } from '../commit/leader.ts'
import type { Watch } from '../commit/watch.ts'
import { FLAG_CLOSE, FLAG_SEAL } from '../format/frame.ts'
import {
  isUnfailed,
  PHASE_CLOSED,
  PHASE_CLOSING,
  PHASE_OPEN,
  PHASE_POISONED,
  PHASE_RESUMING,
  PHASE_SEALING,
  PHASE_SETTLED,
  phaseOf,
} from '../shared/phase.ts'
import { SLOT_STAGED, SLOT_WRITING, slotState } from '../shared/slots.ts'

/** Ends a log: stops intake, drains the ring, writes the last seal. `begin`, then `tryFinish` until it is true. */
export class Closing {
  private readonly context: CommitContext
  private readonly leader: Leader
  private readonly watch: Watch
  /** The closing seal is durable: the next open goes on without a gap. */
  isSealed: boolean

  constructor(context: CommitContext, leader: Leader, watch: Watch) {
    this.context = context
    this.leader = leader
    this.watch = watch
    this.isSealed = false
  }

  /** New records are refused from here on. False while a resume is at work. */
  begin(): boolean {
    const { phases } = this.context
    for (;;) {
      const word = phases.phaseWord()
      if (phaseOf(word) === PHASE_RESUMING) return false
      if (phaseOf(word) !== PHASE_OPEN) return true
      if (phases.changePhase(word, PHASE_CLOSING)) return true
    }
  }

  /** Commits what is left, then seals; a failed log is closed as it is, once nobody writes any more. */
  tryFinish(): boolean {
    const { phases } = this.context
    this.watch.lookForDead()
    while (this.leader.tryLead()) {
      // each call leads one batch
    }
    const phase = phases.phase()
    if (phase === PHASE_CLOSED) return true
    if (phase === PHASE_POISONED || phase === PHASE_SETTLED) return this.closeFailed()
    return (phase === PHASE_CLOSING || phase === PHASE_SEALING) && this.seal()
  }

  /** Under the commit-lock, so that no leader is in the midst of staging: what it staged would be written later. */
  private closeFailed(): boolean {
    this.leader.frames.poison.settle()
    const { control, clients, client, phases } = this.context
    const owner = clients.nextOwner(client)
    if (!control.acquireLock(0, owner)) return false
    const word = phases.phaseWord()
    const isClosed =
      phaseOf(word) === PHASE_SETTLED && this.isUnwritten() && phases.changePhase(word, PHASE_CLOSED)
    control.releaseLock(owner)
    if (isClosed) this.leader.frames.poison.wakeEverybody()
    return isClosed
  }

  /** No frame is being written. */
  private isUnwritten(): boolean {
    const { control, slots } = this.context
    const staged = control.stagedCount()
    for (let frame = control.publishedCount(); ((staged - frame) | 0) > 0; frame = (frame + 1) | 0) {
      const state = slotState(slots.stateWord(frame))
      if (state === SLOT_STAGED || state === SLOT_WRITING) return false
    }
    return true
  }

  /**
   * The last frame. The phase becomes SEALING before the last look at the ring: a producer that slipped in behind
   * that look sees it after it published, and hands out no LSN before it knows whether the record was committed.
   */
  private seal(): boolean {
    const { control, clients, client, phases, writer } = this.context
    const owner = clients.nextOwner(client)
    if (!control.acquireLock(0, owner)) return false
    if (!writer.openSegment(control.segmentSequence())) {
      this.leader.frames.poison.failHead(writer.failedCall, writer.failedErrno)
      control.releaseLock(owner)
      return false
    }
    const word = phases.phaseWord()
    if (phaseOf(word) === PHASE_CLOSING) phases.changePhase(word, PHASE_SEALING)
    const frame = this.leader.stageSeal(FLAG_SEAL | FLAG_CLOSE)
    if (frame !== undefined) phases.changePhase(phases.phaseWord(), PHASE_CLOSED)
    control.releaseLock(owner)
    if (frame === undefined) return false
    this.leader.frames.writeStaged(frame)
    this.leader.frames.passOn()
    this.isSealed = control.isDrained()
    this.leader.frames.poison.wakeEverybody()
    return true
  }

  /**
   * Gives up on records that somebody is still writing: every waiter is told that its record is indeterminate. Under
   * the commit-lock, so that nothing is staged after it; false when that is held, or a failure has to be settled first.
   */
  abandon(): boolean {
    const { control, clients, client } = this.context
    this.watch.lookForDead()
    const owner = clients.nextOwner(client)
    if (!control.acquireLock(0, owner)) return false
    const isClosed = this.abandonUnderLock()
    control.releaseLock(owner)
    if (isClosed) this.leader.frames.poison.wakeEverybody()
    return isClosed
  }

  private abandonUnderLock(): boolean {
    const { phases } = this.context
    const word = phases.phaseWord()
    const phase = phaseOf(word)
    if (phase === PHASE_CLOSED || phase === PHASE_POISONED) return phase === PHASE_CLOSED
    phases.storeAbandoned(isUnfailed(phase))
    const isClosed = phases.changePhase(word, PHASE_CLOSED)
    // It failed just now: what is closed later is a log that was settled.
    if (!isClosed) phases.storeAbandoned(false)
    return isClosed
  }

  /** After abandon: have the writes ended that were under way? */
  hasComeToRest(): boolean {
    this.watch.lookForDead()
    return this.isUnwritten()
  }
}
