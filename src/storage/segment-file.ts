import { constants } from 'node:fs'
import { join } from 'node:path'
import { assert } from '../assert.ts'
import { encodeSegmentHeader } from '../format/segment-header.ts'
import { segmentName, temporaryName } from '../format/segment-name.ts'
import { errorCode, FILE_MODE, isFullDisk, listSegments, type NumberedFile } from './directory.ts'
import type { FileSystem } from './file-system.ts'
import { writeWhole, writeZeros } from './whole-io.ts'
import type { ZeroWriter } from './zero-writer.ts'

/** Where a segment's header voids what stands before it; the last frame that is kept, 0 when there is none. */
export interface SegmentCut {
  /** Segment sequence of the segment that is cut. */
  segment: number
  /** Everything in it from this byte on, and every segment between it and the new one, is void. */
  offset: number
  lastLsn: number
  frameSequence: number
  /** Header checksum of that frame. */
  checksum: number
}

/** LSNs, both ends included. */
export interface LsnRange {
  first: number
  last: number
}

/** What a new segment's header says. */
export interface SegmentSpec {
  sequence: number
  logId: Uint8Array
  blockBytes: number
  segmentBytes: number
  maxOutstandingRecords: number
  /** No record to come has a smaller LSN. At most the durable LSN + 1, or gap.last + 1. */
  nextLsn: number
  nextFrameSequence: number
  cut?: SegmentCut | undefined
  gap?: LsnRange | undefined
}

/** Injected, so that tests can repeat themselves. */
export interface Sources {
  randomBytes(count: number): Uint8Array
  /** Wall clock, milliseconds since 1970. */
  nowMs(): number
}

/** A segment that is durable under its name and can be written. */
export interface PreparedSegment {
  sequence: number
  saltLow: number
  saltHigh: number
  path: string
  segmentBytes: number
  /** Blocks below this file offset are written and synced. */
  zeroedTo: number
}

/**
 * Makes a segment, durable on return: from a spare when there is one, else from nothing with `zeroBytes` of zeros.
 * A spare that is already as large is not filled again.
 */
export function prepareSegment(
  fs: FileSystem,
  directory: string,
  spec: SegmentSpec,
  sources: Sources,
  zeroBytes: number,
): PreparedSegment {
  const builder = SegmentBuilder.begin(fs, directory, spec, sources)
  try {
    builder.fill(zeroBytes)
    return builder.publish()
  } catch (error) {
    builder.abandon()
    throw error
  }
}

/**
 * A segment in the making. It stands under a temporary name or is a spare, so whatever a crash leaves of it is no
 * part of the log. `begin`, then `fill` and `writeFrames` as needed, then `publish` or `abandon`.
 */
export class SegmentBuilder {
  readonly saltLow: number
  readonly saltHigh: number
  readonly isSpare: boolean
  readonly #fs: FileSystem
  readonly #directory: string
  readonly #spec: SegmentSpec
  readonly #sources: Sources
  #path: string
  #fd: number
  #filledTo: number
  #provenOffset: number
  #hasFailed = false
  #isNamed = false

  private constructor(
    fs: FileSystem,
    directory: string,
    spec: SegmentSpec,
    sources: Sources,
    file: { path: string; fd: number; size: number | undefined },
  ) {
    const salt = new DataView(Uint8Array.from(sources.randomBytes(8)).buffer)
    this.saltLow = salt.getUint32(0, true)
    this.saltHigh = salt.getUint32(4, true)
    this.isSpare = file.size !== undefined
    this.#fs = fs
    this.#directory = directory
    this.#spec = spec
    this.#sources = sources
    this.#path = file.path
    this.#fd = file.fd
    const size = Math.min(file.size ?? 0, spec.segmentBytes)
    this.#filledTo = size - (size % spec.blockBytes)
    this.#provenOffset = spec.blockBytes
  }

  /** Takes the largest spare, or creates a file. */
  static begin(fs: FileSystem, directory: string, spec: SegmentSpec, sources: Sources): SegmentBuilder {
    assert(spec.segmentBytes % spec.blockBytes === 0, 'a segment is made of whole blocks')
    const listing = listSegments(fs, directory)
    assert(!listing.segments.some((file) => file.number === spec.sequence), 'a segment sequence is used once')
    const spare = largestSpare(fs, listing.spares)
    const path = spare?.path ?? join(directory, temporaryName(spec.sequence))
    const flags = spare === undefined ? constants.O_CREAT | constants.O_TRUNC : 0
    const fd = fs.open(path, constants.O_RDWR | flags, FILE_MODE)
    return new SegmentBuilder(fs, directory, spec, sources, { path, fd, size: spare?.size })
  }

  /** Up to here the file has blocks. */
  get filledTo(): number {
    return this.#filledTo
  }

  /** Where the frames that were put in front end, and the first own frame goes. */
  get provenOffset(): number {
    return this.#provenOffset
  }

  /** Writes zeros up to this offset, where the file has no blocks yet. Synced by `publish`, or by `sync`. */
  fill(to: number): void {
    const end = Math.min(to, this.#spec.segmentBytes)
    this.#guard(() => writeZeros(this.#fs, this.#fd, this.#filledTo, end))
    this.#filledTo = Math.max(this.#filledTo, end)
  }

  /** As fill, but through `zeroWriter`, and durable on return. */
  fillBy(zeroWriter: ZeroWriter, to: number): void {
    const end = Math.min(to, this.#spec.segmentBytes)
    zeroWriter.writeZeros(this.#path, this.#filledTo, end)
    this.#filledTo = Math.max(this.#filledTo, end)
  }

  /** Syncs what was filled so far, so that a paced filling does not leave all of it to `publish`. */
  sync(): void {
    this.#guard(() => this.#fs.dataSync(this.#fd))
  }

  /** Puts whole frames in front of all others; `publish` declares them proven. */
  writeFrames(bytes: Uint8Array): void {
    assert(bytes.length % this.#spec.blockBytes === 0, 'frames take whole blocks')
    assert(this.#provenOffset + bytes.length <= this.#spec.segmentBytes, 'frames fit into their segment')
    this.#guard(() => writeWhole(this.#fs, this.#fd, bytes, this.#provenOffset))
    this.#provenOffset += bytes.length
    this.#filledTo = Math.max(this.#filledTo, this.#provenOffset)
  }

  /** Writes the header, syncs, gives the file its name and makes that durable. The builder is used up. */
  publish(): PreparedSegment {
    return this.#guard(() => this.#publish())
  }

  /**
   * Gives up: closes the file and removes it, as far as the disk allows. A spare stays one, unless the disk failed on
   * it. Also after a `publish` that failed; its segment may then come back after a crash, as if it had succeeded.
   */
  abandon(): void {
    if (this.#fd >= 0) this.#attempt(() => this.#close())
    if (!this.isSpare || this.#isNamed || this.#hasFailed) this.#attempt(() => this.#fs.unlink(this.#path))
  }

  #publish(): PreparedSegment {
    const { sequence, blockBytes, segmentBytes } = this.#spec
    writeWhole(this.#fs, this.#fd, encodeSegmentHeader(this.#header(), blockBytes), 0)
    this.#filledTo = Math.max(this.#filledTo, blockBytes)
    if (this.#fs.fileSize(this.#fd) > segmentBytes) this.#fs.truncate(this.#fd, segmentBytes)
    this.#fs.fullSync(this.#fd)
    this.#close()
    const path = join(this.#directory, segmentName(sequence))
    this.#fs.rename(this.#path, path)
    this.#path = path
    this.#isNamed = true
    this.#fs.syncDirectory(this.#directory)
    const { saltLow, saltHigh } = this
    return { sequence, saltLow, saltHigh, path, segmentBytes, zeroedTo: this.#filledTo }
  }

  /** Once, also when it fails: its number may belong to a file of another thread by then. */
  #close(): void {
    const fd = this.#fd
    this.#fd = -1
    this.#fs.close(fd)
  }

  /** A file on which a call failed is not tried again: its errors may come but once. Running out of space is none. */
  #guard<T>(run: () => T): T {
    try {
      return run()
    } catch (error) {
      this.#hasFailed ||= !isFullDisk(error)
      throw error
    }
  }

  #attempt(run: () => void): void {
    try {
      run()
    } catch (error) {
      if (errorCode(error) === undefined) throw error
    }
  }

  #header(): Parameters<typeof encodeSegmentHeader>[0] {
    const { cut, gap, ...spec } = this.#spec
    return {
      segmentSequence: spec.sequence,
      saltLow: this.saltLow,
      saltHigh: this.saltHigh,
      logId: spec.logId,
      blockBytes: spec.blockBytes,
      maxOutstandingRecords: spec.maxOutstandingRecords,
      segmentBytes: spec.segmentBytes,
      createdMs: this.#sources.nowMs(),
      nextLsn: spec.nextLsn,
      nextFrameSequence: spec.nextFrameSequence,
      cutSegment: cut?.segment ?? 0,
      cutOffset: cut?.offset ?? 0,
      cutLastLsn: cut?.lastLsn ?? 0,
      cutFrameSequence: cut?.frameSequence ?? 0,
      cutChecksum: cut?.checksum ?? 0,
      provenOffset: this.#provenOffset,
      gapFirst: gap?.first ?? 0,
      gapLast: gap?.last ?? 0,
    }
  }
}

/** One that has a second name, as in a backup made of hard links, is not ours to write over: it only loses this name. */
function largestSpare(fs: FileSystem, spares: NumberedFile[]): { path: string; size: number } | undefined {
  let largest: { path: string; size: number } | undefined
  for (const { path } of spares) {
    const { size, links } = inspectSpare(fs, path)
    if (links > 1) fs.unlink(path)
    else if (largest === undefined || size > largest.size) largest = { path, size }
  }
  return largest
}

function inspectSpare(fs: FileSystem, path: string): { size: number; links: number } {
  const fd = fs.open(path, constants.O_RDONLY, FILE_MODE)
  try {
    return { size: fs.fileSize(fd), links: fs.linkCount(fd) }
  } finally {
    fs.close(fd)
  }
}
