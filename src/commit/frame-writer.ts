import { FLAG_CLOSE } from '../format/frame.ts'
import { isUnfailed, PHASE_CLOSED } from '../shared/phase.ts'
import {
  SLOT_CANCELLED,
  SLOT_FAILED,
  SLOT_STAGED,
  SLOT_SYNCED,
  SLOT_WRITING,
  slotState,
} from '../shared/slots.ts'
import type { CommitContext } from './context.ts'
import { Poison } from './poison.ts'

/** Writes staged frames, publishes them in order, hands the lead over and wakes the followers. */
export class FrameWriter {
  private readonly context: CommitContext
  readonly poison: Poison
  /** Frames that this client published, or was about to, and whose followers it has not woken yet: from the one, before the other. */
  private unwokenFrom: number
  private unwokenTo: number

  constructor(context: CommitContext) {
    this.context = context
    this.poison = new Poison(context)
    this.unwokenFrom = 0
    this.unwokenTo = 0
  }

  /** The leader's own frame, just staged, the lock released. Followers are woken by wakePublished, or passOn. */
  writeStaged(frame: number): void {
    const { slots, writer, phases, client, clock } = this.context
    const staged = slots.stateWord(frame)
    // Somebody took it over, or cancelled it.
    if (!slots.isOfFrame(staged, frame) || slotState(staged) !== SLOT_STAGED) return
    // The phase is loaded after the slot became STAGED. Whoever poisons the log changes the phase first and then
    // cancels what is staged: so either it finds this slot, or this load finds the new phase.
    if (!this.mayWriteFrame(frame, phases.phase())) {
      this.giveUpStaged(frame, staged)
      return
    }
    if (!writer.openSegment(slots.segmentOf(frame))) {
      this.poison.failStaged(frame, staged, writer.failedCall, writer.failedErrno)
      return
    }
    // Before the state says so: else a stall would be told of, with the time of the frame that the slot had before.
    slots.storeStarted(frame, Math.floor(clock.monotonicMs()))
    if (slots.changeState(frame, staged, client, SLOT_WRITING)) this.writeOwned(frame, slots.stateWord(frame))
  }

  /** Takes over a frame from a client that is gone: writes and syncs all of it again, whatever it had done. */
  adoptFrame(frame: number, stateWord: number): boolean {
    const { slots, writer, phases, client, counters, clock } = this.context
    if (!this.mayWriteFrame(frame, phases.phase())) {
      this.giveUpStaged(frame, stateWord)
      return true
    }
    const canWrite = writer.openSegment(slots.segmentOf(frame))
    slots.storeStarted(frame, Math.floor(clock.monotonicMs()))
    const writing = slots.takeOver(frame, stateWord, client)
    if (writing === 0) return false
    counters.count('takeovers', 1)
    if (canWrite) {
      this.writeOwned(frame, writing)
      this.passOn()
    } else this.poison.failFrame(frame, writing, writer.failedCall, writer.failedErrno)
    return true
  }

  /** The log has failed or was closed: what its owner does not write is not written any more. */
  private giveUpStaged(frame: number, stateWord: number): void {
    const { slots, phases, client } = this.context
    if (phases.phase() === PHASE_CLOSED) {
      // close() gave up on it: a write that its owner, gone by now, had begun is not repeated, and may be on disk.
      const isBegun = slotState(stateWord) === SLOT_WRITING
      slots.changeState(frame, stateWord, client, isBegun ? SLOT_FAILED : SLOT_CANCELLED)
    } else {
      this.poison.settleFrame(frame)
    }
    this.poison.wakeEverybody()
  }

  /** After CLOSED nothing is written but the closing seal itself, staged before the phase became CLOSED. */
  private mayWriteFrame(frame: number, phase: number): boolean {
    if (phase === PHASE_CLOSED) return (this.context.slots.flagsOf(frame) & FLAG_CLOSE) !== 0
    return isUnfailed(phase)
  }

  private writeOwned(frame: number, writing: number): void {
    const { slots, writer, client, counters, clock, memory } = this.context
    const length = slots.frameBytes(frame)
    const startedMs = clock.monotonicMs()
    if (!writer.writeDurably(memory.bytes, slots.bufferAt(frame), length, slots.offsetOf(frame), startedMs)) {
      this.poison.failFrame(frame, writing, writer.failedCall, writer.failedErrno)
      return
    }
    counters.count('syncs', 1)
    counters.count('syncMicros', Math.round((clock.monotonicMs() - startedMs) * 1000))
    counters.count('bytes', length)
    if (slots.changeState(frame, writing, client, SLOT_SYNCED)) this.publishSynced()
  }

  /** Publishes every frame whose sync returned, and passes on. True when this call published something. */
  publishReady(): boolean {
    const hasPublished = this.publishSynced()
    this.passOn()
    return hasPublished
  }

  /**
   * Publishes, in order, every frame whose sync returned. Any thread may do it at any time; each frame is counted
   * by one of them, who then wakes its followers.
   */
  private publishSynced(): boolean {
    const { control, slots } = this.context
    let hasPublished = false
    for (;;) {
      const frame = control.publishedCount()
      const stateWord = slots.stateWord(frame)
      if (!slots.isOfFrame(stateWord, frame) || slotState(stateWord) !== SLOT_SYNCED) break
      const firstLsn = slots.firstLsn(frame)
      const endLsn = slots.endLsn(frame)
      const recordCount = slots.recordCount(frame)
      // Read before the slot could serve another frame: only then are the fields those of this one.
      if (control.publishedCount() !== frame) continue
      if (endLsn > firstLsn) control.raiseDurableLsn(endLsn - 1)
      // Before it is published: a call that is cut off behind that owes the wake-up, and its producer's next one pays.
      if (this.unwokenFrom === this.unwokenTo) this.unwokenFrom = frame
      this.unwokenTo = (frame + 1) | 0
      if (!control.advancePublished(frame)) continue
      hasPublished = true
      this.countPublished(recordCount)
    }
    return hasPublished
  }

  /** The next leader first: its wake-up takes as long as everybody else's, and the disk is idle until then. */
  passOn(): void {
    if (this.unwokenFrom === this.unwokenTo) return
    this.handOver()
    this.wakePublished()
  }

  /** Wakes the followers of what this thread published. */
  wakePublished(): void {
    const { control, clients } = this.context
    const to = this.unwokenTo
    if (this.unwokenFrom === to) return
    for (let frame = this.unwokenFrom; frame !== to; frame = (frame + 1) | 0) control.wakeFollowers(frame)
    clients.wakeArmed(control.durableLsn())
    // Last, so that a call cut off before pays once more.
    this.unwokenFrom = to
  }

  private countPublished(recordCount: number): void {
    const { control, counters } = this.context
    if (control.lastCommitFailed()) this.clearLastCommitFailed()
    if (recordCount === 0) {
      counters.count('seals', 1)
      return
    }
    counters.count('frames', 1)
    counters.count('records', recordCount)
  }

  /** Not while the log is failed: an older frame may still succeed then, and the flag speaks for the newest. */
  private clearLastCommitFailed(): void {
    const { control, phases } = this.context
    if (!isUnfailed(phases.phase())) return
    control.storeLastCommitFailed(false)
    // Whoever fails the log changes the phase before it stores the flag: so one of both stores sticks.
    if (!isUnfailed(phases.phase())) control.storeLastCommitFailed(true)
  }

  /** When records wait in the ring, enough of them for a frame: wakes one of those who wait to lead them, or the committer. */
  handOver(): void {
    const { control, doorbell, ring } = this.context
    const tailSequence = ring.tailSequence()
    if (ring.isEmpty() || !control.isWorthStaging(tailSequence)) return
    const isForCommitter = doorbell.committerClient() !== 0 && control.isForCommitter(tailSequence)
    if (isForCommitter) doorbell.ringCommitter()
    else if (control.wakeHeir(control.stagedCount()) === 0) doorbell.ringBusyCommitter()
  }
}
