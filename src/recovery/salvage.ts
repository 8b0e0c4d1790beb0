import { GroupWalError } from '../errors.ts'
import {
  encodeFrameHeader,
  FRAME_CHECKSUM_INPUT_BYTES,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameBytes,
} from '../format/frame.ts'
import type { SegmentHeader } from '../format/segment-header.ts'
import type { FileSystem } from '../storage/file-system.ts'
import type { SegmentBuilder } from '../storage/segment-file.ts'
import type { SegmentOpener } from './log-files.ts'
import { SegmentScanner } from './scan.ts'
import type { TailFrame } from './tail.ts'

/** The last frame in front of the place where the next one goes. */
export interface LastFrame {
  offset: number
  checksum: number
  frameSequence: number
}

/**
 * Copies frames into the segment that is being built: the same records, LSNs and frame sequences, under the salt and
 * the offsets of the new place.
 *
 * @param from header and path of the segment they stand in
 * @param last the frame they follow, in the chain of the new segment
 */
export function copyFrames(
  fs: FileSystem,
  opener: SegmentOpener,
  from: { header: SegmentHeader; path: string },
  frames: readonly TailFrame[],
  to: { builder: SegmentBuilder; segmentSequence: number },
  last: LastFrame,
): LastFrame {
  const first = frames.at(0)
  if (first === undefined) return last
  const fd = opener.open(from.path)
  try {
    const range = { startOffset: first.header.offset, endOffset: Number.POSITIVE_INFINITY }
    const scanner = new SegmentScanner(fs, fd, from.header, opener.buffer, range)
    let previous = last
    let offset = from.header.blockBytes
    for (const { header } of frames) {
      const read = scanner.next()
      if (read?.header.headerChecksum !== header.headerChecksum) {
        throw new GroupWalError('GROUPWAL_IO', `${from.path} reads differently the second time`)
      }
      const { saltLow, saltHigh } = to.builder
      const bytes = new Uint8Array(frameBytes(header.bodyBytes, from.header.blockBytes))
      bytes.set(read.body, FRAME_HEADER_BYTES)
      const checksum = writeHeader(bytes, {
        ...header,
        segmentSequence: to.segmentSequence,
        offset,
        saltLow,
        saltHigh,
        previousOffset: previous.offset,
        previousChecksum: previous.checksum,
      })
      to.builder.writeFrames(bytes)
      previous = { offset, checksum, frameSequence: header.frameSequence }
      offset += bytes.length
    }
    return previous
  } finally {
    fs.close(fd)
  }
}

/** Encodes a header at the beginning of a frame's bytes and returns its checksum. */
export function writeHeader(frame: Uint8Array, header: FrameHeader): number {
  const view = new DataView(frame.buffer, frame.byteOffset, FRAME_HEADER_BYTES)
  return encodeFrameHeader(view, frame.subarray(0, FRAME_CHECKSUM_INPUT_BYTES), header)
}
