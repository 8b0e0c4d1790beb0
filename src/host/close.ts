import type { CommitContext } from '../commit/context.ts'
import type { Leader } from '../commit/leader.ts'
import type { Watch } from '../commit/watch.ts'
import { FLAG_CLOSE, FLAG_SEAL } from '../format/frame.ts'
import {
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

  constructor(context: CommitContext, leader: Leader, watch: Watch) {
    this.context = context
    this.leader = leader
    this.watch = watch
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

  private closeFailed(): boolean {
    const { phases } = this.context
    this.leader.frames.poison.settle()
    const word = phases.phaseWord()
    if (phaseOf(word) !== PHASE_SETTLED || !this.isUnwritten() || !phases.changePhase(word, PHASE_CLOSED))
      return false
    this.leader.frames.poison.wakeEverybody()
    return true
  }

  /** No frame is being written. */
  isUnwritten(): boolean {
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
    if (!writer.openSegment(control.segmentSequence())) return this.leader.tryLead()
    const owner = clients.nextOwner(client)
    if (!control.acquireLock(0, owner)) return false
    const word = phases.phaseWord()
    if (phaseOf(word) === PHASE_CLOSING) phases.changePhase(word, PHASE_SEALING)
    const frame = this.leader.stageSeal(FLAG_SEAL | FLAG_CLOSE)
    if (frame !== undefined) phases.changePhase(phases.phaseWord(), PHASE_CLOSED)
    control.releaseLock(owner)
    if (frame === undefined) return false
    this.leader.frames.writeStaged(frame)
    this.leader.frames.poison.wakeEverybody()
    return true
  }

  /** Gives up on records that somebody is still writing: every waiter is told that its record is indeterminate. */
  abandon(): void {
    const { phases } = this.context
    const word = phases.phaseWord()
    if (phaseOf(word) !== PHASE_CLOSED) phases.changePhase(word, PHASE_CLOSED)
    this.leader.frames.poison.wakeEverybody()
  }
}
