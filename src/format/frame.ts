import { assert } from '../assert.ts'
import { checksum } from './checksum.ts'
import { FORMAT_VERSION } from './segment-header.ts'
import { readUint64, writeUint64 } from './uint64.ts'

/** Bytes `GWFR`, read as a little-endian u32. */
export const FRAME_MAGIC = 0x52465747
export const FRAME_HEADER_BYTES = 128
/** How much of the header its checksum covers: everything before the checksum. */
export const FRAME_CHECKSUM_INPUT_BYTES = 124

/** A frame without records that proves what stands before it. */
export const FLAG_SEAL = 1
/** On a seal: close() wrote it, nothing was outstanding. */
export const FLAG_CLOSE = 2

export const FRAME_MAGIC_OFFSET = 0
export const FRAME_VERSION_OFFSET = 4
export const FRAME_FLAGS_OFFSET = 6
export const FRAME_SEGMENT_SEQUENCE_OFFSET = 8
export const FRAME_OFFSET_OFFSET = 16
export const FRAME_SALT_LOW_OFFSET = 24
export const FRAME_SALT_HIGH_OFFSET = 28
export const FRAME_SEQUENCE_OFFSET = 32
export const FRAME_FIRST_LSN_OFFSET = 40
export const FRAME_DURABLE_LSN_OFFSET = 48
export const FRAME_WALL_CLOCK_MS_OFFSET = 56
export const FRAME_LSN_COUNT_OFFSET = 64
export const FRAME_RECORD_COUNT_OFFSET = 68
export const FRAME_BODY_BYTES_OFFSET = 72
export const FRAME_BODY_CHECKSUM_OFFSET = 76
export const FRAME_PREVIOUS_OFFSET_OFFSET = 80
export const FRAME_PREVIOUS_CHECKSUM_OFFSET = 88
export const FRAME_RESERVED_OFFSET = 92
export const FRAME_HEADER_CHECKSUM_OFFSET = 124

const GRANULE_MASK = 31

/** The fields of a frame header that the writer chooses; docs/format.md says what each means. */
export interface FrameHeader {
  /** FLAG_SEAL and FLAG_CLOSE, or 0. */
  flags: number
  segmentSequence: number
  /** Byte offset of the frame in its segment. */
  offset: number
  saltLow: number
  saltHigh: number
  frameSequence: number
  firstLsn: number
  durableLsn: number
  wallClockMs: number
  lsnCount: number
  recordCount: number
  bodyBytes: number
  bodyChecksum: number
  previousOffset: number
  previousChecksum: number
}

/** To be filled in, and used again. */
export function emptyFrameHeader(): FrameHeader {
  return {
    flags: 0,
    segmentSequence: 0,
    offset: 0,
    saltLow: 0,
    saltHigh: 0,
    frameSequence: 0,
    firstLsn: 0,
    durableLsn: 0,
    wallClockMs: 0,
    lsnCount: 0,
    recordCount: 0,
    bodyBytes: 0,
    bodyChecksum: 0,
    previousOffset: 0,
    previousChecksum: 0,
  }
}

/** A frame header as read back: intact, and with the checksum that the next frame carries on. */
export interface DecodedFrameHeader extends FrameHeader {
  headerChecksum: number
}

/** How many bytes of the segment a frame with this body takes, padding included. */
export function frameBytes(bodyBytes: number, blockBytes: number): number {
  return Math.ceil((FRAME_HEADER_BYTES + bodyBytes) / blockBytes) * blockBytes
}

/**
 * Writes all 128 bytes of a frame header and returns its checksum. Allocates nothing: it runs under the stage
 * lock, once per batch.
 *
 * @param view on exactly the header's 128 bytes; may lie on a SharedArrayBuffer
 * @param checksumInput on the first 124 of the same bytes
 */
export function encodeFrameHeader(view: DataView, checksumInput: Uint8Array, header: FrameHeader): number {
  assert(view.byteLength === FRAME_HEADER_BYTES, 'the view covers the frame header')
  assert(
    checksumInput.length === FRAME_CHECKSUM_INPUT_BYTES && checksumInput.byteOffset === view.byteOffset,
    'the checksum input is the beginning of the frame header',
  )
  assert(isWellFormed(header), 'a frame header holds only legal values')
  view.setUint32(FRAME_MAGIC_OFFSET, FRAME_MAGIC, true)
  view.setUint16(FRAME_VERSION_OFFSET, FORMAT_VERSION, true)
  view.setUint16(FRAME_FLAGS_OFFSET, header.flags, true)
  writeUint64(view, FRAME_SEGMENT_SEQUENCE_OFFSET, header.segmentSequence)
  writeUint64(view, FRAME_OFFSET_OFFSET, header.offset)
  view.setUint32(FRAME_SALT_LOW_OFFSET, header.saltLow, true)
  view.setUint32(FRAME_SALT_HIGH_OFFSET, header.saltHigh, true)
  writeUint64(view, FRAME_SEQUENCE_OFFSET, header.frameSequence)
  writeUint64(view, FRAME_FIRST_LSN_OFFSET, header.firstLsn)
  writeUint64(view, FRAME_DURABLE_LSN_OFFSET, header.durableLsn)
  writeUint64(view, FRAME_WALL_CLOCK_MS_OFFSET, header.wallClockMs)
  view.setUint32(FRAME_LSN_COUNT_OFFSET, header.lsnCount, true)
  view.setUint32(FRAME_RECORD_COUNT_OFFSET, header.recordCount, true)
  view.setUint32(FRAME_BODY_BYTES_OFFSET, header.bodyBytes, true)
  view.setUint32(FRAME_BODY_CHECKSUM_OFFSET, header.bodyChecksum, true)
  writeUint64(view, FRAME_PREVIOUS_OFFSET_OFFSET, header.previousOffset)
  view.setUint32(FRAME_PREVIOUS_CHECKSUM_OFFSET, header.previousChecksum, true)
  for (let at = FRAME_RESERVED_OFFSET; at < FRAME_HEADER_CHECKSUM_OFFSET; at += 4) view.setUint32(at, 0, true)
  const headerChecksum = checksum(checksumInput)
  view.setUint32(FRAME_HEADER_CHECKSUM_OFFSET, headerChecksum, true)
  return headerChecksum
}

/**
 * Decodes a frame header that is intact in itself: magic, version, checksum, legal values. Whether it belongs to
 * the place it was read from is the reader's to check. Undefined for anything else, garbage included.
 *
 * @param view on the header's 128 bytes (or more, the header first)
 * @param bytes on the same bytes
 */
export function decodeFrameHeader(view: DataView, bytes: Uint8Array): DecodedFrameHeader | undefined {
  if (view.getUint32(FRAME_MAGIC_OFFSET, true) !== FRAME_MAGIC) return undefined
  const headerChecksum = view.getUint32(FRAME_HEADER_CHECKSUM_OFFSET, true)
  if (headerChecksum !== checksum(bytes.subarray(0, FRAME_CHECKSUM_INPUT_BYTES))) return undefined
  if (view.getUint16(FRAME_VERSION_OFFSET, true) !== FORMAT_VERSION) return undefined
  const header: DecodedFrameHeader = {
    flags: view.getUint16(FRAME_FLAGS_OFFSET, true),
    segmentSequence: readUint64(view, FRAME_SEGMENT_SEQUENCE_OFFSET),
    offset: readUint64(view, FRAME_OFFSET_OFFSET),
    saltLow: view.getUint32(FRAME_SALT_LOW_OFFSET, true),
    saltHigh: view.getUint32(FRAME_SALT_HIGH_OFFSET, true),
    frameSequence: readUint64(view, FRAME_SEQUENCE_OFFSET),
    firstLsn: readUint64(view, FRAME_FIRST_LSN_OFFSET),
    durableLsn: readUint64(view, FRAME_DURABLE_LSN_OFFSET),
    wallClockMs: readUint64(view, FRAME_WALL_CLOCK_MS_OFFSET),
    lsnCount: view.getUint32(FRAME_LSN_COUNT_OFFSET, true),
    recordCount: view.getUint32(FRAME_RECORD_COUNT_OFFSET, true),
    bodyBytes: view.getUint32(FRAME_BODY_BYTES_OFFSET, true),
    bodyChecksum: view.getUint32(FRAME_BODY_CHECKSUM_OFFSET, true),
    previousOffset: readUint64(view, FRAME_PREVIOUS_OFFSET_OFFSET),
    previousChecksum: view.getUint32(FRAME_PREVIOUS_CHECKSUM_OFFSET, true),
    headerChecksum,
  }
  return isWellFormed(header) ? header : undefined
}

/** Checked on both sides: before a header is written, and after it was read. */
function isWellFormed(header: FrameHeader): boolean {
  const numbersAreSafe =
    Number.isSafeInteger(header.segmentSequence) &&
    Number.isSafeInteger(header.offset) &&
    Number.isSafeInteger(header.frameSequence) &&
    Number.isSafeInteger(header.firstLsn + header.lsnCount) &&
    Number.isSafeInteger(header.durableLsn) &&
    Number.isSafeInteger(header.wallClockMs) &&
    Number.isSafeInteger(header.previousOffset)
  if (!numbersAreSafe || header.firstLsn < 1 || header.frameSequence < 1) return false
  if (header.wallClockMs < 0 || header.durableLsn < 0) return false
  if (header.flags === FLAG_SEAL || header.flags === (FLAG_SEAL | FLAG_CLOSE)) {
    return header.recordCount === 0 && header.lsnCount === 0 && header.bodyBytes === 0
  }
  return (
    header.flags === 0 &&
    header.recordCount > 0 &&
    header.lsnCount >= header.recordCount &&
    header.bodyBytes >= header.recordCount * (GRANULE_MASK + 1) &&
    (header.bodyBytes & GRANULE_MASK) === 0
  )
}
