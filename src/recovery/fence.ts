import { constants } from 'node:fs'
import { assert } from '../assert.ts'
import { GroupWalError } from '../errors.ts'
import {
  decodeSegmentHeader,
  MAX_BLOCK_BYTES,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from '../format/segment-header.ts'
import { segmentName } from '../format/segment-name.ts'
import {
  errorCode,
  FILE_MODE,
  listSegments,
  type NumberedFile,
  nextSegmentSequence,
} from '../storage/directory.ts'
import type { FileSystem } from '../storage/file-system.ts'
import { retireSegment } from '../storage/recycle.ts'
import {
  type LsnRange,
  type PreparedSegment,
  SegmentBuilder,
  type SegmentCut,
  type Sources,
} from '../storage/segment-file.ts'
import { readBeginning } from '../storage/whole-io.ts'
import { initialZeroBytes } from './new-segment.ts'

/** What a fence says; the log's own numbers as in `SegmentSpec`. */
export interface FenceSpec extends Sources {
  logId: Uint8Array
  blockBytes: number
  segmentBytes: number
  maxOutstandingRecords: number
  /**
   * Behind the last frame that is durable: its segment and end, sequence and checksum, and the last durable LSN. When
   * the newest segment has no frame yet, it is the end of the one before; but when that newest one is a fence itself
   * (or was made by recovery), it is the offset at which its first frame would stand, with the numbers of its cut.
   */
  cut: SegmentCut
  /** From the durable LSN + 1 to the last LSN that failed; undefined when there is none. */
  gap: LsnRange | undefined
  /** The LSN that is handed out next, gap.last + 1. */
  nextLsn: number
  /**
   * No segment sequence below this: threads may hold the files of earlier ones open, also of those that a refused
   * fence has retired, and know them by their number.
   */
  leastSequence?: number | undefined
  initialZeroBytes?: number | undefined
}

/** Where writing goes on. */
export interface FenceResult {
  segment: PreparedSegment
  writeOffset: number
  nextFrameSequence: number
  /** What the next frame names as the one before it. */
  previousOffset: number
  previousChecksum: number
}

/**
 * Makes sure that failed frames never come back: a new segment, durable on return, whose header cuts the log in
 * front of them. Needs no space on the disk when there is a spare or a segment made ahead of need; every segment
 * made ahead becomes a spare. No slot may be writing, and the caller forgets segments that it had prepared.
 *
 * When it throws, the fence may or may not be there after a crash; it can be called again.
 *
 * @throws GroupWalError GROUPWAL_RESUME_REFUSED with the cause
 */
export function fence(fs: FileSystem, directory: string, spec: FenceSpec): FenceResult {
  try {
    return makeFence(fs, directory, spec)
  } catch (error) {
    if (errorCode(error) === undefined || GroupWalError.is(error)) throw error
    throw refused((error as Error).message, error)
  }
}

function refused(why: string, cause?: unknown): GroupWalError {
  const message = `the failed commits cannot be fenced off: ${why}`
  return new GroupWalError('GROUPWAL_RESUME_REFUSED', message, { cause })
}

function makeFence(fs: FileSystem, directory: string, spec: FenceSpec): FenceResult {
  const { blockBytes, cut, gap, nextLsn } = spec
  assert(gap === undefined || gap.last === nextLsn - 1, 'a fence goes on behind the failed LSNs')
  const listing = listSegments(fs, directory)
  const sequence = Math.max(nextSegmentSequence(listing), spec.leastSequence ?? 1)
  checkCut(fs, listing.segments, cut, blockBytes)
  for (const segment of listing.segments.toReversed()) {
    if (segment.number <= cut.segment || !isMadeAhead(fs, segment)) break
    retireSegment(fs, directory, segment, Number.POSITIVE_INFINITY, 0)
  }
  const nextFrameSequence = cut.frameSequence + 1
  const { logId, segmentBytes, maxOutstandingRecords } = spec
  const newSpec = {
    sequence,
    logId,
    blockBytes,
    segmentBytes,
    maxOutstandingRecords,
    nextLsn,
    nextFrameSequence,
    cut,
    gap,
  }
  const builder = SegmentBuilder.begin(fs, directory, newSpec, spec)
  try {
    if (!builder.isSpare) builder.fill(initialZeroBytes(spec))
    const segment = builder.publish()
    return {
      segment,
      writeOffset: blockBytes,
      nextFrameSequence,
      previousOffset: 0,
      previousChecksum: cut.checksum,
    }
  } catch (error) {
    builder.abandon()
    throw error
  }
}

/** A reader finds a segment without frames only through its cut: one without a cut cannot be cut at its beginning. */
function checkCut(
  fs: FileSystem,
  segments: readonly NumberedFile[],
  cut: SegmentCut,
  blockBytes: number,
): void {
  const segment = segments.find(({ number }) => number === cut.segment)
  // Somebody removed it while the log was open, and acknowledged records with it.
  if (segment === undefined) throw refused(`segment ${segmentName(cut.segment)} is missing`)
  if (cut.offset > blockBytes || segments.at(0)?.number === cut.segment) return
  const header = readHeader(fs, segment)
  assert(header !== undefined && header.cutSegment > 0, 'a fence cuts behind the last durable frame')
}

/** Has no cut, and so no frame that counts: the caller says that nothing behind the cut was ever durable. */
function isMadeAhead(fs: FileSystem, segment: NumberedFile): boolean {
  const header = readHeader(fs, segment)
  return header !== undefined && header.cutSegment === 0
}

function readHeader(fs: FileSystem, segment: NumberedFile): SegmentHeader | undefined {
  const fd = fs.open(segment.path, constants.O_RDONLY, FILE_MODE)
  try {
    const bytes = new Uint8Array(MAX_BLOCK_BYTES)
    const decoded = decodeSegmentHeader(readBeginning(fs, fd, bytes, SEGMENT_HEADER_BYTES))
    return decoded.ok ? decoded.header : undefined
  } finally {
    fs.close(fd)
  }
}
