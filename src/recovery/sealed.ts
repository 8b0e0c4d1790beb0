import { CorruptLogError } from '../errors.ts'
import { type DecodedFrameHeader, frameBytes } from '../format/frame.ts'
import type { SegmentHeader } from '../format/segment-header.ts'
import { segmentName } from '../format/segment-name.ts'
import type { FileSystem } from '../storage/file-system.ts'
import { fileOf, frameAt, type LogFiles, type SegmentOpener } from './log-files.ts'

/** Where the part of the log begins that must be read frame by frame. */
export interface TailStart {
  /** In `LogFiles.live`. */
  index: number
  /** The last frame before it, in the segment before; undefined when the segment has a cut or is the first. */
  previous: DecodedFrameHeader | undefined
}

/** What the start of a segment says of the one before. */
interface SealedEnd {
  /** Its last frame; undefined where that is not to be had from here. */
  last: DecodedFrameHeader | undefined
  /** It has none. */
  isEmpty: boolean
}

/**
 * Finds the newest live segment that proves all before it complete: the one with a cut, or with a first frame that
 * is valid by its header. The ones before it are checked by that frame, and by the last frame that it names.
 */
export function findTail(fs: FileSystem, files: LogFiles, opener: SegmentOpener): TailStart {
  const { live } = files
  let index = live.length - 1
  while (index > 0 && live[index]!.header.cutSegment === 0) {
    if (firstFrame(fs, files, opener, index) !== undefined) break
    index--
  }
  let before: SealedEnd = { last: undefined, isEmpty: false }
  for (let at = 1; at <= index; at++) before = checkSealed(fs, files, opener, at)
  // Its cut, not a frame in it, is what the frames behind it follow.
  return before.isEmpty ? { index: index - 1, previous: undefined } : { index, previous: before.last }
}

/** Checks the end of the segment before `index`. */
function checkSealed(fs: FileSystem, files: LogFiles, opener: SegmentOpener, index: number): SealedEnd {
  const { header } = files.live[index]!
  const sealed = files.live[index - 1]!
  const previous = sealed.header
  if (header.cutSegment > 0) {
    const { fileBytes } = fileOf(files, previous)
    // Cut at its beginning it keeps no frame, and of the first block only the header means something.
    const hasKeptBytes = fileBytes >= header.cutOffset || header.cutOffset <= previous.blockBytes
    if (hasKeptBytes) return { last: undefined, isEmpty: false }
    throw damage(
      previous,
      fileBytes,
      `the file ends, but segment ${header.segmentSequence} cuts it behind that`,
    )
  }
  const first = firstFrame(fs, files, opener, index)
  if (first === undefined) throw damage(header, header.blockBytes, 'the first frame is damaged')
  const isFirst = index === 1 || previous.cutSegment > 0
  if (first.previousOffset === 0 && isFirst) return { last: undefined, isEmpty: true }
  const { path, fileBytes } = fileOf(files, previous)
  const last = frameAt(fs, opener, path, sealed, first.previousOffset)
  const isNamed =
    last !== undefined &&
    last.offset + frameBytes(last.bodyBytes, previous.blockBytes) <= fileBytes &&
    last.headerChecksum === first.previousChecksum &&
    last.frameSequence === first.frameSequence - 1
  if (isNamed) return { last, isEmpty: false }
  throw damage(previous, first.previousOffset, 'the last frame is damaged', first.firstLsn - 1)
}

function firstFrame(
  fs: FileSystem,
  files: LogFiles,
  opener: SegmentOpener,
  index: number,
): DecodedFrameHeader | undefined {
  const segment = files.live[index]!
  return frameAt(fs, opener, fileOf(files, segment.header).path, segment, segment.header.blockBytes)
}

function damage(header: SegmentHeader, offset: number, detail: string, lastLsn?: number): CorruptLogError {
  const segment = segmentName(header.segmentSequence)
  return new CorruptLogError(`${segment} is damaged at offset ${offset}: ${detail}`, {
    segment,
    offset,
    lastLsn,
  })
}
