import type { SegmentHeader } from './segment-header.ts'

/** A segment that belongs to the log, and how far. */
export interface LiveSegment {
  header: SegmentHeader
  /** Where a later segment cuts this one; Infinity when nothing does. Bytes from here on are void. */
  endOffset: number
}

/**
 * Applies the cuts: tells which segments belong to the log and how far each, ascending by segment sequence.
 * Segments between a cut and the segment that makes it are void and left out.
 *
 * Cuts are applied from the newest segment backwards, because a cut that was itself cut off no longer counts.
 *
 * @param headers of all segments whose header names the sequence of its file, in any order
 */
export function liveSegments(headers: readonly SegmentHeader[]): LiveSegment[] {
  const ascending = [...headers].sort((a, b) => a.segmentSequence - b.segmentSequence)
  const live: LiveSegment[] = []
  let cutSegment = 0
  let cutOffset = 0
  for (let index = ascending.length - 1; index >= 0; index--) {
    const header = ascending[index]
    if (cutSegment > 0 && header.segmentSequence > cutSegment) continue
    live.push({
      header,
      endOffset: header.segmentSequence === cutSegment ? cutOffset : Number.POSITIVE_INFINITY,
    })
    cutSegment = header.cutSegment
    cutOffset = header.cutOffset
  }
  return live.reverse()
}

/** Tells whether no segment is missing between two neighbours of a list that `liveSegments` made. */
export function isSuccessor(previous: SegmentHeader, next: SegmentHeader): boolean {
  const expected = next.cutSegment > 0 ? next.cutSegment : next.segmentSequence - 1
  return previous.segmentSequence === expected
}

/** Where a segment's copied, proven frames end and its own begin. */
export function ownFramesOffset(header: SegmentHeader): number {
  return Math.max(header.provenOffset, header.blockBytes)
}
