/**
 * Writes segments from docs/format.md alone: shares no code with src/, so that both cannot be wrong together.
 * Numbers are BigInt here and everything is slow and literal.
 */
import { crc32 } from 'node:zlib'

export interface HandRecord {
  lsn: number
  payload?: Uint8Array
  recordType?: number
  vshardId?: number
  tenantId?: number
  continues?: boolean
}

export interface HandFrame {
  records?: HandRecord[]
  flags?: number
  segmentSequence?: number
  offset?: number
  salt?: bigint
  frameSequence?: number
  firstLsn?: number
  durableLsn?: number
  wallClockMs?: number
  lsnCount?: number
  recordCount?: number
  bodyChecksum?: number
  previousOffset?: number
  previousChecksum?: number
}

export interface HandHeader {
  segmentSequence: number
  salt?: bigint
  version?: number
  logId?: Uint8Array
  blockBytes?: number
  maxOutstandingRecords?: number
  segmentBytes?: number
  nextLsn?: number
  nextFrameSequence?: number
  cutSegment?: number
  cutOffset?: number
  cutLastLsn?: number
  cutFrameSequence?: number
  cutChecksum?: number
  provenOffset?: number
  gapFirst?: number
  gapLast?: number
}

export const HAND_LOG_ID: Uint8Array = new TextEncoder().encode('a log of 16 byte')

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** "Segment header". */
export function handHeader(header: HandHeader): Uint8Array {
  const blockBytes = header.blockBytes ?? 4096
  const bytes = new Uint8Array(blockBytes)
  const view = viewOf(bytes)
  bytes.set(new TextEncoder().encode('GWSG'), 0)
  view.setUint16(4, header.version ?? 1, true)
  view.setBigUint64(8, BigInt(header.segmentSequence), true)
  view.setBigUint64(16, header.salt ?? saltOf(header.segmentSequence), true)
  bytes.set(header.logId ?? HAND_LOG_ID, 24)
  view.setUint32(40, blockBytes, true)
  view.setUint32(44, header.maxOutstandingRecords ?? 1000, true)
  view.setBigUint64(48, BigInt(header.segmentBytes ?? 1 << 20), true)
  view.setBigUint64(56, 1_790_000_000_000n, true)
  view.setBigUint64(64, BigInt(header.nextLsn ?? 1), true)
  view.setBigUint64(72, BigInt(header.nextFrameSequence ?? 1), true)
  view.setBigUint64(80, BigInt(header.cutSegment ?? 0), true)
  view.setBigUint64(88, BigInt(header.cutOffset ?? 0), true)
  view.setBigUint64(96, BigInt(header.cutLastLsn ?? 0), true)
  view.setBigUint64(104, BigInt(header.cutFrameSequence ?? 0), true)
  view.setUint32(112, header.cutChecksum ?? 0, true)
  view.setBigUint64(120, BigInt(header.provenOffset ?? 0), true)
  view.setBigUint64(128, BigInt(header.gapFirst ?? 0), true)
  view.setBigUint64(136, BigInt(header.gapLast ?? 0), true)
  view.setUint32(508, crc32(bytes.subarray(0, 508)), true)
  return bytes
}

/** "Record". */
export function handRecord(record: HandRecord): Uint8Array {
  const payload = record.payload ?? new Uint8Array(0)
  const bytes = new Uint8Array(roundUp(24 + payload.length, 32))
  const view = viewOf(bytes)
  view.setUint32(4, payload.length + (record.continues ? 2 ** 31 : 0), true)
  view.setBigUint64(8, BigInt(record.lsn), true)
  view.setUint16(16, record.recordType ?? 0x8001, true)
  view.setUint16(18, record.vshardId ?? 0, true)
  view.setUint32(20, record.tenantId ?? 0, true)
  bytes.set(payload, 24)
  view.setUint32(0, crc32(bytes.subarray(4)), true)
  return bytes
}

/** The payload of a noop that stands for `count` LSNs. */
export function noopPayload(count: number): Uint8Array {
  const payload = new Uint8Array(40)
  viewOf(payload).setBigUint64(0, BigInt(count), true)
  return payload
}

/** A salt that differs from segment to segment. */
export function saltOf(segmentSequence: number): bigint {
  return 0x9e3779b97f4a7c15n ^ BigInt(segmentSequence)
}

/** Where a frame landed. */
export interface PlacedFrame {
  offset: number
  endOffset: number
  frameSequence: number
  firstLsn: number
  endLsn: number
  checksum: number
}

/**
 * Makes the files of a log, frame by frame, keeping the chain as the page says. What a frame's argument states
 * overrides what follows from the chain, so that a test can be wrong on purpose.
 */
export class HandmadeLog {
  readonly files: Map<string, Uint8Array> = new Map()
  readonly frames: PlacedFrame[] = []
  frameSequence = 0
  nextLsn = 1
  previousOffset = 0
  previousChecksum = 0
  segmentSequence = 0
  blockBytes = 4096
  offset = 0

  get name(): string {
    return `wal-${String(this.segmentSequence).padStart(20, '0')}.seg`
  }

  segment(header: Partial<HandHeader> = {}, segmentBytes = 1 << 16): this {
    this.segmentSequence = header.segmentSequence ?? this.segmentSequence + 1
    this.blockBytes = header.blockBytes ?? this.blockBytes
    const file = new Uint8Array(segmentBytes)
    file.set(
      handHeader({
        segmentSequence: this.segmentSequence,
        blockBytes: this.blockBytes,
        segmentBytes,
        nextLsn: this.nextLsn,
        nextFrameSequence: this.frameSequence + 1,
        ...header,
      }),
    )
    this.files.set(this.name, file)
    this.offset = this.blockBytes
    return this
  }

  /** A segment whose header cuts another behind `last` and records a gap. The chain goes on from `last`. */
  cutSegment(
    cut: { segment: number; last: PlacedFrame | undefined; offset?: number; gapLast?: number },
    segmentBytes?: number,
  ): this {
    const { last } = cut
    this.frameSequence = last?.frameSequence ?? 0
    this.previousChecksum = last?.checksum ?? 0
    this.previousOffset = 0
    const endLsn = last?.endLsn ?? 1
    const gap = cut.gapLast === undefined ? {} : { gapFirst: endLsn, gapLast: cut.gapLast }
    this.nextLsn = cut.gapLast === undefined ? endLsn : cut.gapLast + 1
    const header = {
      cutSegment: cut.segment,
      cutOffset: cut.offset ?? last?.endOffset ?? this.blockBytes,
      cutLastLsn: endLsn - 1,
      cutFrameSequence: this.frameSequence,
      cutChecksum: this.previousChecksum,
      ...gap,
    }
    return this.segment(header, segmentBytes)
  }

  /** Appends a frame with these payloads, one record each. */
  put(...payloads: string[]): this {
    const records = payloads.map((text, index) => ({
      lsn: this.nextLsn + index,
      payload: new TextEncoder().encode(text),
    }))
    return this.frame({ records })
  }

  seal(close = false): this {
    return this.frame({ flags: close ? 3 : 1 })
  }

  /** "Frame". */
  frame(frame: HandFrame): this {
    const bodies = (frame.records ?? []).map(handRecord)
    const bodyBytes = bodies.reduce((sum, body) => sum + body.length, 0)
    const bytes = new Uint8Array(roundUp(128 + bodyBytes, this.blockBytes))
    const view = viewOf(bytes)
    const firstLsn = frame.firstLsn ?? this.nextLsn
    const lsnCount = frame.lsnCount ?? bodies.length
    const offset = this.offset
    bytes.set(new TextEncoder().encode('GWFR'), 0)
    view.setUint16(4, 1, true)
    view.setUint16(6, frame.flags ?? 0, true)
    view.setBigUint64(8, BigInt(frame.segmentSequence ?? this.segmentSequence), true)
    view.setBigUint64(16, BigInt(frame.offset ?? offset), true)
    view.setBigUint64(24, frame.salt ?? saltOf(this.segmentSequence), true)
    view.setBigUint64(32, BigInt(frame.frameSequence ?? this.frameSequence + 1), true)
    view.setBigUint64(40, BigInt(firstLsn), true)
    view.setBigUint64(48, BigInt(frame.durableLsn ?? firstLsn - 1), true)
    view.setBigUint64(56, BigInt(frame.wallClockMs ?? 1_790_000_000_000), true)
    view.setUint32(64, lsnCount, true)
    view.setUint32(68, frame.recordCount ?? bodies.length, true)
    view.setUint32(72, bodyBytes, true)
    const checksums = new Uint8Array(4 * bodies.length)
    let at = 128
    for (const [index, body] of bodies.entries()) {
      checksums.set(body.subarray(0, 4), 4 * index)
      bytes.set(body, at)
      at += body.length
    }
    view.setUint32(76, frame.bodyChecksum ?? crc32(checksums), true)
    view.setBigUint64(80, BigInt(frame.previousOffset ?? this.previousOffset), true)
    view.setUint32(88, frame.previousChecksum ?? this.previousChecksum, true)
    const headerChecksum = crc32(bytes.subarray(0, 124))
    view.setUint32(124, headerChecksum, true)

    const file = this.files.get(this.name) as Uint8Array
    file.set(bytes, offset)
    this.offset += bytes.length
    this.frameSequence = frame.frameSequence ?? this.frameSequence + 1
    this.nextLsn = firstLsn + lsnCount
    this.previousOffset = offset
    this.previousChecksum = headerChecksum
    this.frames.push({
      offset,
      endOffset: this.offset,
      frameSequence: this.frameSequence,
      firstLsn,
      endLsn: this.nextLsn,
      checksum: headerChecksum,
    })
    return this
  }

  /** The frame that was written last. */
  get last(): PlacedFrame {
    return this.frames[this.frames.length - 1]
  }

  file(segmentSequence: number): Uint8Array {
    return this.files.get(`wal-${String(segmentSequence).padStart(20, '0')}.seg`) as Uint8Array
  }
}
