import { CorruptLogError } from '../errors.ts'
import { FrameChain } from '../format/chain.ts'
import type { DecodedFrameHeader } from '../format/frame.ts'
import { isSuccessor, type LiveSegment, ownFramesOffset } from '../format/live-segments.ts'
import type { SegmentHeader } from '../format/segment-header.ts'
import { segmentName } from '../format/segment-name.ts'
import type { FileSystem } from '../storage/file-system.ts'
import {
  findLaterFrames,
  type InvalidPlace,
  type ScanBuffer,
  type ScannedFrame,
  SegmentScanner,
} from './scan.ts'

/** Where a walk gets its bytes. */
export interface WalkSource {
  fs: FileSystem
  /** As `liveSegments` made it. */
  live: readonly LiveSegment[]
  /** Opens a segment for reading; the walk closes what it opened. */
  openSegment: (segment: SegmentHeader) => number
  buffer: ScanBuffer
}

/** Where and how the valid prefix of the log ended. */
export interface WalkEnd {
  /** In `WalkSource.live`; -1 when there is no segment. */
  segmentIndex: number
  /** Where the next frame would stand. */
  offset: number
  /** True when the walk stopped because all LSNs that were asked for are read; the log may go on. */
  reached: boolean
  /** Frames were being written here: what they held was never proven durable and is void. */
  torn: boolean
  /** How many bytes of the segment the void frames take, as far as their headers tell. */
  tornBytes: number
  /** What stands at the place, for a message. */
  detail: string
}

/**
 * Reads the frames of a log in order, across segments, checking everything that docs/format.md promises. Throws
 * `CorruptLogError` where acknowledged data is damaged or missing, and ends at a torn tail.
 *
 * The caller iterates `next` until it returns undefined, and must call `close`.
 */
export class LogWalk {
  /** Another one from segment to segment: not to be kept by others. */
  chain: FrameChain = new FrameChain()
  /** Set when `next` returned undefined. */
  end: WalkEnd | undefined
  /** The live segment that is being read. */
  segmentIndex: number
  readonly #source: WalkSource
  readonly #toLsn: number
  #fd = -1
  #scanner: SegmentScanner | undefined

  /**
   * @param startIndex the live segment to begin with
   * @param toLsn stop as soon as everything up to here is read; where something at or below it cannot be read, the
   *   caller decides (a torn tail then contradicts what it knows)
   */
  constructor(source: WalkSource, startIndex = 0, toLsn: number = Number.POSITIVE_INFINITY) {
    this.#source = source
    this.segmentIndex = startIndex
    this.#toLsn = toLsn
  }

  get live(): readonly LiveSegment[] {
    return this.#source.live
  }

  /** The segment that is being read. There must be one. */
  get segment(): SegmentHeader {
    return this.#source.live[this.segmentIndex].header
  }

  /**
   * The next frame; its body is valid until the next call. Undefined at the end, then see `end`.
   *
   * @param skipBelowLsn the body of a frame all of whose LSNs are smaller is neither read nor checked
   */
  next(skipBelowLsn = 0): ScannedFrame | undefined {
    if (this.end !== undefined) return undefined
    if (this.#scanner === undefined) {
      if (this.segmentIndex >= this.#source.live.length) return this.#finish(this.#endAt(0, 'no segment'))
      this.#enter(this.segmentIndex)
    }
    for (;;) {
      const scanner = this.#scanner as SegmentScanner
      const { offset } = scanner
      this.#demand(this.chain.reachOffset(offset), offset)
      if (this.chain.nextLsn > this.#toLsn) {
        const end = this.#endAt(offset, 'everything asked for is read')
        end.reached = true
        return this.#finish(end)
      }
      const frame = scanner.next(skipBelowLsn)
      if (frame !== undefined) {
        this.#demand(this.chain.accept(frame.header), offset)
        return frame
      }
      if (scanner.invalid === undefined) this.#enterCutter(offset)
      else if (!this.#passInvalid(scanner.invalid)) return undefined
    }
  }

  /** Closes the file that is open. May be called at any time, more than once. */
  close(): void {
    const fd = this.#fd
    this.#fd = -1
    this.#scanner = undefined
    this.end ??= this.#endAt(0, 'the walk was closed')
    if (fd !== -1) this.#source.fs.close(fd)
  }

  #finish(end: WalkEnd): undefined {
    this.end = end
    return undefined
  }

  #endAt(offset: number, detail: string): WalkEnd {
    return { segmentIndex: this.segmentIndex, offset, reached: false, torn: false, tornBytes: 0, detail }
  }

  /** Opens a live segment, in place of the one that is open. */
  #open(index: number, startOffset: number): SegmentScanner {
    const { fs, live, buffer } = this.#source
    const { header, endOffset } = live[index]
    const previousFd = this.#fd
    this.#fd = -1
    if (previousFd !== -1) fs.close(previousFd)
    this.#fd = this.#source.openSegment(header)
    return new SegmentScanner(fs, this.#fd, header, buffer, { startOffset, endOffset })
  }

  /** Opens a live segment and goes on at its beginning; the one before was read to its end. */
  #enter(index: number): void {
    const scanner = this.#open(index, this.#source.live[index].header.blockBytes)
    this.segmentIndex = index
    this.#scanner = scanner
    this.#demand(this.chain.enterSegment(this.segment), 0)
  }

  #enterCutter(offset: number): void {
    if (offset < ownFramesOffset(this.segment)) this.#demand('a cut among frames that were copied', offset)
    this.#enter(this.segmentIndex + 1)
  }

  /** At a place without a valid frame: goes on, or ends the walk, or finds damage. */
  #passInvalid(invalid: InvalidPlace): boolean {
    try {
      return this.#judge(invalid)
    } catch (error) {
      if (!(error instanceof CorruptLogError) || !this.#hasAppeared(invalid.offset)) throw error
      return true
    }
  }

  /**
   * A log that another process writes: the place was read a while ago, and what proves that a frame stands there may
   * have been written since. Then the frame was, too, so a second look finds it; what is damaged stays so.
   */
  #hasAppeared(offset: number): boolean {
    if (this.#open(this.segmentIndex, offset).next() === undefined) return false
    this.#scanner = this.#open(this.segmentIndex, offset)
    return true
  }

  /** Goes on in the next segment, or ends the walk. */
  #judge(invalid: InvalidPlace): boolean {
    const { header, endOffset } = this.#source.live[this.segmentIndex]
    if (endOffset !== Number.POSITIVE_INFINITY || invalid.offset < ownFramesOffset(header)) {
      const proof = 'the header of a segment proves that a frame stands there'
      throw this.#damage(invalid, this.#expectedLsn(invalid), proof)
    }
    if (invalid.header !== undefined) this.#demand(this.chain.contradiction(invalid.header), invalid.offset)
    else if (this.#enterNext(invalid)) return true
    this.#judgeTail(invalid)
    return false
  }

  /** Goes on in the next segment if its first frame is there: that proves this one complete. */
  #enterNext(invalid: InvalidPlace): boolean {
    const { live } = this.#source
    const index = this.segmentIndex + 1
    if (index >= live.length || !isSuccessor(this.segment, live[index].header)) return false
    const scanner = this.#open(index, live[index].header.blockBytes)
    const first = scanner.peekHeader()
    if (first === undefined) return false
    const { header } = live[index]
    const { nextFrameSequence, nextLsn } = this.chain
    const chain = this.chain.copy()
    const broken =
      chain.enterSegment(header) ?? chain.reachOffset(header.blockBytes) ?? chain.contradiction(first)
    if (broken !== undefined) {
      const behind = this.#open(this.segmentIndex, invalid.offset)
      const later = findLaterFrames(behind, this.segment, nextFrameSequence)
      throw this.#damage(invalid, nextLsn, firstFrameProof(first), later.first ?? first)
    }
    this.chain = chain
    this.segmentIndex = index
    this.#scanner = scanner
    return true
  }

  /** Rule 1 of docs/format.md: looks for what proves that a frame stood at the invalid place. */
  #judgeTail(invalid: InvalidPlace): void {
    const { live } = this.#source
    const expectedSequence = this.chain.nextFrameSequence
    const expectedLsn = this.#expectedLsn(invalid)
    const end = this.#endAt(invalid.offset, invalid.detail)
    end.torn = invalid.begun
    let follower: DecodedFrameHeader | undefined
    for (let index = this.segmentIndex; index < live.length; index++) {
      const { header } = live[index]
      const isLater = index > this.segmentIndex
      if (isLater && header.cutSegment > 0) {
        throw this.#damage(invalid, expectedLsn, cutProof(header), follower)
      }
      const scanner = this.#open(index, isLater ? header.blockBytes : invalid.offset)
      const first = isLater ? scanner.peekHeader() : undefined
      if (first !== undefined) {
        throw this.#damage(invalid, expectedLsn, firstFrameProof(first), follower ?? first)
      }
      const later = findLaterFrames(scanner, header, expectedSequence)
      follower ??= later.first
      if (isLater && header.nextLsn > expectedLsn) {
        throw this.#damage(invalid, expectedLsn, madeAheadProof(header), follower)
      }
      if (later.first === undefined) continue
      if (later.mostDurable !== undefined && later.mostDurable.durableLsn >= expectedLsn) {
        throw this.#damage(invalid, expectedLsn, durableProof(later.mostDurable), follower)
      }
      end.torn = true
      if (!isLater) end.tornBytes = later.endOffset - invalid.offset
    }
    this.#finish(end)
  }

  /** Where the walk has just begun, an intact header knows the LSN better than the chain does. */
  #expectedLsn({ header }: InvalidPlace): number {
    const isNext = header !== undefined && this.chain.contradiction(header) === undefined
    return isNext ? header.firstLsn : this.chain.nextLsn
  }

  #demand(broken: string | undefined, offset: number): void {
    if (broken === undefined) return
    const place = { offset, detail: broken, header: undefined, begun: true }
    throw this.#damage(place, this.chain.nextLsn, 'no crash leaves that')
  }

  /** @param follower a frame behind the damage: the LSNs before it are the ones that are concerned */
  #damage(
    invalid: InvalidPlace,
    firstLsn: number,
    proof: string,
    follower?: DecodedFrameHeader,
  ): CorruptLogError {
    let lastLsn: number | undefined
    if (invalid.header !== undefined) lastLsn = invalid.header.firstLsn + invalid.header.lsnCount - 1
    else if (follower !== undefined) lastLsn = follower.firstLsn - 1
    if (lastLsn !== undefined && lastLsn < firstLsn) lastLsn = undefined
    const segment = segmentName(this.segment.segmentSequence)
    const lsns = lastLsn === undefined ? `from LSN ${firstLsn} on` : `LSNs ${firstLsn} to ${lastLsn}`
    return new CorruptLogError(
      `${segment} is damaged at offset ${invalid.offset}, ${lsns}: ${invalid.detail}, but ${proof}`,
      { segment, offset: invalid.offset, firstLsn, lastLsn },
    )
  }
}

function firstFrameProof(first: DecodedFrameHeader): string {
  return `frame ${first.frameSequence} begins segment ${first.segmentSequence}, so everything before it was durable`
}

function durableProof(frame: DecodedFrameHeader): string {
  return `frame ${frame.frameSequence} of segment ${frame.segmentSequence} knew LSN ${frame.durableLsn} as durable`
}

function madeAheadProof(header: SegmentHeader): string {
  return `segment ${header.segmentSequence} was made when LSN ${header.nextLsn - 1} was durable`
}

function cutProof(header: SegmentHeader): string {
  return `segment ${header.segmentSequence} cuts segment ${header.cutSegment}, so everything before it was durable`
}
