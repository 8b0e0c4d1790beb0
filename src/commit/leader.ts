import {
  emptyFrameHeader,
  encodeFrameHeader,
  FLAG_SEAL,
  FRAME_CHECKSUM_INPUT_BYTES,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameBytes,
} from '../format/frame.ts'
import type { FrameChain } from '../shared/control.ts'
import { GRANULE_SHIFT } from '../shared/layout.ts'
import { isUnfailed, PHASE_OPEN, PHASE_SEALING } from '../shared/phase.ts'
import { emptySlotFields, type SlotFields } from '../shared/slots.ts'
import { LOCK_LOST_ERRNO } from '../storage/ownership.ts'
import type { CommitContext } from './context.ts'
import { FrameWriter } from './frame-writer.ts'
import { isClientGone } from './gone.ts'
import { Prefix } from './prefix.ts'
import { ROOM_AFTER_DRAIN, ROOM_ASKED, ROOM_FAILED, ROOM_YES, Room } from './room.ts'

/** No frame was staged. Frame numbers are never compared with it: they may be negative. */
const STAGED_NOTHING = undefined

/**
 * What a leader does: under the commit-lock it takes the published prefix of the ring, copies it to a staging
 * buffer, frees the ring space and releases the lock; then it writes and syncs the frame (FrameWriter). All calls
 * are synchronous and belong to one thread.
 */
export class Leader {
  private readonly context: CommitContext
  private readonly prefix: Prefix
  private readonly room: Room
  readonly frames: FrameWriter
  private readonly header: FrameHeader
  private readonly fields: SlotFields
  /** What the newest attempt to stage found: ROOM_… */
  private roomFound: number
  private readonly chain: FrameChain
  private readonly headerViews: DataView[]
  private readonly checksumInputs: Uint8Array[]

  constructor(context: CommitContext) {
    this.context = context
    this.prefix = new Prefix(context.memory, context.ring)
    this.room = new Room(context)
    this.frames = new FrameWriter(context)
    this.header = emptyFrameHeader()
    this.fields = emptySlotFields()
    this.roomFound = ROOM_YES
    this.chain = { segment: 0, offset: 0, endOffset: 0, frameSequence: 0, checksum: 0 }
    this.headerViews = []
    this.checksumInputs = []
    const { buffer } = context.memory.bytes
    for (let slot = 0; slot < context.memory.layout.slotCount; slot++) {
      const at = context.slots.bufferAt(slot)
      this.headerViews.push(new DataView(buffer, at, FRAME_HEADER_BYTES))
      this.checksumInputs.push(new Uint8Array(buffer, at, FRAME_CHECKSUM_INPUT_BYTES))
    }
  }

  /**
   * Leads one batch when there is one to lead: a published prefix, a free slot, room, and nobody else at it.
   * True when a batch was staged (and by now is decided, durable or failed).
   */
  tryLead(): boolean {
    const frame = this.tryStage()
    if (frame === STAGED_NOTHING) return false
    this.lead(frame)
    this.frames.passOn()
    return true
  }

  /**
   * Leads batch after batch, as long as there is one to lead: the next is staged before anybody is woken, so that the
   * disk waits for no thread to wake up. For the committer: a producer has to return when its record is durable.
   */
  leadOn(): boolean {
    let frame = this.tryStage()
    if (frame === STAGED_NOTHING) return false
    do {
      this.lead(frame)
      frame = this.tryStage()
      this.frames.wakePublished()
    } while (frame !== STAGED_NOTHING)
    return true
  }

  private tryStage(): number | undefined {
    const { context } = this
    while (this.mayLead()) {
      const owner = context.clients.nextOwner(context.client)
      if (!context.control.acquireLock(0, owner)) return STAGED_NOTHING
      const frame = this.stageBatch()
      context.control.releaseLock(owner)
      if (frame !== STAGED_NOTHING) return frame
      // Whoever published since the scan and found the lock taken counts on this second look.
      if (!context.ring.isPublished(context.ring.head()) || this.isBlocked()) return STAGED_NOTHING
    }
    return STAGED_NOTHING
  }

  /** Writes and publishes the frame, and leaves its followers to be woken. */
  private lead(frame: number): void {
    // With more than one slot the next batch need not wait for this one.
    if (this.context.control.slotCount > 1) this.frames.handOver()
    this.frames.writeStaged(frame)
  }

  /** A cheap look before the lock is tried. */
  private mayLead(): boolean {
    const { control, ring } = this.context
    return (
      this.isWorthStaging() &&
      control.lockOwner() === 0 &&
      ring.isPublished(ring.head()) &&
      this.isLeadingPhase() &&
      this.openCurrent()
    )
  }

  private isWorthStaging(): boolean {
    const { control, ring } = this.context
    return control.isWorthStaging(ring.tailSequence())
  }

  /**
   * Something other than the ring stands in the way, still: its end wakes whoever waits. Looked at anew, because it may
   * have ended while the lock was held: who was woken by that found the lock taken, and counts on this look.
   */
  private isBlocked(): boolean {
    return this.lacksRoom() || !this.isWorthStaging() || !this.isLeadingPhase()
  }

  private lacksRoom(): boolean {
    const { control, keeper } = this.context
    if (this.roomFound === ROOM_AFTER_DRAIN) return !control.isDrained()
    return this.roomFound === ROOM_ASKED && keeper.wantsRoom()
  }

  private isLeadingPhase(): boolean {
    return isUnfailed(this.context.phases.phase())
  }

  /** A leader needs its own fd before it takes anything. One who cannot get it leaves the lead to the committer. */
  private openCurrent(): boolean {
    const { context } = this
    if (context.writer.openSegment(context.control.segmentSequence())) return true
    const committer = context.doorbell.committerClient()
    if (committer === context.client || committer === 0 || isClientGone(context, committer)) {
      return this.openUnderLock()
    }
    context.doorbell.ringCommitter()
    return false
  }

  /**
   * Once more: before the lock, the segment may have been changed, and the old one dropped. If nobody can open it, the
   * log has failed: under the commit-lock, so that no frame is staged beside it.
   */
  private openUnderLock(): boolean {
    const { control, clients, client, writer } = this.context
    const owner = clients.nextOwner(client)
    if (!control.acquireLock(0, owner)) return false
    const isOpen = writer.openSegment(control.segmentSequence())
    if (!isOpen) this.frames.poison.failHead(writer.failedCall, writer.failedErrno)
    control.releaseLock(owner)
    return isOpen
  }

  /** Stages one batch, or returns STAGED_NOTHING. Only under the commit-lock. */
  private stageBatch(): number | undefined {
    this.roomFound = ROOM_YES
    if (!this.isLeadingPhase() || !this.isWorthStaging()) return STAGED_NOTHING
    this.prefix.scanPublished()
    // Empty, or a hole: whoever publishes there leads, or rings the committer.
    return this.prefix.recordCount === 0 ? STAGED_NOTHING : this.stagePrefix(0)
  }

  /**
   * Stages a frame without records, which proves what stands before it, when everything is published. With the
   * close flag in the phase SEALING only; the caller then holds the lock until the phase is CLOSED.
   */
  stageSeal(flags: number): number | undefined {
    const { control, ring, phases } = this.context
    if (!control.isDrained() || !ring.isEmpty()) return STAGED_NOTHING
    if (flags === FLAG_SEAL && phases.phase() !== PHASE_OPEN) return STAGED_NOTHING
    if (flags !== FLAG_SEAL && phases.phase() !== PHASE_SEALING) return STAGED_NOTHING
    // Not scanned: what is published since that look stands behind the seal.
    this.prefix.takeNothing()
    return this.stagePrefix(flags)
  }

  /** Is the newest frame a seal? */
  isSealed(): boolean {
    return (this.context.control.lastFrameFlags() & FLAG_SEAL) !== 0
  }

  /** Writes an idle seal unless the newest frame is one; true when the newest frame is a seal on return. */
  trySeal(): boolean {
    const { context } = this
    if (this.isSealed()) return true
    if (context.control.lockOwner() !== 0) return false
    if (!context.writer.openSegment(context.control.segmentSequence())) return false
    const owner = context.clients.nextOwner(context.client)
    if (!context.control.acquireLock(0, owner)) return false
    const frame = this.stageSeal(FLAG_SEAL)
    context.control.releaseLock(owner)
    if (frame === STAGED_NOTHING) return false
    this.lead(frame)
    this.frames.passOn()
    return true
  }

  private stagePrefix(flags: number): number | undefined {
    const { context, prefix, header, fields } = this
    const { control, doorbell, keeper, slots, ring } = context
    const bodyBytes = ((prefix.to - prefix.from) | 0) << GRANULE_SHIFT
    const length = frameBytes(bodyBytes, context.memory.layout.blockBytes)
    this.roomFound = this.room.findRoom(length)
    if (this.roomFound === ROOM_FAILED) {
      const errno = keeper.roomErrno()
      this.frames.poison.failHead(errno === LOCK_LOST_ERRNO ? 'lock' : 'room', errno)
      keeper.storeRoomErrno(0)
    }
    if (this.roomFound !== ROOM_YES) return STAGED_NOTHING
    const frame = control.stagedCount()
    const slot = slots.slotIndexOf(frame)
    const at = slots.bufferAt(frame)
    ring.copyOut(prefix.from, prefix.split, prefix.to, at + FRAME_HEADER_BYTES)
    // By words: V8 fills shared bytes one by one.
    context.memory.words.fill(0, (at + FRAME_HEADER_BYTES + bodyBytes) >>> 2, (at + length) >>> 2)
    header.flags = flags
    header.segmentSequence = control.segmentSequence()
    header.offset = control.writeOffset()
    header.saltLow = control.saltLow()
    header.saltHigh = control.saltHigh()
    header.frameSequence = control.frameSequence()
    header.firstLsn = control.headLsn()
    header.durableLsn = control.durableLsn()
    header.wallClockMs = Math.max(0, Math.floor(context.clock.wallMs()))
    header.lsnCount = prefix.lsnCount
    header.recordCount = prefix.recordCount
    header.bodyBytes = bodyBytes
    header.bodyChecksum = prefix.recordCount === 0 ? 0 : prefix.bodyChecksum()
    header.previousOffset = control.previousOffset()
    header.previousChecksum = control.previousChecksum()
    fields.checksum = encodeFrameHeader(this.headerViews[slot], this.checksumInputs[slot], header)
    fields.frameBytes = length
    fields.ringEnd = prefix.to
    fields.previousChecksum = header.previousChecksum
    fields.previousOffset = header.previousOffset
    fields.previousSegment = control.previousSegment()
    fields.previousEnd = control.previousEnd()
    fields.recordCount = prefix.recordCount
    fields.firstLsn = header.firstLsn
    fields.endLsn = header.firstLsn + prefix.lsnCount
    fields.offset = header.offset
    fields.segment = header.segmentSequence
    fields.frameSequence = header.frameSequence
    fields.flags = flags
    // The instant of staging. Whoever takes the lock over before it finds nothing changed; after it, finishStaging
    // completes the rest from the slot.
    const followsSeal = this.isSealed()
    slots.stageSlot(frame, context.client, fields)
    this.finishStaging()
    // The committer sleeps without a timer behind a seal: it has to write the next one.
    if (followsSeal && flags === 0) doorbell.ringCommitter()
    return frame
  }

  /**
   * Completes what the staging of a frame began: frees its ring space and moves the words that the next frame
   * builds on. Every step may have been done already, by a leader who died in the midst of them. Only under the
   * commit-lock.
   */
  finishStaging(): void {
    const { control, slots, ring } = this.context
    const frame = control.stagedCount()
    const stateWord = slots.stateWord(frame)
    if (!slots.isOfFrame(stateWord, frame)) return
    const ringEnd = slots.ringEnd(frame)
    if (ring.head() !== ringEnd) ring.freeUpTo(ringEnd)
    control.storeHeadLsn(slots.endLsn(frame))
    this.chain.segment = slots.segmentOf(frame)
    this.chain.offset = slots.offsetOf(frame)
    this.chain.endOffset = this.chain.offset + slots.frameBytes(frame)
    this.chain.frameSequence = slots.frameSequenceOf(frame)
    this.chain.checksum = slots.checksumOf(frame)
    control.storeChain(this.chain)
    control.storeLastFrameFlags(slots.flagsOf(frame))
    control.noteStagedRecords(slots.recordCount(frame))
    control.storeStagedCount(frame + 1)
    control.announceSpace()
  }

  /** After the lock was taken over from one who is gone: brings everything to where it can go on. */
  repairUnderLock(): void {
    this.room.finishRotation()
    this.finishStaging()
    this.frames.poison.finishHeadFailure()
  }
}
