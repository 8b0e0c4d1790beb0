import { assert } from '../assert.ts'
import { checksum } from './checksum.ts'
import { readUint64, writeUint64 } from './uint64.ts'

/** Bytes `GWSG`, read as a little-endian u32. */
export const SEGMENT_MAGIC = 0x47535747
export const FORMAT_VERSION = 1
/** The header's own length; zeros follow up to the end of the first block. */
export const SEGMENT_HEADER_BYTES = 512
export const LOG_ID_BYTES = 16
export const MIN_BLOCK_BYTES = 4096
export const MAX_BLOCK_BYTES = 65536

const MAGIC = 0
const VERSION = 4
const FLAGS = 6
const SEGMENT_SEQUENCE = 8
const SALT_LOW = 16
const SALT_HIGH = 20
const LOG_ID = 24
const BLOCK_BYTES = 40
const MAX_OUTSTANDING_RECORDS = 44
const SEGMENT_BYTES = 48
const CREATED_MS = 56
const NEXT_LSN = 64
const NEXT_FRAME_SEQUENCE = 72
const CUT_SEGMENT = 80
const CUT_OFFSET = 88
const CUT_LAST_LSN = 96
const CUT_FRAME_SEQUENCE = 104
const CUT_CHECKSUM = 112
const PROVEN_OFFSET = 120
const GAP_FIRST = 128
const GAP_LAST = 136
const HEADER_CHECKSUM = 508

/** The fields of a segment header; docs/format.md says what each means. Offsets are bytes in a segment file. */
export interface SegmentHeader {
  segmentSequence: number
  saltLow: number
  saltHigh: number
  logId: Uint8Array
  blockBytes: number
  maxOutstandingRecords: number
  segmentBytes: number
  createdMs: number
  nextLsn: number
  nextFrameSequence: number
  cutSegment: number
  cutOffset: number
  cutLastLsn: number
  cutFrameSequence: number
  cutChecksum: number
  provenOffset: number
  gapFirst: number
  gapLast: number
}

/**
 * `magic`: no segment header. `checksum`: one that was damaged. `version`: an intact one of another version, which
 * `version` names. `content`: intact, of our version, but with values that the format excludes.
 */
export type DecodedSegmentHeader =
  | { ok: true; header: SegmentHeader }
  | { ok: false; reason: 'magic' | 'checksum' | 'version' | 'content'; version?: number }

/** Encodes a header into a new block of `blockBytes`, zeros behind it. */
export function encodeSegmentHeader(header: SegmentHeader, blockBytes: number): Uint8Array {
  assert(header.blockBytes === blockBytes, 'a segment header stands in a block of its own size')
  assert(contentIsLegal(header), 'a segment header holds only legal values')
  const bytes = new Uint8Array(blockBytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(MAGIC, SEGMENT_MAGIC, true)
  view.setUint16(VERSION, FORMAT_VERSION, true)
  writeUint64(view, SEGMENT_SEQUENCE, header.segmentSequence)
  view.setUint32(SALT_LOW, header.saltLow, true)
  view.setUint32(SALT_HIGH, header.saltHigh, true)
  bytes.set(header.logId, LOG_ID)
  view.setUint32(BLOCK_BYTES, header.blockBytes, true)
  view.setUint32(MAX_OUTSTANDING_RECORDS, header.maxOutstandingRecords, true)
  writeUint64(view, SEGMENT_BYTES, header.segmentBytes)
  writeUint64(view, CREATED_MS, header.createdMs)
  writeUint64(view, NEXT_LSN, header.nextLsn)
  writeUint64(view, NEXT_FRAME_SEQUENCE, header.nextFrameSequence)
  writeUint64(view, CUT_SEGMENT, header.cutSegment)
  writeUint64(view, CUT_OFFSET, header.cutOffset)
  writeUint64(view, CUT_LAST_LSN, header.cutLastLsn)
  writeUint64(view, CUT_FRAME_SEQUENCE, header.cutFrameSequence)
  view.setUint32(CUT_CHECKSUM, header.cutChecksum, true)
  writeUint64(view, PROVEN_OFFSET, header.provenOffset)
  writeUint64(view, GAP_FIRST, header.gapFirst)
  writeUint64(view, GAP_LAST, header.gapLast)
  view.setUint32(HEADER_CHECKSUM, checksum(bytes.subarray(0, HEADER_CHECKSUM)), true)
  return bytes
}

/** Decodes the header at the beginning of `bytes`, which may be short or garbage. The result owns its bytes. */
export function decodeSegmentHeader(bytes: Uint8Array): DecodedSegmentHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < SEGMENT_HEADER_BYTES || view.getUint32(MAGIC, true) !== SEGMENT_MAGIC) {
    return { ok: false, reason: 'magic' }
  }
  if (view.getUint32(HEADER_CHECKSUM, true) !== checksum(bytes.subarray(0, HEADER_CHECKSUM))) {
    return { ok: false, reason: 'checksum' }
  }
  const version = view.getUint16(VERSION, true)
  if (version !== FORMAT_VERSION) return { ok: false, reason: 'version', version }
  const header: SegmentHeader = {
    segmentSequence: readUint64(view, SEGMENT_SEQUENCE),
    saltLow: view.getUint32(SALT_LOW, true),
    saltHigh: view.getUint32(SALT_HIGH, true),
    logId: Uint8Array.from(bytes.subarray(LOG_ID, LOG_ID + LOG_ID_BYTES)),
    blockBytes: view.getUint32(BLOCK_BYTES, true),
    maxOutstandingRecords: view.getUint32(MAX_OUTSTANDING_RECORDS, true),
    segmentBytes: readUint64(view, SEGMENT_BYTES),
    createdMs: readUint64(view, CREATED_MS),
    nextLsn: readUint64(view, NEXT_LSN),
    nextFrameSequence: readUint64(view, NEXT_FRAME_SEQUENCE),
    cutSegment: readUint64(view, CUT_SEGMENT),
    cutOffset: readUint64(view, CUT_OFFSET),
    cutLastLsn: readUint64(view, CUT_LAST_LSN),
    cutFrameSequence: readUint64(view, CUT_FRAME_SEQUENCE),
    cutChecksum: view.getUint32(CUT_CHECKSUM, true),
    provenOffset: readUint64(view, PROVEN_OFFSET),
    gapFirst: readUint64(view, GAP_FIRST),
    gapLast: readUint64(view, GAP_LAST),
  }
  if (view.getUint16(FLAGS, true) !== 0 || !contentIsLegal(header)) return { ok: false, reason: 'content' }
  return { ok: true, header }
}

/** Checked on both sides: before a header is written, and after it was read. */
function contentIsLegal(header: SegmentHeader): boolean {
  return (
    header.logId.length === LOG_ID_BYTES &&
    isBlockSize(header.blockBytes) &&
    isUint32(header.saltLow) &&
    isUint32(header.saltHigh) &&
    isUint32(header.maxOutstandingRecords) &&
    isUint32(header.cutChecksum) &&
    isCount(header.segmentSequence) &&
    header.segmentSequence > 0 &&
    isCount(header.segmentBytes) &&
    isCount(header.createdMs) &&
    isCount(header.nextLsn) &&
    isCount(header.nextFrameSequence) &&
    isCount(header.cutSegment) &&
    header.cutSegment < header.segmentSequence &&
    isCount(header.cutOffset) &&
    isCount(header.cutLastLsn) &&
    isCount(header.cutFrameSequence) &&
    isCount(header.provenOffset) &&
    isCount(header.gapFirst) &&
    isCount(header.gapLast) &&
    header.gapFirst <= header.gapLast &&
    header.gapFirst > 0 === header.gapLast > 0
  )
}

function isBlockSize(value: number): boolean {
  return value >= MIN_BLOCK_BYTES && value <= MAX_BLOCK_BYTES && (value & (value - 1)) === 0
}

function isUint32(value: number): boolean {
  return value >>> 0 === value
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}
