import { checksum } from './checksum.ts'
import type { FrameHeader } from './frame.ts'
import { readUint64 } from './uint64.ts'

export const RECORD_HEADER_BYTES = 24
/** Records begin at multiples of this within a frame body. */
export const GRANULE_BYTES = 32
/** The largest payload whose record stays below 2^31 bytes. The log's options set a lower limit. */
export const MAX_PAYLOAD_BYTES: number = 2 ** 31 - 64

export const RECORD_CHECKSUM_OFFSET = 0
export const RECORD_LENGTH_OFFSET = 4
export const RECORD_LSN_OFFSET = 8
export const RECORD_TYPE_OFFSET = 16
export const RECORD_VSHARD_ID_OFFSET = 18
export const RECORD_TENANT_ID_OFFSET = 20
export const RECORD_PAYLOAD_OFFSET: number = RECORD_HEADER_BYTES

/** In the length field: the next record belongs to the same batch. */
export const RECORD_CONTINUES_BIT = 0x80000000
export const RECORD_LENGTH_MASK = 0x7fffffff

/** In a record type: a reader that does not know the type must stop. */
export const RECORD_TYPE_REQUIRED_BIT = 0x8000
/** What a record is when the caller does not say: a required put. */
export const DEFAULT_RECORD_TYPE = 0x8001
/** Record types whose low 15 bits are this or more belong to the log itself. */
export const RESERVED_RECORD_TYPES_FROM = 0x7f00
/** The place of a record whose producer died before it was complete. */
export const NOOP_RECORD_TYPE = 0x7f00
/** A noop's payload begins with a u64: how many LSNs it stands for. */
export const NOOP_PAYLOAD_BYTES = 8

const RECORD_TYPE_NUMBER_MASK = 0x7fff

/** The header of one record, as it stands in a frame body. */
export interface RecordHeader {
  checksum: number
  payloadBytes: number
  /** The next record belongs to the same batch. */
  continues: boolean
  lsn: number
  recordType: number
  vshardId: number
  tenantId: number
}

/** How many bytes of a frame body a record with this payload takes, padding included. */
export function recordBytes(payloadBytes: number): number {
  return ((RECORD_HEADER_BYTES + payloadBytes + GRANULE_BYTES - 1) >>> 5) * GRANULE_BYTES
}

/** Tells whether a record type belongs to the log itself, with or without the required bit. */
export function isReservedRecordType(recordType: number): boolean {
  return (recordType & RECORD_TYPE_NUMBER_MASK) >= RESERVED_RECORD_TYPES_FROM
}

export function isNoop(recordType: number): boolean {
  return (recordType & RECORD_TYPE_NUMBER_MASK) === NOOP_RECORD_TYPE
}

/** Reads the record header at `offset` of a body that `validateBody` found right. */
export function decodeRecordHeader(body: DataView, offset: number): RecordHeader {
  const length = body.getUint32(offset + RECORD_LENGTH_OFFSET, true)
  return {
    checksum: body.getUint32(offset + RECORD_CHECKSUM_OFFSET, true),
    payloadBytes: length & RECORD_LENGTH_MASK,
    continues: length > RECORD_LENGTH_MASK,
    lsn: readUint64(body, offset + RECORD_LSN_OFFSET),
    recordType: body.getUint16(offset + RECORD_TYPE_OFFSET, true),
    vshardId: body.getUint16(offset + RECORD_VSHARD_ID_OFFSET, true),
    tenantId: body.getUint32(offset + RECORD_TENANT_ID_OFFSET, true),
  }
}

/** How many LSNs the noop at `offset` stands for, 0 when its payload is too short to say. */
export function noopLsnCount(body: DataView, offset: number, payloadBytes: number): number {
  return payloadBytes < NOOP_PAYLOAD_BYTES ? 0 : readUint64(body, offset + RECORD_PAYLOAD_OFFSET)
}

/**
 * Checks a frame body against its header: the records fill it exactly, each has a right checksum, their LSNs are
 * consecutive from firstLsn and cover lsnCount, and recordCount and bodyChecksum fit. Returns what is wrong, or
 * undefined. `body` may hold anything.
 */
export function validateBody(body: Uint8Array, header: FrameHeader): string | undefined {
  if (body.length !== header.bodyBytes) return 'the body is incomplete'
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  const recordChecksums = new Uint8Array(4 * header.recordCount)
  const endLsn = header.firstLsn + header.lsnCount
  let lsn = header.firstLsn
  let offset = 0
  for (let index = 0; index < header.recordCount; index++) {
    if (offset + RECORD_HEADER_BYTES > body.length) return `record ${index} begins behind the end of the body`
    const payloadBytes = view.getUint32(offset + RECORD_LENGTH_OFFSET, true) & RECORD_LENGTH_MASK
    const endOffset = offset + recordBytes(payloadBytes)
    if (endOffset > body.length) return `record ${index} ends behind the end of the body`
    const expected = checksum(body.subarray(offset + RECORD_LENGTH_OFFSET, endOffset))
    if (view.getUint32(offset, true) !== expected) return `record ${index} has a wrong checksum`
    recordChecksums.set(body.subarray(offset, offset + 4), 4 * index)
    if (readUint64(view, offset + RECORD_LSN_OFFSET) !== lsn) return `record ${index} has a wrong LSN`
    const isRange = isNoop(view.getUint16(offset + RECORD_TYPE_OFFSET, true))
    const lsnCount = isRange ? noopLsnCount(view, offset, payloadBytes) : 1
    if (lsnCount < 1 || lsn + lsnCount > endLsn) return `record ${index} covers a wrong number of LSNs`
    lsn += lsnCount
    offset = endOffset
  }
  if (offset !== body.length) return 'the records do not fill the body'
  if (lsn !== endLsn) return 'the records cover fewer LSNs than the frame'
  if (checksum(recordChecksums) !== header.bodyChecksum) return 'the body has a wrong checksum'
  return undefined
}

/** Calls `visit` with the header and byte offset of each record of a body that `validateBody` found right. */
export function forEachRecord(body: Uint8Array, visit: (header: RecordHeader, offset: number) => void): void {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  let offset = 0
  while (offset < body.length) {
    const header = decodeRecordHeader(view, offset)
    visit(header, offset)
    offset += recordBytes(header.payloadBytes)
  }
}
