import { add, compareExchange, load, notify, store, type WideWords, type Words, wait } from './atomics.ts'
import { ownerClient } from './clients.ts'
import * as at from './layout.ts'
import type { SharedMemory } from './memory.ts'

const EVERYBODY = 0x7fffffff
/** A frame is written beside others in flight only while these, and the last few, hold no more records (docs/performance.md). */
const CONCURRENT_RECORDS = 2

function wakeIndex(frame: number): number {
  return at.WAKES + (frame & (at.WAKES_COUNT - 1)) * at.LINE_WORDS
}

/** The newest frame, as the next one refers to it. */
export interface FrameChain {
  segment: number
  offset: number
  endOffset: number
  frameSequence: number
  /** Its header checksum. */
  checksum: number
}

/** View on the control words: the commit-lock, staging, publication, and the words that followers wait on. */
export class Control {
  private readonly words: Words
  private readonly wide: WideWords
  readonly slotCount: number
  private readonly committerRecords: number

  constructor(memory: SharedMemory) {
    this.words = memory.words
    this.wide = memory.wide
    this.slotCount = memory.layout.slotCount
    this.committerRecords = memory.layout.committerRecords
  }

  // ---- commit-lock

  /** 0, or the owner word of whoever holds the commit-lock. */
  lockOwner(): number {
    return load(this.words, at.LOCK)
  }

  lockHolder(): number {
    return ownerClient(load(this.words, at.LOCK))
  }

  /** Takes the commit-lock when its word is still `expected`: 0, or the owner word of one who is gone. */
  acquireLock(expected: number, owner: number): boolean {
    return compareExchange(this.words, at.LOCK, expected, owner)
  }

  releaseLock(owner: number): boolean {
    return compareExchange(this.words, at.LOCK, owner, 0)
  }

  // ---- staging, under the commit-lock

  /** Frames ever staged; also the index of the next one. Wraps at 2^32. */
  stagedCount(): number {
    return load(this.words, at.STAGED_COUNT)
  }

  storeStagedCount(count: number): void {
    store(this.words, at.STAGED_COUNT, count | 0)
  }

  /**
   * May the records that wait be staged now? `tailSequence` is the low half of the next LSN to be handed out. While
   * frames are in flight, one more at the same time pays only when they and the last few were small, and it carries as
   * many records as they do: else it splits the batches. Whoever publishes, and whoever stages or completes a frame,
   * asks after it did so.
   */
  isWorthStaging(tailSequence: number): boolean {
    const inFlight = (load(this.words, at.STAGED_COUNT) - load(this.words, at.PUBLISHED_COUNT)) | 0
    if (inFlight === 0) return true
    if (inFlight >= this.slotCount) return false
    const headLsn = this.headLsn()
    const recordsInFlight = headLsn - 1 - this.durableLsn()
    if (recordsInFlight > CONCURRENT_RECORDS || ((tailSequence - headLsn) | 0) < recordsInFlight) return false
    return load(this.words, at.RECENT_RECORDS) <= CONCURRENT_RECORDS
  }

  /**
   * Shall the committer, where there is one, lead what waits? It goes on from frame to frame without a thread having to wake up in between,
   * which pays from some producers on; below that, those who return from a frame make the next batch fuller if its
   * leader has to wake up first (docs/performance.md).
   */
  isForCommitter(tailSequence: number): boolean {
    return this.isDrained() && ((tailSequence - this.headLsn()) | 0) >= this.committerRecords
  }

  /** All staged frames are published. */
  isDrained(): boolean {
    return load(this.words, at.STAGED_COUNT) === load(this.words, at.PUBLISHED_COUNT)
  }

  headLsn(): number {
    return this.wide.load(at.HEAD_LSN * 4)
  }

  /** Is the record with this LSN (one that was handed out) still in the ring? */
  isUnstaged(lsn: number): boolean {
    return lsn >= this.headLsn()
  }

  writeOffset(): number {
    return this.wide.load(at.WRITE_OFFSET * 4)
  }

  frameSequence(): number {
    return this.wide.load(at.FRAME_SEQUENCE * 4)
  }

  previousOffset(): number {
    return this.wide.load(at.PREVIOUS_OFFSET * 4)
  }

  previousChecksum(): number {
    return load(this.words, at.PREVIOUS_CHECKSUM) >>> 0
  }

  previousSegment(): number {
    return this.wide.load(at.PREVIOUS_SEGMENT * 4)
  }

  previousEnd(): number {
    return this.wide.load(at.PREVIOUS_END * 4)
  }

  lastFrameFlags(): number {
    return load(this.words, at.LAST_FRAME_FLAGS)
  }

  segmentSequence(): number {
    return this.wide.load(at.SEGMENT * 4)
  }

  saltLow(): number {
    return load(this.words, at.SALT_LOW) >>> 0
  }

  saltHigh(): number {
    return load(this.words, at.SALT_HIGH) >>> 0
  }

  storeHeadLsn(lsn: number): void {
    this.wide.store(at.HEAD_LSN * 4, lsn)
  }

  /** Where the frame after the newest one goes, and what it says of the newest one. */
  storeChain(chain: FrameChain): void {
    this.wide.store(at.WRITE_OFFSET * 4, chain.endOffset)
    this.wide.store(at.FRAME_SEQUENCE * 4, chain.frameSequence + 1)
    this.wide.store(at.PREVIOUS_OFFSET * 4, chain.offset)
    this.wide.store(at.PREVIOUS_SEGMENT * 4, chain.segment)
    this.wide.store(at.PREVIOUS_END * 4, chain.endOffset)
    store(this.words, at.PREVIOUS_CHECKSUM, chain.checksum | 0)
  }

  /** At a rotation: the chain goes on, in another segment. */
  storeWriteOffset(offset: number): void {
    this.wide.store(at.WRITE_OFFSET * 4, offset)
  }

  /** Takes a frame that was just staged into account. Twice for one frame does no harm: it is a hint. */
  noteStagedRecords(recordCount: number): void {
    if (this.slotCount === 1) return
    const recent = load(this.words, at.RECENT_RECORDS)
    store(this.words, at.RECENT_RECORDS, Math.max(recordCount, Math.floor((recent * 3) / 4)))
  }

  storeLastFrameFlags(flags: number): void {
    store(this.words, at.LAST_FRAME_FLAGS, flags)
  }

  /** Frames of the current segment end at or before this offset. */
  segmentLimit(): number {
    return load(this.words, at.SEGMENT_LIMIT)
  }

  storeSegment(sequence: number, saltLow: number, saltHigh: number, limit: number): void {
    store(this.words, at.SEGMENT_LIMIT, limit)
    store(this.words, at.SALT_LOW, saltLow | 0)
    store(this.words, at.SALT_HIGH, saltHigh | 0)
    this.wide.store(at.SEGMENT * 4, sequence)
  }

  // ---- publication

  publishedCount(): number {
    return load(this.words, at.PUBLISHED_COUNT)
  }

  /** Counts frame `frame` as published; false when another thread did. */
  advancePublished(frame: number): boolean {
    return compareExchange(this.words, at.PUBLISHED_COUNT, frame, (frame + 1) | 0)
  }

  /** Gives up every frame that is staged and not published. Only resume, when no slot writes. */
  storePublishedCount(count: number): void {
    store(this.words, at.PUBLISHED_COUNT, count | 0)
  }

  /** All records with LSN <= this are on disk. May be late, never early. */
  durableLsn(): number {
    return this.wide.load(at.DURABLE_LSN * 4)
  }

  /** Raises the durable LSN. Only after write and sync of everything up to `lsn` returned without error. */
  raiseDurableLsn(lsn: number): void {
    this.raiseWide(at.DURABLE_LSN * 4, lsn)
  }

  private raiseWide(byteOffset: number, value: number): void {
    for (;;) {
      const now = this.wide.load(byteOffset)
      if (now >= value || this.wide.compareExchange(byteOffset, now, value) === now) return
    }
  }

  lastCommitFailed(): boolean {
    return load(this.words, at.LAST_COMMIT_FAILED) === 1
  }

  storeLastCommitFailed(failed: boolean): void {
    store(this.words, at.LAST_COMMIT_FAILED, failed ? 1 : 0)
  }

  // ---- wake words: followers of a frame, and those who expect to be in the next one

  wakeValue(frame: number): number {
    return load(this.words, wakeIndex(frame))
  }

  /** Waits until frame `frame` is decided, or until its staging is handed over; false when `timeoutMs` passed first. */
  waitForFrame(frame: number, value: number, timeoutMs: number): boolean {
    return wait(this.words, wakeIndex(frame), value, timeoutMs)
  }

  /** Wakes one of those who expect to be in `frame`, so that it leads; how many there were, 0 or 1. */
  wakeHeir(frame: number): number {
    add(this.words, wakeIndex(frame), 1)
    return notify(this.words, wakeIndex(frame), 1)
  }

  wakeFollowers(frame: number): void {
    add(this.words, wakeIndex(frame), 1)
    notify(this.words, wakeIndex(frame), EVERYBODY)
  }

  /** Wakes every thread that waits for a frame or for space: the phase has changed. */
  wakeAllWaiters(): void {
    for (let frame = 0; frame < at.WAKES_COUNT; frame++) this.wakeFollowers(frame)
    this.wakeAllSpace()
  }

  // ---- ring space

  spaceValue(): number {
    return load(this.words, at.SPACE)
  }

  wantSpace(): void {
    store(this.words, at.SPACE_WANTED, 1)
  }

  waitForSpace(value: number, timeoutMs: number): boolean {
    return wait(this.words, at.SPACE, value, timeoutMs)
  }

  /** After HEAD moved. */
  announceSpace(): void {
    if (load(this.words, at.SPACE_WANTED) === 0) return
    store(this.words, at.SPACE_WANTED, 0)
    this.wakeAllSpace()
  }

  wakeAllSpace(): void {
    add(this.words, at.SPACE, 1)
    notify(this.words, at.SPACE, EVERYBODY)
  }

  // ---- the end of the internal workers

  isStopped(): boolean {
    return load(this.words, at.STOP) === 1
  }

  /** Makes the internal workers end. */
  stopWorkers(): void {
    store(this.words, at.STOP, 1)
    add(this.words, at.DOORBELL, 1)
    notify(this.words, at.DOORBELL, EVERYBODY)
    add(this.words, at.KEEPER_BELL, 1)
    notify(this.words, at.KEEPER_BELL, EVERYBODY)
  }
}
