import { checksum } from '../../src/format/checksum.ts'
import {
  encodeFrameHeader,
  FRAME_CHECKSUM_INPUT_BYTES,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameBytes,
} from '../../src/format/frame.ts'
import {
  DEFAULT_RECORD_TYPE,
  RECORD_LENGTH_OFFSET,
  RECORD_LSN_OFFSET,
  RECORD_PAYLOAD_OFFSET,
  RECORD_TYPE_OFFSET,
  recordBytes,
} from '../../src/format/record.ts'
import { writeUint64 } from '../../src/format/uint64.ts'

/** What a frame header says beyond its records. */
export type FramePlace = Omit<FrameHeader, 'lsnCount' | 'recordCount' | 'bodyBytes' | 'bodyChecksum'>

/** Encodes a whole frame, padding included, with one record of text for each LSN. */
export function encodeFrame(
  place: FramePlace,
  payloads: readonly string[],
  blockBytes: number,
): { bytes: Uint8Array; checksum: number } {
  const texts = payloads.map((payload) => Buffer.from(payload))
  const bodyBytes = texts.reduce((sum, text) => sum + recordBytes(text.length), 0)
  const bytes = new Uint8Array(frameBytes(bodyBytes, blockBytes))
  const view = new DataView(bytes.buffer)
  const recordChecksums = new Uint8Array(4 * texts.length)
  let at = FRAME_HEADER_BYTES
  for (const [index, text] of texts.entries()) {
    const end = at + recordBytes(text.length)
    view.setUint32(at + RECORD_LENGTH_OFFSET, text.length, true)
    writeUint64(view, at + RECORD_LSN_OFFSET, place.firstLsn + index)
    view.setUint16(at + RECORD_TYPE_OFFSET, DEFAULT_RECORD_TYPE, true)
    bytes.set(text, at + RECORD_PAYLOAD_OFFSET)
    view.setUint32(at, checksum(bytes.subarray(at + RECORD_LENGTH_OFFSET, end)), true)
    recordChecksums.set(bytes.subarray(at, at + 4), 4 * index)
    at = end
  }
  const headerChecksum = encodeFrameHeader(
    new DataView(bytes.buffer, 0, FRAME_HEADER_BYTES),
    bytes.subarray(0, FRAME_CHECKSUM_INPUT_BYTES),
    {
      ...place,
      lsnCount: texts.length,
      recordCount: texts.length,
      bodyBytes,
      bodyChecksum: texts.length === 0 ? 0 : checksum(recordChecksums),
    },
  )
  return { bytes, checksum: headerChecksum }
}
