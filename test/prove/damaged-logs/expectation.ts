import type { BaseLog } from './base-logs.ts'
import {
  FRAME_HEADER_BYTES,
  type LogShape,
  SEGMENT_HEADER_BYTES,
  type ShapeFrame,
  shapeOf,
} from './log-shape.ts'

/** What docs/format.md says of a damaged log. */
export interface Expected {
  /** What a reader returns, before the damage if there is some. */
  records: readonly string[]
  /** Acknowledged data is damaged: where. Undefined: nothing is, or only what nothing proves. */
  damage:
    | { segment: string; offset: number; firstLsn: number | undefined; lastLsn: number | undefined }
    | undefined
  /** All LSNs of records up to here are returned. */
  lastLsn: number
}

/** Something was written over a part of a file, or it was cut short. */
export interface Touched {
  file: string
  from: number
  to: number
}

/**
 * Tells what a reader must find in a damaged copy of a log, from what is intact of it: an undamaged frame is valid,
 * and any other is not, since the bytes of nobody else fit at its place.
 */
export class Oracle {
  readonly shape: LogShape
  readonly records: readonly string[]
  /** No LSN up to here may be handed out again. */
  readonly highestLsn: number
  /** All records that were ever written, also those that were cut off, and those of an earlier life. */
  readonly known: ReadonlySet<string>
  readonly #files: ReadonlyMap<string, Uint8Array>
  /** The headers of these segments and of those that stood in their files before. */
  readonly #headers: Uint8Array[] = []
  /** Number of records before each frame. */
  readonly #before: number[] = []

  constructor({ files, stale }: BaseLog) {
    this.#files = files
    for (const bytes of [...files.values(), ...stale.values()]) {
      this.#headers.push(bytes.subarray(0, SEGMENT_HEADER_BYTES))
    }
    this.shape = shapeOf(files)
    const records: string[] = []
    for (const frame of this.shape.frames) {
      this.#before.push(records.length)
      records.push(...frame.records)
    }
    this.records = records
    const written = [...this.shape.frames, ...this.shape.laterFrames, ...this.shape.voidFrames]
    const older = shapeOf(stale)
    const everWritten = [...written, ...older.frames, ...older.laterFrames, ...older.voidFrames]
    this.known = new Set(everWritten.flatMap((frame) => frame.records))
    this.highestLsn = Math.max(0, ...written.map(({ firstLsn, lsnCount }) => firstLsn + lsnCount - 1))
  }

  /** Undefined when a whole other header was put in place of one: then other rules count, see "The directory". */
  expect(image: ReadonlyMap<string, Uint8Array>, touched: readonly Touched[]): Expected | undefined {
    const { shape } = this
    for (const segment of shape.segments.toReversed()) {
      if (segment.isVoid || !this.#isChanged(image, touched, segment.name, 0, SEGMENT_HEADER_BYTES)) continue
      if (this.#isOtherHeader(image.get(segment.name) as Uint8Array)) return undefined
      const damage = { segment: segment.name, offset: 0, firstLsn: undefined, lastLsn: undefined }
      return { records: [], damage, lastLsn: 0 }
    }
    const index = shape.frames.findIndex((frame) => !this.#isIntact(image, touched, frame, frame.length))
    if (index === -1) return { records: this.records, damage: undefined, lastLsn: Number.POSITIVE_INFINITY }
    return this.#judge(image, touched, index)
  }

  #judge(image: ReadonlyMap<string, Uint8Array>, touched: readonly Touched[], index: number): Expected {
    const { frames, laterFrames, segments, blockBytes } = this.shape
    const frame = frames[index]
    const records = this.records.slice(0, this.#before[index])
    const hasHeader = (other: ShapeFrame): boolean =>
      this.#isIntact(image, touched, other, FRAME_HEADER_BYTES)
    const place = this.#placeOf(index, hasHeader(frame))
    const segment = segments[place.segment]
    // The chain knows the LSN; where it begins, the frame's own header does, or else only a lower bound is known.
    const isBound = index === 0 && !hasHeader(frame)
    const expectedLsn = isBound ? segments[place.segment].nextLsn : frame.firstLsn
    const behind = [...frames.slice(index), ...laterFrames].filter(
      (other) => hasHeader(other) && (other.segment > place.segment || other.offset >= place.offset),
    )
    const laterLive = segments.slice(place.segment + 1).filter(({ isVoid }) => !isVoid)
    const isProven =
      segment.endOffset !== Number.POSITIVE_INFINITY ||
      place.offset < segment.provenOffset ||
      behind.some(({ durableLsn }) => durableLsn >= expectedLsn) ||
      laterLive.some(({ hasCut, nextLsn }) => hasCut || nextLsn > expectedLsn) ||
      behind.some((other) => other.segment > place.segment && other.offset === blockBytes)
    const lastLsn = frame.firstLsn - 1
    if (!isProven) return { records, damage: undefined, lastLsn }
    const follower = behind.find((other) => other !== frame)
    const lastDamaged = hasHeader(frame) ? frame.firstLsn + frame.lsnCount - 1 : (follower?.firstLsn ?? 0) - 1
    return {
      records,
      damage: {
        segment: segment.name,
        offset: place.offset,
        firstLsn: isBound ? undefined : frame.firstLsn,
        lastLsn: lastDamaged >= frame.firstLsn ? lastDamaged : undefined,
      },
      lastLsn,
    }
  }

  /** That a frame should stand at the beginning of a segment, only itself or a cut could have said. */
  #placeOf(index: number, hasHeader: boolean): { segment: number; offset: number } {
    const { frames, segments, blockBytes } = this.shape
    const { segment, offset } = frames[index]
    const isFirst = offset === blockBytes && index > 0 && !segments[segment].hasCut
    if (!isFirst || hasHeader) return { segment, offset }
    const before = frames[index - 1]
    return { segment: before.segment, offset: before.offset + before.length }
  }

  #isIntact(
    image: ReadonlyMap<string, Uint8Array>,
    touched: readonly Touched[],
    { segment, offset, length, meaningfulBytes }: ShapeFrame,
    bytes: number,
  ): boolean {
    const { name } = this.shape.segments[segment]
    const isWhole = bytes !== length
    const fileBytes = (image.get(name) as Uint8Array).length
    if (offset + bytes > fileBytes) return false
    return !this.#isChanged(image, touched, name, offset, isWhole ? bytes : meaningfulBytes)
  }

  #isChanged(
    image: ReadonlyMap<string, Uint8Array>,
    touched: readonly Touched[],
    name: string,
    offset: number,
    length: number,
  ): boolean {
    const isNear = touched.some(
      ({ file, from, to }) => file === name && from < offset + length && to > offset,
    )
    if (!isNear) return false
    const before = this.#files.get(name) as Uint8Array
    const after = image.get(name) as Uint8Array
    return (
      Buffer.compare(before.subarray(offset, offset + length), after.subarray(offset, offset + length)) !== 0
    )
  }

  #isOtherHeader(file: Uint8Array): boolean {
    const header = file.subarray(0, SEGMENT_HEADER_BYTES)
    return this.#headers.some((other) => Buffer.compare(other, header) === 0)
  }
}
