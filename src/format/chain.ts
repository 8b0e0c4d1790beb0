import type { DecodedFrameHeader } from './frame.ts'
import { ownFramesOffset } from './live-segments.ts'
import type { SegmentHeader } from './segment-header.ts'

/**
 * What the next frame must be. A walk over the live segments calls `enterSegment` for each, then for each frame
 * `reachOffset` and `accept`; each returns what contradicts the chain, or undefined. docs/format.md, "Chain".
 *
 * A walk may begin at any segment: until the first frame (or a cut) fixes them, sequence and LSN are lower bounds.
 */
export class FrameChain {
  /** Sequence of the next frame; a lower bound while `#linked` is false. */
  nextFrameSequence = 1
  /** LSN of the next record; a lower bound while `#lsnKnown` is false. Counts what a gap leaves out. */
  nextLsn = 1
  /** Of the frame before, as the next frame must name it. */
  previousOffset = 0
  previousChecksum = 0
  /** LSN behind the last frame, which is less than `nextLsn` where a gap follows it. */
  frameEndLsn = 0
  /** LSN of the last record that stands in the log, 0 when none is known. */
  lastLsn = 0
  /** Highest LSN that a frame or a segment header proves durable, 0 when none does. */
  provenLsn = 0
  #linked = false
  #lsnKnown = false
  #segment: SegmentHeader | undefined
  #gapApplied = false

  /** For a step that may have to be taken back. */
  copy(): FrameChain {
    const copy = new FrameChain()
    copy.nextFrameSequence = this.nextFrameSequence
    copy.nextLsn = this.nextLsn
    copy.previousOffset = this.previousOffset
    copy.previousChecksum = this.previousChecksum
    copy.frameEndLsn = this.frameEndLsn
    copy.lastLsn = this.lastLsn
    copy.provenLsn = this.provenLsn
    copy.#linked = this.#linked
    copy.#lsnKnown = this.#lsnKnown
    copy.#segment = this.#segment
    copy.#gapApplied = this.#gapApplied
    return copy
  }

  /** Goes on in the next live segment; the one before was read up to its end. */
  enterSegment(segment: SegmentHeader): string | undefined {
    const broken = this.#applyGap()
    if (broken !== undefined) return broken
    // Only in the segment where a walk begins may any frame come first: if it had none, only the log's very first.
    if (this.#segment !== undefined) this.#linked = true
    this.#segment = segment
    this.#gapApplied = segment.gapFirst === 0
    if (segment.cutSegment > 0) return this.#enterBehindCut(segment)
    if (!this.#linked && segment.provenOffset <= segment.blockBytes) {
      this.nextFrameSequence = Math.max(this.nextFrameSequence, segment.nextFrameSequence)
      this.nextLsn = Math.max(this.nextLsn, segment.nextLsn)
    }
    return undefined
  }

  /** Tells that everything in the segment below `offset` was read. Applies the gap behind the copied frames. */
  reachOffset(offset: number): string | undefined {
    if (this.#segment === undefined || offset < ownFramesOffset(this.#segment)) return undefined
    // Only what was copied here is proven by that, not the own frames that were read since.
    const { provenOffset, blockBytes } = this.#segment
    if (provenOffset > blockBytes && offset === provenOffset) this.#prove(this.frameEndLsn - 1)
    return this.#applyGap()
  }

  /** Takes the next frame, which is intact and belongs to its place, into the chain. */
  accept(frame: DecodedFrameHeader): string | undefined {
    const broken = this.contradiction(frame)
    if (broken !== undefined) return broken
    this.#linked = true
    this.#lsnKnown = true
    this.nextFrameSequence = frame.frameSequence + 1
    this.frameEndLsn = frame.firstLsn + frame.lsnCount
    this.nextLsn = this.frameEndLsn
    this.previousOffset = frame.offset
    this.previousChecksum = frame.headerChecksum
    if (frame.lsnCount > 0) this.lastLsn = this.frameEndLsn - 1
    this.#prove(frame.durableLsn)
    return undefined
  }

  /** What forbids that this frame comes next, or undefined. */
  contradiction(frame: DecodedFrameHeader): string | undefined {
    if (this.#linked) {
      if (frame.frameSequence !== this.nextFrameSequence) {
        return `frame sequence ${frame.frameSequence} where ${this.nextFrameSequence} follows`
      }
      if (frame.previousChecksum !== this.previousChecksum || frame.previousOffset !== this.previousOffset) {
        return 'the frame names another frame as the one before it'
      }
    } else if (frame.frameSequence < this.nextFrameSequence) {
      return `frame sequence ${frame.frameSequence} where at least ${this.nextFrameSequence} follows`
    }
    if (this.#lsnKnown ? frame.firstLsn !== this.nextLsn : frame.firstLsn < this.nextLsn) {
      return `first LSN ${frame.firstLsn} where ${this.nextLsn} follows`
    }
    return undefined
  }

  #enterBehindCut(segment: SegmentHeader): string | undefined {
    if (this.#linked) {
      const sameFrame =
        segment.cutFrameSequence === this.nextFrameSequence - 1 &&
        segment.cutChecksum === this.previousChecksum
      if (!sameFrame) return 'the cut names another frame as the one before it'
      // A seal behind a gap ends at an LSN that never stood anywhere: the cut may name the record before the gap.
      if (segment.cutLastLsn < this.lastLsn || segment.cutLastLsn >= this.nextLsn) {
        return `the cut names ${segment.cutLastLsn} as the last LSN before it`
      }
    } else {
      this.nextFrameSequence = segment.cutFrameSequence + 1
      this.previousChecksum = segment.cutChecksum
      this.nextLsn = Math.max(this.nextLsn, segment.cutLastLsn + 1)
      this.frameEndLsn = Math.max(this.frameEndLsn, segment.cutLastLsn + 1)
      this.lastLsn = Math.max(this.lastLsn, segment.cutLastLsn)
      this.#linked = true
    }
    this.previousOffset = 0
    this.#prove(segment.cutLastLsn)
    return undefined
  }

  #applyGap(): string | undefined {
    if (this.#segment === undefined || this.#gapApplied) return undefined
    const { gapFirst, gapLast } = this.#segment
    const contradicts =
      gapFirst <= this.lastLsn || gapLast + 1 < this.nextLsn || (this.#lsnKnown && gapFirst > this.nextLsn)
    if (contradicts) return `the gap ${gapFirst} to ${gapLast} does not fit between the records around it`
    this.#gapApplied = true
    this.nextLsn = gapLast + 1
    this.#lsnKnown = true
    return undefined
  }

  #prove(lsn: number): void {
    if (lsn > this.provenLsn) this.provenLsn = lsn
  }
}
