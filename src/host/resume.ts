import type { CommitContext } from '../commit/context.ts'
import { isClientGone } from '../commit/gone.ts'
import type { Leader } from '../commit/leader.ts'
import { Prefix } from '../commit/prefix.ts'
import { READY_NONE } from '../commit/segment-supply.ts'
import type { Watch } from '../commit/watch.ts'
import { GroupWalError } from '../errors.ts'
import { FLAG_SEAL } from '../format/frame.ts'
import { type FenceSpec, fence } from '../recovery/fence.ts'
import { PHASE_OPEN, PHASE_RESUMING, PHASE_SETTLED, phaseOf } from '../shared/phase.ts'
import { SLOT_STAGED, SLOT_WRITING, slotState } from '../shared/slots.ts'
import type { FileSystem } from '../storage/file-system.ts'
import type { SegmentCut } from '../storage/segment-file.ts'

/** What the fence needs beyond what stands in shared memory. */
export type FenceBase = Omit<FenceSpec, 'cut' | 'gap' | 'nextLsn'>

/**
 * Makes a failed log take records again. The failed frames are fenced off in a new segment; what was in the ring
 * is given up. `begin`, then `tryFinish` until it is true, or `cancel`. The commit-lock is never held from one
 * call to the next: a thread that goes back to its event loop counts as having left it behind.
 */
export class Resume {
  private readonly context: CommitContext
  private readonly leader: Leader
  private readonly watch: Watch
  private readonly prefix: Prefix
  private readonly fs: FileSystem
  private readonly directory: string

  constructor(context: CommitContext, leader: Leader, watch: Watch, fs: FileSystem, directory: string) {
    this.context = context
    this.leader = leader
    this.watch = watch
    this.prefix = new Prefix(context.memory, context.ring)
    this.fs = fs
    this.directory = directory
  }

  /** From here on no verdict of failure is given: what is reserved now may yet be committed after the resume. */
  begin(): void {
    const { phases } = this.context
    if (phases.isFailedRangeTableFull()) {
      throw refused('the log was resumed too often since it was opened: reopen it')
    }
    this.leader.frames.poison.settle()
    const word = phases.phaseWord()
    if (phaseOf(word) !== PHASE_SETTLED || !phases.changePhase(word, PHASE_RESUMING)) {
      throw refused('the log has not failed, or is being resumed or closed')
    }
  }

  /** Fences and opens the log again, once no other thread is in the midst of anything; false until then. */
  tryFinish(base: FenceBase): boolean {
    const { control, keeper, clients, client } = this.context
    this.watch.lookForDead()
    // A segment in the making is given up by the keeper as soon as it sees the phase.
    keeper.ringKeeper()
    const owner = clients.nextOwner(client)
    if (!control.acquireLock(0, owner)) return false
    try {
      if (this.context.phases.phase() !== PHASE_RESUMING) throw refused('the log was closed meanwhile')
      // Read once: what is reserved from here on stands behind the failed range, and is committed after it.
      const tail = this.tailOf()
      if (!this.isQuiet(tail.position)) return false
      this.finishUnderLock(base, tail)
      this.end(PHASE_OPEN)
    } finally {
      control.releaseLock(owner)
    }
    this.leader.frames.poison.wakeEverybody()
    keeper.ringKeeper()
    return true
  }

  /** The log stays failed. */
  cancel(): void {
    this.end(PHASE_SETTLED)
    this.leader.frames.poison.wakeEverybody()
    // It drops no segments in between.
    this.context.keeper.ringKeeper()
  }

  private end(phase: number): void {
    const { phases } = this.context
    const word = phases.phaseWord()
    // A close() that gave up waiting may have closed the log meanwhile; then it stays closed.
    if (phaseOf(word) === PHASE_RESUMING) phases.changePhase(word, phase)
  }

  /** Nobody writes a frame, makes a segment, or is in the midst of a record. Nobody begins to: the phase forbids it. */
  private isQuiet(tail: number): boolean {
    const { control, keeper, slots, ring } = this.context
    if (keeper.isKeeperWorking() && !isClientGone(this.context, keeper.keeperClient())) return false
    const staged = control.stagedCount()
    for (let frame = control.publishedCount(); ((staged - frame) | 0) > 0; frame = (frame + 1) | 0) {
      const state = slotState(slots.stateWord(frame))
      if (state === SLOT_STAGED || state === SLOT_WRITING) return false
    }
    for (let position = ring.head(); position !== tail; position = this.prefix.reservationEnd(position)) {
      if (!ring.isPublished(position) && !this.watch.fillIfLeft(position)) return false
    }
    return true
  }

  private finishUnderLock(base: FenceBase, tail: { position: number; lsn: number }): void {
    const { control, keeper, phases, ring, counters } = this.context
    this.leader.frames.publishReady()
    const cut = this.findCut()
    // Everything that was handed out and is not durable has failed, whatever FAILED_FROM says yet.
    const failedFrom = cut.lastLsn + 1
    const leastSequence = Math.max(control.segmentSequence(), keeper.readySegment()) + 1
    const gap = cut.lastLsn + 1 < tail.lsn ? { first: cut.lastLsn + 1, last: tail.lsn - 1 } : undefined
    const made = fence(this.fs, this.directory, { ...base, cut, gap, leastSequence, nextLsn: tail.lsn })
    // Durable now: the failed frames never come back. The range is stored before any durable LSN may pass it.
    if (failedFrom < tail.lsn) phases.addFailedRange(failedFrom, phases.indeterminateTo(), tail.lsn - 1)
    ring.freeUpTo(tail.position)
    control.storeHeadLsn(tail.lsn)
    keeper.storeReadyState(READY_NONE)
    keeper.storeZeroed(made.segment.sequence, made.segment.zeroedTo)
    control.storeChain({
      segment: made.segment.sequence,
      offset: made.previousOffset,
      endOffset: made.writeOffset,
      frameSequence: made.nextFrameSequence - 1,
      checksum: made.previousChecksum,
    })
    const { sequence, saltLow, saltHigh, segmentBytes } = made.segment
    control.storeSegment(sequence, saltLow, saltHigh, segmentBytes)
    control.storeLastFrameFlags(FLAG_SEAL)
    control.storePublishedCount(control.stagedCount())
    keeper.storeRoomErrno(0)
    keeper.storeRoomWanted(false)
    phases.clearFailure(tail.lsn)
    counters.count('resumes', 1)
  }

  private tailOf(): { position: number; lsn: number } {
    const { ring, control } = this.context
    for (;;) {
      const position = ring.tail()
      const sequence = ring.tailSequence()
      if (ring.tail() !== position) continue
      const headLsn = control.headLsn()
      return { position, lsn: headLsn + ((sequence - headLsn) | 0) }
    }
  }

  /** Behind the last frame that was published. */
  private findCut(): SegmentCut {
    const { control, slots } = this.context
    const frame = control.publishedCount()
    const lastLsn = control.durableLsn()
    if (frame === control.stagedCount()) {
      return {
        segment: control.previousSegment(),
        offset: control.previousEnd(),
        lastLsn,
        frameSequence: control.frameSequence() - 1,
        checksum: control.previousChecksum(),
      }
    }
    return {
      segment: slots.previousSegmentOf(frame),
      offset: slots.previousEndOf(frame),
      lastLsn,
      frameSequence: slots.frameSequenceOf(frame) - 1,
      checksum: slots.previousChecksumOf(frame),
    }
  }
}

function refused(why: string): GroupWalError {
  return new GroupWalError('GROUPWAL_RESUME_REFUSED', why)
}
