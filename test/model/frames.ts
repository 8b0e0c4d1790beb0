import { decodeFrameHeader, FRAME_HEADER_BYTES, type FrameHeader } from '../../src/format/frame.ts'
import { forEachRecord, isNoop, noopLsnCount, validateBody } from '../../src/format/record.ts'
import type { Violation } from './scheduling.ts'

/** In place of an owner: the record of a dead producer. */
export const NOOP = -1

/** One record of a frame that is well-formed. */
export interface FrameRecord {
  lsn: number
  /** Who wrote it (World.ownerOf), or NOOP. */
  owner: number
  /** Of a noop: how many LSNs. */
  count: number
}

/** A frame as decoded from the bytes that were written. */
export interface Frame {
  /** No two frames have the same. */
  id: number
  header: FrameHeader
  bytes: Uint8Array
  records: FrameRecord[]
}

/** Who wrote a record, by its payload and whether it says that its batch goes on; 0 when nobody did. */
export type OwnerOf = (payload: Uint8Array, continues: boolean) => number

/** Decodes and checks frames; those that were seen before are only compared. */
export class FrameReader {
  private readonly ownerOf: OwnerOf
  private readonly broken: (promise: string, message: string) => Violation
  /** By header checksum. */
  private readonly known: Map<number, Frame[]>
  private count: number

  constructor(ownerOf: OwnerOf, broken: (promise: string, message: string) => Violation) {
    this.ownerOf = ownerOf
    this.broken = broken
    this.known = new Map()
    this.count = 0
  }

  /** @throws Violation about a frame that must not be written */
  read(bytes: Uint8Array): Frame {
    const checksum = readUint32(bytes, FRAME_HEADER_BYTES - 4)
    let alike = this.known.get(checksum)
    if (alike === undefined) {
      alike = []
      this.known.set(checksum, alike)
    }
    for (const frame of alike) if (Buffer.compare(frame.bytes, bytes) === 0) return frame
    const frame = this.decode(bytes.slice())
    alike.push(frame)
    return frame
  }

  forget(): void {
    this.known.clear()
  }

  private decode(bytes: Uint8Array): Frame {
    const header = decodeFrameHeader(new DataView(bytes.buffer), bytes)
    if (header === undefined) throw this.broken('P3', 'a frame header is not valid')
    const body = bytes.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + header.bodyBytes)
    const reason = header.recordCount === 0 ? undefined : validateBody(body, header)
    if (reason !== undefined) throw this.broken('P3', `a frame would not be readable: ${reason}`)
    if (bytes.subarray(FRAME_HEADER_BYTES + header.bodyBytes).some((byte) => byte !== 0)) {
      throw this.broken('P3', 'the padding of a frame is not zero')
    }
    return { id: ++this.count, header, bytes, records: this.readRecords(body) }
  }

  private readRecords(body: Uint8Array): FrameRecord[] {
    const records: FrameRecord[] = []
    let continues = false
    let lastOwner = 0
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
    forEachRecord(body, (header, offset) => {
      const { lsn, payloadBytes } = header
      if (isNoop(header.recordType)) {
        if (continues) throw this.broken('P11', 'a noop stands within a batch')
        records.push({ lsn, owner: NOOP, count: noopLsnCount(view, offset, payloadBytes) })
        return
      }
      const payload = body.subarray(offset + 24, offset + 24 + payloadBytes)
      const owner = this.ownerOf(payload, header.continues)
      if (owner === 0) throw this.broken('P3', `a frame holds a record that nobody submitted, LSN ${lsn}`)
      if (continues && owner !== lastOwner + 1) throw this.broken('P11', `a batch is not whole, LSN ${lsn}`)
      continues = header.continues
      lastOwner = owner
      records.push({ lsn, owner, count: 1 })
    })
    if (continues) throw this.broken('P11', 'a batch is cut off at the end of a frame')
    return records
  }
}

function readUint32(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
}
