import { CorruptLogError, GroupWalError, ReadTruncatedError } from '../errors.ts'
import { ownFramesOffset } from '../format/live-segments.ts'
import {
  decodeRecordHeader,
  isNoop,
  isReservedRecordType,
  RECORD_HEADER_BYTES,
  RECORD_TYPE_REQUIRED_BIT,
  recordBytes,
} from '../format/record.ts'
import type { SegmentHeader } from '../format/segment-header.ts'
import { parseSegmentName, segmentName } from '../format/segment-name.ts'
import { fileOf, readLogFiles, SegmentOpener } from '../recovery/log-files.ts'
import { LogWalk } from '../recovery/log-walk.ts'
import type { ScannedFrame } from '../recovery/scan.ts'
import { errorCode, listSegments } from '../storage/directory.ts'
import type { FileSystem } from '../storage/file-system.ts'
import { findStart } from './find-start.ts'

/** A record as it was committed. */
export interface LogRecord {
  lsn: number
  recordType: number
  tenantId: number
  vshardId: number
  /** Owns its bytes. */
  payload: Uint8Array
  /** When the batch was staged, milliseconds since 1970. May run backwards with the machine's clock. */
  wallClockMs: number
}

export interface ReadOptions {
  /** The lowest LSN to return; by default all that are there. */
  fromLsn?: number | undefined
  /**
   * The durable LSN: everything up to here is there, and nothing above is returned. Without it, for a log that
   * nobody has open, everything that is valid by docs/format.md is returned.
   */
  toLsn?: number | undefined
  /**
   * The application's record types that the caller knows; bit 15 does not matter. Of the others those with bit 15
   * (required) stop the read with an error and the rest is passed over. Without it, all are returned.
   */
  knownTypes?: Iterable<number> | undefined
}

/** Bit 15 of a record type says how it is to be treated, not what it is. */
const TYPE_NUMBER_MASK = 0x7fff
/** How often a read begins anew because segments were dropped before its first record came out. */
const MAX_RESTARTS = 100

/**
 * Iterates the records of a log in LSN order, checksums verified. The files are opened one after the other, read
 * only and through the page cache, while the log may be written by others; leaving the loop closes them.
 *
 * While iterating it throws CorruptLogError where a record is damaged or missing, ReadTruncatedError when records
 * were dropped by `truncateBefore`, GROUPWAL_UNKNOWN_RECORD_TYPE, GROUPWAL_UNSUPPORTED_VERSION, GROUPWAL_IO.
 *
 * @throws RangeError when an LSN is no LSN
 */
export function readRecords(
  fs: FileSystem,
  directory: string,
  options: ReadOptions = {},
): IterableIterator<LogRecord> {
  const fromLsn = options.fromLsn ?? 1
  const toLsn = options.toLsn ?? Number.POSITIVE_INFINITY
  if (!Number.isSafeInteger(fromLsn) || fromLsn < 1) throw new RangeError(`fromLsn is no LSN: ${fromLsn}`)
  if (toLsn !== Number.POSITIVE_INFINITY && (!Number.isSafeInteger(toLsn) || toLsn < 0)) {
    throw new RangeError(`toLsn is no LSN: ${toLsn}`)
  }
  let knownTypes: Set<number> | undefined
  if (options.knownTypes !== undefined) {
    knownTypes = new Set()
    for (const recordType of options.knownTypes) knownTypes.add(recordType & TYPE_NUMBER_MASK)
  }
  return iterate(new LogReader(fs, directory, { fromLsn, toLsn, knownTypes }))
}

function* iterate(reader: LogReader): IterableIterator<LogRecord> {
  try {
    for (;;) {
      const record = reader.next()
      if (record === undefined) return
      yield record
    }
  } finally {
    reader.close()
  }
}

interface ReadPlan {
  fromLsn: number
  toLsn: number
  knownTypes: ReadonlySet<number> | undefined
}

/** One pass over the log: a walk, and the place in the frame that it came to. */
class LogReader {
  readonly #fs: FileSystem
  readonly #directory: string
  readonly #plan: ReadPlan
  readonly #opener: SegmentOpener
  #walk: LogWalk | undefined
  #frame: ScannedFrame | undefined
  #body: DataView | undefined
  #recordOffset = 0
  #yielded = false
  #sawFrame = false
  #restarts = 0

  constructor(fs: FileSystem, directory: string, plan: ReadPlan) {
    this.#fs = fs
    this.#directory = directory
    this.#plan = plan
    this.#opener = new SegmentOpener(fs, false, allocateUnzeroed)
  }

  next(): LogRecord | undefined {
    for (;;) {
      const record = this.#nextInFrame()
      if (record !== undefined) {
        this.#yielded = true
        return record
      }
      if (this.#plan.fromLsn > this.#plan.toLsn) return undefined
      try {
        this.#walk ??= this.#startWalk()
        if (!this.#nextFrame(this.#walk)) return undefined
      } catch (error) {
        this.#restartOrThrow(error)
      }
    }
  }

  /** The file was only read: an error of close() says nothing about what was returned. */
  close(): void {
    try {
      this.#walk?.close()
    } catch (error) {
      if (errorCode(error) === undefined) throw error
    }
  }

  #startWalk(): LogWalk {
    const { fromLsn, toLsn } = this.#plan
    const fs = this.#fs
    const opener = this.#opener
    const files = readLogFiles(fs, this.#directory, opener)
    const openSegment = (segment: SegmentHeader): number => opener.open(fileOf(files, segment).path)
    const startIndex = fromLsn === 1 ? 0 : findStart(fs, files, opener, fromLsn)
    return new LogWalk({ fs, live: files.live, openSegment, buffer: opener.buffer }, startIndex, toLsn)
  }

  /** Moves to the next frame. False at the end. */
  #nextFrame(walk: LogWalk): boolean {
    const frame = walk.next(this.#plan.fromLsn)
    if (!this.#sawFrame) this.#demandNotTruncated(walk, frame)
    if (frame === undefined) {
      if (this.#plan.toLsn !== Number.POSITIVE_INFINITY) this.#demandReached(walk)
      return false
    }
    this.#sawFrame = true
    this.#frame = frame
    this.#body = new DataView(frame.body.buffer, frame.body.byteOffset, frame.body.byteLength)
    this.#recordOffset = 0
    return true
  }

  #nextInFrame(): LogRecord | undefined {
    const frame = this.#frame
    const body = this.#body
    if (frame === undefined || body === undefined) return undefined
    const { fromLsn, toLsn } = this.#plan
    while (this.#recordOffset < body.byteLength) {
      const offset = this.#recordOffset
      const { lsn, recordType, tenantId, vshardId, payloadBytes } = decodeRecordHeader(body, offset)
      this.#recordOffset += recordBytes(payloadBytes)
      if (lsn < fromLsn || lsn > toLsn || !this.#isWanted(recordType, lsn)) continue
      const payloadOffset = offset + RECORD_HEADER_BYTES
      const payload = frame.body.slice(payloadOffset, payloadOffset + payloadBytes)
      return { lsn, recordType, tenantId, vshardId, payload, wallClockMs: frame.header.wallClockMs }
    }
    this.#frame = undefined
    return undefined
  }

  #isWanted(recordType: number, lsn: number): boolean {
    if (isNoop(recordType)) return false
    const { knownTypes } = this.#plan
    const isKnown = isReservedRecordType(recordType)
      ? false
      : (knownTypes?.has(recordType & TYPE_NUMBER_MASK) ?? true)
    if (!isKnown && (recordType & RECORD_TYPE_REQUIRED_BIT) !== 0) {
      throw new GroupWalError(
        'GROUPWAL_UNKNOWN_RECORD_TYPE',
        `record ${lsn} has the unknown required type 0x${recordType.toString(16)}`,
      )
    }
    return isKnown
  }

  /** The log may begin above fromLsn not because it always did, but because what was before is dropped. */
  #demandNotTruncated(walk: LogWalk, first: ScannedFrame | undefined): void {
    const { fromLsn } = this.#plan
    const segment = walk.live[walk.segmentIndex]?.header
    if (fromLsn === 1 || segment === undefined || segment.segmentSequence === 1) return
    const behindGap =
      segment.gapFirst > 0 && (first === undefined || first.header.offset >= ownFramesOffset(segment))
    let firstLsn = first?.header.firstLsn ?? segment.nextLsn
    if (behindGap) firstLsn = Math.min(firstLsn, segment.gapFirst)
    if (fromLsn < firstLsn) throw this.#truncated(fromLsn, firstLsn)
  }

  /** Segments that are dropped while they are read look damaged, or are gone. */
  #restartOrThrow(error: unknown): void {
    const walk = this.#walk
    this.close()
    this.#walk = undefined
    this.#frame = undefined
    this.#sawFrame = false
    if (!this.#isDropped(error)) throw this.#asReadFailure(error)
    const nextLsn = Math.max(this.#plan.fromLsn, walk?.chain.nextLsn ?? 0)
    if (!this.#yielded && ++this.#restarts <= MAX_RESTARTS) return
    throw this.#isListed(error) ? this.#asReadFailure(error) : this.#truncated(nextLsn, undefined)
  }

  /** A link that leads nowhere, say to a disk that is not mounted, is missing but was not dropped. */
  #isListed(error: unknown): boolean {
    const { path } = error as { path?: unknown }
    return listSegments(this.#fs, this.#directory).segments.some((segment) => segment.path === path)
  }

  /** Segments are dropped oldest first: one that is missing behind others that are there was not dropped. */
  #isDropped(error: unknown): boolean {
    const isCorrupt = error instanceof CorruptLogError
    if (!isCorrupt && errorCode(error) !== 'ENOENT') return false
    let lowest: number
    try {
      lowest = listSegments(this.#fs, this.#directory).segments[0]?.number ?? 0
    } catch {
      // The directory itself is gone: the caller gets the first error.
      return false
    }
    return !isCorrupt || (parseSegmentName(error.segment) ?? lowest) < lowest
  }

  /** A record that is known to be durable must be there, whatever a crash could have left. */
  #demandReached(walk: LogWalk): void {
    const { end, chain } = walk
    if (end === undefined || end.reached) return
    const segment = segmentName(walk.live[walk.segmentIndex]?.header.segmentSequence ?? 1)
    const firstLsn = chain.nextLsn
    const lastLsn = this.#plan.toLsn
    throw new CorruptLogError(
      `${segment} is damaged at offset ${end.offset}, LSNs ${firstLsn} to ${lastLsn}: ${end.detail}, but they were durable`,
      { segment, offset: end.offset, firstLsn, lastLsn },
    )
  }

  #truncated(lsn: number, firstLsn: number | undefined): ReadTruncatedError {
    const rest = firstLsn === undefined ? '' : `; the log begins at ${firstLsn}`
    return new ReadTruncatedError(`LSN ${lsn} was dropped by truncateBefore${rest}`, { lsn, firstLsn })
  }

  #asReadFailure(error: unknown): unknown {
    if (errorCode(error) === undefined || GroupWalError.is(error)) return error
    const message = `cannot read the log in ${this.#directory}: ${(error as Error).message}`
    return new GroupWalError('GROUPWAL_IO', message, { cause: error })
  }
}

/** Zeroing the buffers would cost a short read more than the reading does; only what was read is looked at. */
function allocateUnzeroed(bytes: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer)
}
