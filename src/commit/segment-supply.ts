import { join } from 'node:path'
import { assert } from '../assert.ts'
import { segmentName } from '../format/segment-name.ts'
import type { Control } from '../shared/control.ts'
import type { KeeperWords } from '../shared/keeper-words.ts'
import { listSegments } from '../storage/directory.ts'
import type { FileSystem } from '../storage/file-system.ts'
import { lockLost, type Ownership } from '../storage/ownership.ts'
import { SegmentBuilder, type Sources } from '../storage/segment-file.ts'
import type { SyncMethod } from '../storage/sync-method.ts'
import { ZeroWriter } from '../storage/zero-writer.ts'

export const READY_NONE = 0
export const READY_PREPARED = 1
export const READY_ROTATING = 2

/** Zeros written and synced in one go: small enough not to stand in the way of a commit for long. */
const CHUNK_BYTES = 1 << 19
/** The same while a leader waits for them, or is about to: large writes get their share of the disk beside its own. */
const URGENT_CHUNK_BYTES = 4 << 20

/** How far ahead of the frames the current segment is filled with zeros. */
const AHEAD_BYTES = 8 << 20
/** The next segment is begun when this part of the current one is used. */
const NEXT_FROM_PART = 0.25
/** This part of a segment may be missing from what should be made of the next one by now. */
const LAG_PART = 0.125

/** What stays the same in every segment of a log. */
export interface SupplySpec {
  directory: string
  logId: Uint8Array
  blockBytes: number
  segmentBytes: number
  maxOutstandingRecords: number
}

/**
 * Makes room ahead of need: fills the current segment with zeros, then prepares the next one. The segment-keeper
 * does this; when it is gone, the holder of the commit-lock does it in its place. Never two threads at once.
 */
export class SegmentSupply {
  private readonly fs: FileSystem
  private readonly spec: SupplySpec
  private readonly control: Control
  private readonly keeper: KeeperWords
  private readonly sources: Sources
  private readonly zeroWriter: ZeroWriter
  private readonly ownership: Ownership | undefined
  private builder: SegmentBuilder | undefined
  private builderSequence: number

  constructor(
    fs: FileSystem,
    method: SyncMethod,
    spec: SupplySpec,
    words: { control: Control; keeper: KeeperWords },
    sources: Sources,
    ownership?: Ownership,
  ) {
    this.ownership = ownership
    this.fs = fs
    this.zeroWriter = new ZeroWriter(fs, method)
    this.spec = spec
    this.control = words.control
    this.keeper = words.keeper
    this.sources = sources
    this.builder = undefined
    this.builderSequence = 0
  }

  /** A segment is half made: its file must not be touched by anybody else. */
  get isBuilding(): boolean {
    return this.builder !== undefined
  }

  /** Is enough made ahead that the next chunk may wait, and leave the disk to the commits? */
  get isAhead(): boolean {
    const { control, keeper } = this
    if (this.needsZeros(keeper.zeroedTo(control.segmentSequence()), AHEAD_BYTES / 2)) return false
    return this.lagPart() <= 0
  }

  /** What is missing of the next segment, that is to be whole when the current one is used up: a part of a segment. */
  private lagPart(): number {
    const { control, builder, spec } = this
    if (builder === undefined) return 0
    const usedPart = control.writeOffset() / control.segmentLimit()
    return (usedPart - NEXT_FROM_PART) / (1 - NEXT_FROM_PART) - builder.filledTo / spec.segmentBytes
  }

  /** Should whoever stages now ring the keeper? */
  get isLow(): boolean {
    const { control, keeper } = this
    if (this.needsZeros(keeper.zeroedTo(control.segmentSequence()), AHEAD_BYTES / 2)) return true
    return keeper.readyState() === READY_NONE && this.needsNext()
  }

  /**
   * Does one chunk of work; false when there is nothing to do by now. A small log is kept small: zeros are written
   * some way ahead of the frames only, and the next segment is begun when a part of the current one is used.
   * Throws what the file system throws.
   */
  makeRoom(): boolean {
    const { control, keeper } = this
    // Files that look like left over ones are removed here, and may be another opener's by now.
    if (this.ownership !== undefined && !this.ownership.isOurs()) throw lockLost()
    // READY before SEGMENT: only this thread announces a segment, so once there is none, nobody can rotate, and the
    // segment that is read behind it stays the current one.
    const ready = keeper.readyState()
    const current = control.segmentSequence()
    const zeroedTo = keeper.zeroedTo(current)
    const isWanted = keeper.wantsRoom()
    const chunkBytes = isWanted || this.lagPart() > LAG_PART ? URGENT_CHUNK_BYTES : CHUNK_BYTES
    if (zeroedTo > 0 && this.needsZeros(zeroedTo, isWanted ? Number.POSITIVE_INFINITY : AHEAD_BYTES)) {
      this.extendCurrent(current, zeroedTo, chunkBytes)
      return true
    }
    if (ready !== READY_NONE || !(isWanted || this.needsNext())) return false
    this.prepareNext(current + 1, chunkBytes)
    return true
  }

  private needsZeros(zeroedTo: number, aheadBytes: number): boolean {
    const { control } = this
    return zeroedTo < control.segmentLimit() && zeroedTo - control.writeOffset() < aheadBytes
  }

  private needsNext(): boolean {
    const { control } = this
    return control.writeOffset() >= control.segmentLimit() * NEXT_FROM_PART
  }

  /** Forgets a segment in the making, and its file. After an error, and before the files are left to somebody else. */
  abandon(): void {
    const builder = this.builder
    this.builder = undefined
    if (builder !== undefined) builder.abandon()
  }

  private extendCurrent(segment: number, from: number, chunkBytes: number): void {
    const to = Math.min(from + chunkBytes, this.control.segmentLimit())
    this.zeroWriter.writeZeros(join(this.spec.directory, segmentName(segment)), from, to)
    this.keeper.advanceZeroed(segment, from, to)
  }

  private prepareNext(sequence: number, chunkBytes: number): void {
    const { spec, control, keeper } = this
    // A resume has gone on in another segment meanwhile: what was begun would get its name.
    if (this.builderSequence !== sequence) this.abandon()
    if (this.builder === undefined) {
      this.removeOrphan(sequence)
      this.builderSequence = sequence
      this.builder = SegmentBuilder.begin(
        this.fs,
        spec.directory,
        {
          sequence,
          logId: spec.logId,
          blockBytes: spec.blockBytes,
          segmentBytes: spec.segmentBytes,
          maxOutstandingRecords: spec.maxOutstandingRecords,
          nextLsn: control.durableLsn() + 1,
          nextFrameSequence: control.frameSequence(),
        },
        this.sources,
      )
    }
    const builder = this.builder
    if (builder.filledTo < spec.segmentBytes) {
      builder.fillBy(this.zeroWriter, builder.filledTo + chunkBytes)
      if (builder.filledTo < spec.segmentBytes) return
    }
    const prepared = builder.publish()
    this.builder = undefined
    keeper.storeReady(prepared.sequence, prepared.saltLow, prepared.saltHigh)
  }

  /** A keeper that died between naming a segment and announcing it left a segment that holds no frame. */
  private removeOrphan(sequence: number): void {
    assert(sequence > this.control.segmentSequence(), 'only what is ahead of the current segment is removed')
    const orphans = listSegments(this.fs, this.spec.directory).segments.filter(
      (file) => file.number >= sequence,
    )
    for (const orphan of orphans) this.fs.unlink(orphan.path)
    if (orphans.length > 0) this.fs.syncDirectory(this.spec.directory)
  }
}
