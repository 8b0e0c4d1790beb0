import { constants } from 'node:fs'
import { FLAG_CLOSE, FLAG_SEAL } from '../../src/format/frame.ts'
import { fence } from '../../src/recovery/fence.ts'
import type { RecoveryResult } from '../../src/recovery/recover.ts'
import type { FileSystem } from '../../src/storage/file-system.ts'
import {
  type PreparedSegment,
  prepareSegment,
  type SegmentCut,
  type Sources,
} from '../../src/storage/segment-file.ts'
import { encodeFrame } from './model-frames.ts'
import type { ModelLedger } from './model-ledger.ts'

export interface ModelOptions extends Sources {
  segmentBytes: number
  maxOutstandingRecords: number
  /** One write with O_DSYNC, or a write and fdatasync. */
  method: 'dsync' | 'fdatasync'
}

interface StagedFrame {
  bytes: Uint8Array
  offset: number
  firstLsn: number
  lastLsn: number
  cut: SegmentCut
}

/**
 * The plainest writer that keeps to docs/format.md: one thread, no ring. It stands in for the engine where only
 * what reaches the disk matters, and tells the ledger what its users were told.
 */
export class ModelWriter {
  durableLsn: number
  /** The LSN that the next record gets. */
  nextLsn: number
  /** How many segments rotation and preparation have made. */
  preparedCount = 0
  segment: PreparedSegment
  readonly #fs: FileSystem
  readonly #directory: string
  readonly #options: ModelOptions
  readonly #ledger: ModelLedger
  readonly #log: { logId: Uint8Array; blockBytes: number }
  #fd: number
  #offset: number
  #frameSequence: number
  #previousOffset: number
  #previousChecksum: number
  /** Behind the last durable frame. */
  #cut: SegmentCut
  #ahead: PreparedSegment | undefined
  #isPlainAndEmpty = false

  constructor(
    fs: FileSystem,
    directory: string,
    opened: RecoveryResult,
    options: ModelOptions,
    ledger: ModelLedger,
  ) {
    if (opened.nextLsn <= ledger.handedOut) throw new Error(`LSN ${opened.nextLsn} would be handed out again`)
    this.#fs = fs
    this.#directory = directory
    this.#options = options
    this.#ledger = ledger
    this.#log = opened
    this.durableLsn = opened.durableLsn
    this.nextLsn = opened.nextLsn
    this.segment = opened.segment
    this.#offset = opened.writeOffset
    this.#frameSequence = opened.nextFrameSequence
    this.#previousOffset = opened.previousOffset
    this.#previousChecksum = opened.previousChecksum
    this.#fd = this.#openSegment()
    this.#cut = this.#endOfLog(opened.writeOffset)
  }

  /** Commits some frames at once, as so many slots; their writes may reach the disk in any order. */
  commit(
    recordCounts: readonly number[],
    order: readonly number[] = recordCounts.map((_, index) => index),
  ): void {
    const frames: StagedFrame[] = []
    for (const recordCount of recordCounts) frames.push(this.#stage(recordCount, 0))
    for (const index of order) this.#write(frames[index]!)
    if (this.#options.method === 'fdatasync') this.#fs.dataSync(this.#fd)
    for (const frame of frames) this.#publish(frame)
  }

  /** Stages a frame and writes it, but neither syncs nor publishes: the machine stops here. */
  writeUnsynced(recordCount: number): void {
    const frame = this.#stage(recordCount, 0)
    this.#fs.write(this.#fd, frame.bytes, 0, frame.bytes.length, frame.offset)
  }

  /** Hands out LSNs that reach no frame. */
  handOutOnly(recordCount: number): void {
    for (let count = 0; count < recordCount; count++) this.#ledger.handOut(this.nextLsn++, 'never staged')
  }

  seal(): void {
    this.#writeSeal(FLAG_SEAL)
  }

  close(): void {
    this.#writeSeal(FLAG_SEAL | FLAG_CLOSE)
    this.#fs.close(this.#fd)
  }

  /** Is there room for a frame of this many blocks? */
  hasRoom(blockCount: number): boolean {
    return this.#offset + blockCount * this.#log.blockBytes <= this.segment.segmentBytes
  }

  /** Makes the next segment ahead of need. */
  prepareAhead(zeroBytes: number = this.#options.segmentBytes): void {
    if (this.#ahead !== undefined) return
    const { segmentBytes, maxOutstandingRecords } = this.#options
    const spec = {
      ...this.#log,
      sequence: this.segment.sequence + 1,
      segmentBytes,
      maxOutstandingRecords,
      nextLsn: this.durableLsn + 1,
      nextFrameSequence: this.#frameSequence,
    }
    this.preparedCount++
    this.#ahead = prepareSegment(this.#fs, this.#directory, spec, this.#options, zeroBytes)
  }

  /**
   * Goes on in the next segment. All frames are durable, as the model has no frame in flight between calls. A segment
   * without a frame and without a cut cannot be left: nothing would lead behind it.
   */
  rotate(): void {
    if (this.#isPlainAndEmpty) return
    if (this.#ahead === undefined) this.prepareAhead()
    this.#fs.close(this.#fd)
    this.segment = this.#ahead!
    this.#ahead = undefined
    this.#offset = this.#log.blockBytes
    this.#isPlainAndEmpty = true
    this.#fd = this.#openSegment()
  }

  /** After a failed commit: fences it off and goes on. */
  resume(): void {
    const { segmentBytes, maxOutstandingRecords } = this.#options
    const firstFailed = this.durableLsn + 1
    const gap = this.nextLsn > firstFailed ? { first: firstFailed, last: this.nextLsn - 1 } : undefined
    const fenced = fence(this.#fs, this.#directory, {
      ...this.#log,
      ...this.#options,
      segmentBytes,
      maxOutstandingRecords,
      cut: this.#cut,
      gap,
      nextLsn: this.nextLsn,
      initialZeroBytes: 4 * this.#log.blockBytes,
    })
    this.#ledger.fail(firstFailed, this.nextLsn - 1)
    this.#fs.close(this.#fd)
    this.#ahead = undefined
    this.segment = fenced.segment
    this.#offset = fenced.writeOffset
    this.#isPlainAndEmpty = false
    this.#frameSequence = fenced.nextFrameSequence
    this.#previousOffset = fenced.previousOffset
    this.#previousChecksum = fenced.previousChecksum
    this.#fd = this.#openSegment()
    this.#cut = this.#endOfLog(fenced.writeOffset)
  }

  #openSegment(): number {
    const flag = this.#options.method === 'dsync' ? constants.O_DIRECT | constants.O_DSYNC : 0
    return this.#fs.open(this.segment.path, constants.O_RDWR | flag, 0o600)
  }

  #endOfLog(offset: number): SegmentCut {
    return {
      segment: this.segment.sequence,
      offset,
      lastLsn: this.durableLsn,
      frameSequence: this.#frameSequence - 1,
      checksum: this.#previousChecksum,
    }
  }

  #stage(recordCount: number, flags: number): StagedFrame {
    const firstLsn = this.nextLsn
    const payloads: string[] = []
    for (let index = 0; index < recordCount; index++) {
      const payload = `record ${this.nextLsn} of segment ${this.segment.sequence}`
      this.#ledger.handOut(this.nextLsn++, payload)
      payloads.push(payload)
    }
    const { saltLow, saltHigh, sequence } = this.segment
    const place = {
      flags,
      segmentSequence: sequence,
      offset: this.#offset,
      saltLow,
      saltHigh,
      frameSequence: this.#frameSequence,
      firstLsn,
      durableLsn: this.durableLsn,
      wallClockMs: this.#options.nowMs(),
      previousOffset: this.#previousOffset,
      previousChecksum: this.#previousChecksum,
    }
    const { bytes, checksum } = encodeFrame(place, payloads, this.#log.blockBytes)
    const frameSequence = this.#frameSequence++
    const offset = this.#offset
    this.#previousOffset = offset
    this.#previousChecksum = checksum
    this.#isPlainAndEmpty = false
    this.#offset += bytes.length
    const lastLsn = this.nextLsn - 1
    const cut = {
      segment: sequence,
      offset: this.#offset,
      lastLsn: recordCount > 0 ? lastLsn : this.durableLsn,
      frameSequence,
      checksum,
    }
    return { bytes, offset, firstLsn, lastLsn, cut }
  }

  #write(frame: StagedFrame): void {
    const { length } = frame.bytes
    const count = this.#fs.write(this.#fd, frame.bytes, 0, length, frame.offset)
    if (count !== length) throw Object.assign(new Error(`short write: ${count}`), { code: 'ENOSPC' })
  }

  #publish(frame: StagedFrame): void {
    this.#cut = frame.cut
    if (frame.lastLsn < frame.firstLsn) return
    this.durableLsn = frame.lastLsn
    this.#ledger.acknowledge(frame.firstLsn, frame.lastLsn)
  }

  #writeSeal(flags: number): void {
    const frame = this.#stage(0, flags)
    this.#write(frame)
    if (this.#options.method === 'fdatasync') this.#fs.dataSync(this.#fd)
    this.#publish(frame)
  }
}
