import { assert } from '../assert.ts'
import { FLAG_CLOSE, frameBytes } from '../format/frame.ts'
import { ownFramesOffset } from '../format/live-segments.ts'
import type { SegmentHeader } from '../format/segment-header.ts'
import type { FileSystem } from '../storage/file-system.ts'
import { fileOf, type LogFiles, type SegmentOpener } from './log-files.ts'
import { LogWalk, type WalkEnd } from './log-walk.ts'
import type { ScannedFrame } from './scan.ts'
import type { TailStart } from './sealed.ts'

/** A frame of the tail, without its body. */
export type TailFrame = Pick<ScannedFrame, 'header' | 'endOffset'>

/** The last frame that is proven to be on the disk: what a cut keeps. */
export interface KeptEnd {
  /** Segment sequence of the segment it stands in. */
  segment: number
  endOffset: number
  /** 0 when there is no frame at all. */
  frameSequence: number
  checksum: number
  /** Last LSN that stands in the log up to here, 0 when none does. */
  lastLsn: number
}

/** The end of the log, as the frames of its newest segment tell it. */
export interface Tail {
  header: SegmentHeader
  /** Whether a proven frame stands in the newest segment; if not, `kept` is what its cut keeps, or the end before. */
  hasKeptFrames: boolean
  kept: KeptEnd
  /** Valid frames behind `kept`, in order: nothing proves them to be on the disk. */
  unproven: TailFrame[]
  /** The last valid frame, if it is one that close() wrote and nothing stands behind it. */
  closeSeal: TailFrame | undefined
  /** The LSN that follows the last valid frame. */
  nextLsn: number
  /** Last LSN that stands in a valid frame, 0 when none does. */
  lastLsn: number
  end: WalkEnd
}

/**
 * Reads the frames of the newest segment and tells the proven from the unproven ones.
 *
 * @throws CorruptLogError where acknowledged data is damaged
 */
export function readTail(fs: FileSystem, files: LogFiles, opener: SegmentOpener, start: TailStart): Tail {
  const walk = new LogWalk(
    {
      fs,
      live: files.live,
      openSegment: (segment) => opener.open(fileOf(files, segment).path),
      buffer: opener.buffer,
    },
    start.index,
  )
  try {
    const before = keptBefore(files, start)
    if (start.previous !== undefined) linkToPrevious(walk, files, start)
    return collect(walk, files, before)
  } finally {
    walk.close()
  }
}

/** What stands before the first frame of the newest segment. */
function keptBefore(files: LogFiles, { index, previous }: TailStart): KeptEnd {
  const { header } = files.live[index]!
  if (previous !== undefined) {
    const { segmentSequence, blockBytes } = files.live[index - 1]!.header
    const endOffset = previous.offset + frameBytes(previous.bodyBytes, blockBytes)
    return keptAt(segmentSequence, { header: previous, endOffset }, 0)
  }
  return {
    segment: header.segmentSequence,
    endOffset: header.blockBytes,
    frameSequence: header.cutSegment > 0 ? header.cutFrameSequence : header.nextFrameSequence - 1,
    checksum: header.cutChecksum,
    lastLsn: header.cutLastLsn,
  }
}

/** Lets the chain of the walk begin with the last frame before it, so that the link between both is checked. */
function linkToPrevious(walk: LogWalk, files: LogFiles, { index, previous }: TailStart): void {
  const { header } = files.live[index - 1]!
  // What its header says of frames before that one is of no concern any more, but a gap may lie behind it.
  const link = { ...header, cutSegment: 0, provenOffset: 0, nextLsn: 1, nextFrameSequence: 1 }
  const isBeforeGap = previous!.offset < ownFramesOffset(header)
  walk.chain.enterSegment(isBeforeGap ? link : { ...link, gapFirst: 0, gapLast: 0 })
  const broken = walk.chain.accept(previous!)
  assert(broken === undefined, 'a chain can begin with any frame')
}

function collect(walk: LogWalk, files: LogFiles, initial: KeptEnd): Tail {
  let before = initial
  const unproven: TailFrame[] = []
  let kept = before
  let lastLsn = before.lastLsn
  let last: TailFrame | undefined
  for (let frame = walk.next(); frame !== undefined; frame = walk.next()) {
    const { segment } = walk
    const isStart =
      last === undefined && segment.cutSegment === 0 && segment.segmentSequence === before.segment
    if (isStart) kept = before = keptBeforeFirst(before, frame)
    last = { header: frame.header, endOffset: frame.endOffset }
    lastLsn = lastLsnAfter(last, lastLsn)
    unproven.push(last)
    const provenCount = countProven(unproven, walk.chain.provenLsn, ownFramesOffset(segment))
    for (const proven of unproven.splice(0, provenCount)) {
      kept = keptAt(segment.segmentSequence, proven, kept.lastLsn)
    }
  }
  const end = walk.end!
  const isClosed = last !== undefined && (last.header.flags & FLAG_CLOSE) !== 0 && !end.torn
  const { header } = files.live[end.segmentIndex]!
  assert(
    unproven.every((frame) => frame.header.segmentSequence === header.segmentSequence),
    'a segment that is left is proven',
  )
  return {
    header,
    hasKeptFrames: kept !== before,
    kept,
    unproven,
    closeSeal: isClosed ? last : undefined,
    // Behind a cut the chain knows a lower bound only, until a frame comes.
    nextLsn: Math.max(walk.chain.nextLsn, header.nextLsn),
    lastLsn,
    end,
  }
}

/**
 * What the first frame of the log says of the one before it, which was dropped with its segment. If nothing in this
 * segment is kept, a cut of the one that is gone makes it void as a whole.
 */
function keptBeforeFirst(before: KeptEnd, { header }: ScannedFrame): KeptEnd {
  const isVeryFirst = before.segment === 1
  return {
    segment: isVeryFirst ? before.segment : before.segment - 1,
    endOffset: isVeryFirst ? before.endOffset : header.previousOffset + before.endOffset,
    frameSequence: header.frameSequence - 1,
    checksum: header.previousChecksum,
    lastLsn: Math.min(header.durableLsn, header.firstLsn - 1),
  }
}

/**
 * How many frames at the beginning of the list are known to be on the disk. A seal is so only when a record behind
 * it is: what it says is true, but its own bytes may stand in the page cache only.
 */
function countProven(frames: readonly TailFrame[], provenLsn: number, copiedEnd: number): number {
  for (let count = frames.length; count > 0; count--) {
    const { header, endOffset } = frames[count - 1]!
    const isDurable = header.lsnCount > 0 && header.firstLsn + header.lsnCount - 1 <= provenLsn
    if (isDurable || endOffset <= copiedEnd) return count
  }
  return 0
}

function keptAt(segment: number, { header, endOffset }: TailFrame, lastLsnBefore: number): KeptEnd {
  return {
    segment,
    endOffset,
    frameSequence: header.frameSequence,
    checksum: header.headerChecksum,
    lastLsn: lastLsnAfter({ header, endOffset }, lastLsnBefore),
  }
}

/** A seal behind a gap follows LSNs that never stood anywhere; its durableLsn names the last one that does. */
function lastLsnAfter({ header }: TailFrame, lastLsnBefore: number): number {
  if (header.lsnCount > 0) return header.firstLsn + header.lsnCount - 1
  return Math.max(lastLsnBefore, Math.min(header.durableLsn, header.firstLsn - 1))
}
