import { constants } from 'node:fs'
import { assert } from '../assert.ts'
import { CorruptLogError, GroupWalError } from '../errors.ts'
import type { DecodedFrameHeader } from '../format/frame.ts'
import { isSuccessor, type LiveSegment, liveSegments } from '../format/live-segments.ts'
import {
  decodeSegmentHeader,
  FORMAT_VERSION,
  MAX_BLOCK_BYTES,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from '../format/segment-header.ts'
import { segmentName } from '../format/segment-name.ts'
import { allocateAligned } from '../storage/aligned-buffer.ts'
import {
  type DirectoryListing,
  errorCode,
  FILE_MODE,
  listSegments,
  type NumberedFile,
} from '../storage/directory.ts'
import type { FileSystem } from '../storage/file-system.ts'
import { directReadFlag } from '../storage/sync-method.ts'
import { readBeginning } from '../storage/whole-io.ts'
import { SCAN_BUFFER_BYTES, ScanBuffer, SegmentScanner } from './scan.ts'

/** The block size is not known before the header is: enough for direct reads from every disk in use. */
const HEADER_READ_BYTES = 16 * 1024

/** A segment file whose header is intact and names the file's own number. */
export interface SegmentFile extends NumberedFile {
  header: SegmentHeader
  fileBytes: number
}

/** What an opener finds in the directory of a log. */
export interface LogFiles {
  listing: DirectoryListing
  /** The segments that count, ascending by segment sequence. */
  segments: SegmentFile[]
  /** The same, with how far each counts; none is missing between two. */
  live: LiveSegment[]
  /** Void ones, and those whose header names another number: spares that a crash left under an old name. */
  uncounted: NumberedFile[]
}

/** How segments are opened for reading: past the page cache where that is possible, since it cannot be trusted. */
export class SegmentOpener {
  /** For walking through frames. */
  readonly buffer: ScanBuffer
  /** For single headers. */
  readonly smallBuffer: ScanBuffer
  readonly #fs: FileSystem
  #directFlag: number

  constructor(fs: FileSystem, direct: boolean, allocate?: (bytes: number) => Uint8Array) {
    let isAligned = true
    const allocateBuffer =
      allocate ??
      ((bytes: number): Uint8Array => {
        const memory = allocateAligned(bytes)
        isAligned &&= memory.isAligned
        return memory.bytes
      })
    this.#fs = fs
    this.buffer = new ScanBuffer(allocateBuffer, SCAN_BUFFER_BYTES)
    this.smallBuffer = new ScanBuffer(allocateBuffer, MAX_BLOCK_BYTES)
    this.#directFlag = direct && isAligned ? directReadFlag() : 0
  }

  /** Opens a file for reading. */
  open(path: string): number {
    try {
      return this.#fs.open(path, constants.O_RDONLY | this.#directFlag, FILE_MODE)
    } catch (error) {
      if (this.#directFlag === 0 || errorCode(error) !== 'EINVAL') throw error
      this.#directFlag = 0
      return this.#fs.open(path, constants.O_RDONLY, FILE_MODE)
    }
  }
}

/**
 * Lists the directory, reads all segment headers and applies the cuts.
 *
 * @throws CorruptLogError when a header is damaged or a segment is missing
 * @throws GroupWalError GROUPWAL_UNSUPPORTED_VERSION when a newer groupwal wrote one of them
 */
export function readLogFiles(fs: FileSystem, directory: string, opener: SegmentOpener): LogFiles {
  const listing = listSegments(fs, directory)
  const segments: SegmentFile[] = []
  const uncounted: NumberedFile[] = []
  let cutSegment = 0
  for (const file of listing.segments.toReversed()) {
    // What a cut made void may hold anything, also a damaged header.
    const isVoid = cutSegment > 0 && file.number > cutSegment
    const found = isVoid ? undefined : readHeader(fs, file, opener)
    if (found === undefined || found.header.segmentSequence !== file.number) {
      uncounted.push(file)
      continue
    }
    segments.unshift({ ...file, ...found })
    cutSegment = found.header.cutSegment
  }
  const live = liveSegments(segments.map(({ header }) => header))
  checkBelongTogether(live)
  return { listing, segments, live, uncounted }
}

/** The block size of the log in the directory, as its newest segment says; undefined when none says so. */
export function readBlockBytes(fs: FileSystem, directory: string): number | undefined {
  const newest = listSegments(fs, directory).segments.at(-1)
  if (newest === undefined) return undefined
  const fd = fs.open(newest.path, constants.O_RDONLY, FILE_MODE)
  try {
    const bytes = new Uint8Array(HEADER_READ_BYTES)
    const decoded = decodeSegmentHeader(readBeginning(fs, fd, bytes, SEGMENT_HEADER_BYTES))
    return decoded.ok ? decoded.header.blockBytes : undefined
  } finally {
    fs.close(fd)
  }
}

/** The file of a live segment. */
export function fileOf(files: LogFiles, header: SegmentHeader): SegmentFile {
  const file = files.segments.find(({ number }) => number === header.segmentSequence)
  assert(file !== undefined, 'a live segment has a file')
  return file
}

/** The frame at this place when it is valid by its header. The file may end before its body does. */
export function frameAt(
  fs: FileSystem,
  opener: SegmentOpener,
  path: string,
  { header, endOffset }: LiveSegment,
  offset: number,
): DecodedFrameHeader | undefined {
  const isPlace = offset >= header.blockBytes && offset % header.blockBytes === 0 && offset < endOffset
  if (!isPlace) return undefined
  const fd = opener.open(path)
  try {
    const range = { startOffset: offset, endOffset }
    return new SegmentScanner(fs, fd, header, opener.smallBuffer, range).peekHeader()
  } finally {
    fs.close(fd)
  }
}

function readHeader(
  fs: FileSystem,
  file: NumberedFile,
  opener: SegmentOpener,
): { header: SegmentHeader; fileBytes: number } {
  const fd = opener.open(file.path)
  try {
    const bytes = opener.smallBuffer.bytes.subarray(0, HEADER_READ_BYTES)
    const decoded = decodeSegmentHeader(readBeginning(fs, fd, bytes, SEGMENT_HEADER_BYTES))
    if (decoded.ok) return { header: decoded.header, fileBytes: fs.fileSize(fd) }
    if (decoded.reason === 'version') throw unsupportedVersion(file.name, decoded.version)
    throw new CorruptLogError(`${file.name} has no valid segment header (${decoded.reason})`, {
      segment: file.name,
      offset: 0,
    })
  } finally {
    fs.close(fd)
  }
}

function checkBelongTogether(live: readonly LiveSegment[]): void {
  for (let index = 1; index < live.length; index++) {
    const previous = live[index - 1]!.header
    const next = live[index]!.header
    const segment = segmentName(next.segmentSequence)
    if (!isSuccessor(previous, next)) {
      const missing = next.cutSegment > 0 ? next.cutSegment : next.segmentSequence - 1
      throw new CorruptLogError(
        `${segmentName(missing)} is missing, between ${segmentName(previous.segmentSequence)} and ${segment}`,
        { segment: segmentName(missing), offset: 0, lastLsn: next.nextLsn - 1 },
      )
    }
    const isSameLog = previous.logId.every((byte, at) => byte === next.logId[at])
    if (!isSameLog || previous.blockBytes !== next.blockBytes) {
      throw new CorruptLogError(`${segment} is not of the same log as the segment before it`, {
        segment,
        offset: 0,
      })
    }
  }
}

function unsupportedVersion(name: string, version: number | undefined): GroupWalError {
  return new GroupWalError(
    'GROUPWAL_UNSUPPORTED_VERSION',
    `${name} has format version ${version}, this groupwal knows ${FORMAT_VERSION}`,
  )
}
