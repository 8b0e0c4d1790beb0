import { assert } from '../assert.ts'
import {
  type DecodedFrameHeader,
  decodeFrameHeader,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  FRAME_MAGIC_OFFSET,
  FRAME_SALT_HIGH_OFFSET,
  FRAME_SALT_LOW_OFFSET,
  frameBytes,
} from '../format/frame.ts'
import { validateBody } from '../format/record.ts'
import { MAX_BLOCK_BYTES, type SegmentHeader } from '../format/segment-header.ts'
import type { FileSystem } from '../storage/file-system.ts'

/** What a frame must say about the place it stands in, and the block size that frames are aligned to. */
export type SegmentPlace = Pick<SegmentHeader, 'segmentSequence' | 'saltLow' | 'saltHigh' | 'blockBytes'>

/** How much is read at once when the caller has no other wish. */
export const SCAN_BUFFER_BYTES: number = 512 * 1024

/** A frame that is valid in itself and belongs to its place. Its chain is not checked here. */
export interface ScannedFrame {
  header: DecodedFrameHeader
  /** Byte offset of the next frame. */
  endOffset: number
  /** The records, in the scan buffer: overwritten by the next call. Empty when the body was passed over. */
  body: Uint8Array
}

/** The first place that holds no valid frame. */
export interface InvalidPlace {
  offset: number
  /** What is wrong, for a message. */
  detail: string
  /** The header, when the place has a frame that is valid by its header. */
  header: DecodedFrameHeader | undefined
  /** A frame of this life of the segment was begun here, as far as its first bytes tell. */
  begun: boolean
}

/**
 * The buffer of a walk: used by one scanner at a time, grown when a frame is larger. For a direct fd `allocate`
 * must return aligned buffers.
 */
export class ScanBuffer {
  bytes: Uint8Array
  readonly #allocate: (bytes: number) => Uint8Array

  constructor(allocate: (bytes: number) => Uint8Array, initialBytes: number = SCAN_BUFFER_BYTES) {
    assert(initialBytes >= MAX_BLOCK_BYTES, 'a scan buffer holds the largest block')
    assert(initialBytes % MAX_BLOCK_BYTES === 0, 'a scan buffer is a multiple of every block size')
    this.#allocate = allocate
    this.bytes = allocate(initialBytes)
  }

  /** Makes room for `neededBytes`; keeps the first `keptBytes`. */
  grow(neededBytes: number, keptBytes: number): void {
    if (neededBytes <= this.bytes.length) return
    const larger = this.#allocate(Math.ceil(neededBytes / MAX_BLOCK_BYTES) * MAX_BLOCK_BYTES)
    larger.set(this.bytes.subarray(0, keptBytes))
    this.bytes = larger
  }
}

/**
 * Walks the frames of one segment file from an offset on, in large block-aligned reads. It never throws on what
 * the file holds; errors of the file system pass through.
 */
export class SegmentScanner {
  /** Where the next frame is looked for. */
  offset: number
  /** Why `next` returned undefined; undefined when it came exactly to `endOffset`. */
  invalid: InvalidPlace | undefined
  readonly fileBytes: number
  readonly #fs: FileSystem
  readonly #fd: number
  readonly #place: SegmentPlace
  readonly #buffer: ScanBuffer
  readonly #endOffset: number
  /** The part of the file that stands at the beginning of the buffer. */
  #windowOffset = 0
  #windowBytes = 0

  /**
   * @param fd may be opened with O_DIRECT when the buffer is aligned
   * @param range where to begin, a frame's place; and where a cut ends the segment, or Infinity
   */
  constructor(
    fs: FileSystem,
    fd: number,
    place: SegmentPlace,
    buffer: ScanBuffer,
    range: { startOffset: number; endOffset: number },
  ) {
    assert(range.startOffset % place.blockBytes === 0, 'frames begin at a block')
    this.#fs = fs
    this.#fd = fd
    this.#place = place
    this.#buffer = buffer
    this.offset = range.startOffset
    this.#endOffset = range.endOffset
    this.fileBytes = fs.fileSize(fd)
  }

  /**
   * Returns the frame at `offset` and moves behind it, or undefined at the first place that holds no valid one.
   *
   * @param skipBelowLsn the body of a frame all of whose LSNs are smaller is neither read nor checked
   */
  next(skipBelowLsn = 0): ScannedFrame | undefined {
    this.invalid = undefined
    if (this.offset === this.#endOffset) return undefined
    const header = this.peekHeader()
    if (header === undefined) return this.#stop(this.#headerFault(), undefined)
    const endOffset = this.offset + frameBytes(header.bodyBytes, this.#place.blockBytes)
    if (endOffset > this.#endOffset) return this.#stop('the frame reaches behind the cut', header)
    if (endOffset > this.fileBytes) return this.#stop('the frame reaches behind the end of the file', header)
    let body = this.#buffer.bytes.subarray(0, 0)
    if (header.firstLsn + header.lsnCount > skipBelowLsn) {
      const neededBytes = FRAME_HEADER_BYTES + header.bodyBytes
      if (!this.#load(this.offset, neededBytes)) return this.#stop('the body is incomplete', header)
      const at = this.offset - this.#windowOffset
      body = this.#buffer.bytes.subarray(at + FRAME_HEADER_BYTES, at + neededBytes)
      const fault = validateBody(body, header)
      if (fault !== undefined) return this.#stop(fault, header)
    }
    this.offset = endOffset
    return { header, endOffset, body }
  }

  /** The header at `offset` when it is that of a frame valid by its header, else undefined. */
  peekHeader(): DecodedFrameHeader | undefined {
    if (!this.#load(this.offset, FRAME_HEADER_BYTES)) return undefined
    return decodeAtPlace(this.#buffer.bytes, this.offset - this.#windowOffset, this.#place, this.offset)
  }

  /**
   * Looks at every block from `offset` on for frames that are valid by their header, and calls `visit` with each.
   * Moves to the end; `next` is of no use afterwards.
   */
  forEachHeader(visit: (header: DecodedFrameHeader) => void): void {
    const { blockBytes } = this.#place
    const endOffset = Math.min(this.#endOffset, this.fileBytes)
    for (; this.offset + FRAME_HEADER_BYTES <= endOffset; this.offset += blockBytes) {
      const header = this.peekHeader()
      if (header !== undefined) visit(header)
    }
  }

  #stop(detail: string, header: DecodedFrameHeader | undefined): undefined {
    this.invalid = { offset: this.offset, detail, header, begun: header !== undefined || this.#frameBegun() }
    return undefined
  }

  #headerFault(): string {
    if (this.offset >= this.fileBytes) return 'the file ends'
    return this.#frameBegun() ? 'the frame header is damaged' : 'no frame stands there'
  }

  /** Magic and salt are those of a frame of this life, although the header as a whole is not valid. */
  #frameBegun(): boolean {
    if (!this.#load(this.offset, FRAME_HEADER_BYTES)) return false
    const { buffer, byteOffset } = this.#buffer.bytes
    const view = new DataView(buffer, byteOffset + this.offset - this.#windowOffset, FRAME_HEADER_BYTES)
    return (
      view.getUint32(FRAME_MAGIC_OFFSET, true) === FRAME_MAGIC &&
      view.getUint32(FRAME_SALT_LOW_OFFSET, true) === this.#place.saltLow &&
      view.getUint32(FRAME_SALT_HIGH_OFFSET, true) === this.#place.saltHigh
    )
  }

  /** Brings `neededBytes` of the file from `offset`, a block, into the window. False where the file ends before. */
  #load(offset: number, neededBytes: number): boolean {
    const windowEnd = this.#windowOffset + this.#windowBytes
    if (offset >= this.#windowOffset && offset + neededBytes <= windowEnd) return true
    if (offset + neededBytes > this.fileBytes) return false
    // What is there already moves to the front: by whole blocks, so that the rest is read to an aligned address.
    const kept = offset >= this.#windowOffset && offset < windowEnd ? windowEnd - offset : 0
    const keptBytes = kept - (kept % this.#place.blockBytes)
    const keptAt = offset - this.#windowOffset
    if (keptBytes > 0) this.#buffer.bytes.copyWithin(0, keptAt, keptAt + keptBytes)
    this.#windowOffset = offset
    this.#windowBytes = keptBytes
    const { blockBytes } = this.#place
    this.#buffer.grow(Math.ceil(neededBytes / blockBytes) * blockBytes, keptBytes)
    while (this.#windowBytes < neededBytes) {
      const room = this.#buffer.bytes.length - this.#windowBytes
      const position = this.#windowOffset + this.#windowBytes
      const count = this.#fs.read(this.#fd, this.#buffer.bytes, this.#windowBytes, room, position)
      if (count === 0) return false
      this.#windowBytes += count
    }
    return true
  }
}

/** What stands behind a place that holds no valid frame, of those that are valid by their header. */
export interface LaterFrames {
  /** The first one in the segment. */
  first: DecodedFrameHeader | undefined
  /** The one that knew the highest LSN as durable. */
  mostDurable: DecodedFrameHeader | undefined
  /** The end of the last one, 0 when there is none. */
  endOffset: number
}

/**
 * Looks through the blocks of a segment for frames that were written when the invalid place should already have
 * been: those whose sequence is not below the one expected there. Rule 1 of docs/format.md.
 */
export function findLaterFrames(
  scanner: SegmentScanner,
  place: SegmentPlace,
  expectedFrameSequence: number,
): LaterFrames {
  const found: LaterFrames = { first: undefined, mostDurable: undefined, endOffset: 0 }
  scanner.forEachHeader((header) => {
    if (header.frameSequence < expectedFrameSequence) return
    found.first ??= header
    if (found.mostDurable === undefined || header.durableLsn > found.mostDurable.durableLsn) {
      found.mostDurable = header
    }
    found.endOffset = header.offset + frameBytes(header.bodyBytes, place.blockBytes)
  })
  return found
}

function decodeAtPlace(
  bytes: Uint8Array,
  at: number,
  place: SegmentPlace,
  offset: number,
): DecodedFrameHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, FRAME_HEADER_BYTES)
  if (view.getUint32(FRAME_MAGIC_OFFSET, true) !== FRAME_MAGIC) return undefined
  const header = decodeFrameHeader(view, bytes.subarray(at, at + FRAME_HEADER_BYTES))
  if (header === undefined) return undefined
  const belongs =
    header.offset === offset &&
    header.segmentSequence === place.segmentSequence &&
    header.saltLow === place.saltLow &&
    header.saltHigh === place.saltHigh
  return belongs ? header : undefined
}
