/**
 * Takes an undamaged log apart by docs/format.md alone: shares no code with src/. What stands where, and what of it
 * counts.
 */

export interface ShapeFrame {
  /** In `LogShape.segments`. */
  segment: number
  offset: number
  /** With padding. */
  length: number
  /** Header and body. */
  meaningfulBytes: number
  frameSequence: number
  firstLsn: number
  lsnCount: number
  durableLsn: number
  /** What a reader returns of it: LSN and payload as text. */
  records: string[]
}

export interface ShapeSegment {
  name: string
  number: number
  hasCut: boolean
  /** Where a later segment cuts it; Infinity when none does. */
  endOffset: number
  provenOffset: number
  /** Its number is not one of the live segments'. */
  isVoid: boolean
  nextLsn: number
  gap: { first: number; last: number } | undefined
}

export interface LogShape {
  blockBytes: number
  maxOutstandingRecords: number
  segments: ShapeSegment[]
  /** Those that count, in the order of the chain. */
  frames: ShapeFrame[]
  /** Whole ones behind the torn end of the log. */
  laterFrames: ShapeFrame[]
  /** Those that were cut off. */
  voidFrames: ShapeFrame[]
}

export const SEGMENT_HEADER_BYTES = 512
export const FRAME_HEADER_BYTES = 128
const NOOP = 0x7f00

export function shapeOf(files: ReadonlyMap<string, Uint8Array>): LogShape {
  const names = [...files.keys()].filter((name) => /^wal-\d{20}\.seg$/.test(name)).sort()
  const shape: LogShape = {
    blockBytes: 0,
    maxOutstandingRecords: 0,
    segments: [],
    frames: [],
    laterFrames: [],
    voidFrames: [],
  }
  let cut: { segment: number; offset: number } | undefined
  for (const name of names.reverse()) {
    const view = viewOf(files.get(name) as Uint8Array)
    const number = Number(name.slice(4, 24))
    const isVoid = cut !== undefined && number > cut.segment
    const isCutHere = cut !== undefined && number === cut.segment
    shape.segments.unshift({
      name,
      number,
      isVoid,
      hasCut: u64(view, 80) > 0,
      endOffset: isCutHere ? cut!.offset : Number.POSITIVE_INFINITY,
      provenOffset: u64(view, 120),
      nextLsn: u64(view, 64),
      gap: u64(view, 128) === 0 ? undefined : { first: u64(view, 128), last: u64(view, 136) },
    })
    shape.blockBytes = view.getUint32(40, true)
    shape.maxOutstandingRecords = Math.max(shape.maxOutstandingRecords, view.getUint32(44, true))
    if (isVoid) continue
    cut = u64(view, 80) > 0 ? { segment: u64(view, 80), offset: u64(view, 88) } : undefined
  }
  for (const [index, segment] of shape.segments.entries()) {
    collectFrames(shape, index, files.get(segment.name) as Uint8Array)
  }
  return shape
}

/** Frames one behind the other; behind a hole they are later ones. */
function collectFrames(shape: LogShape, segment: number, file: Uint8Array): void {
  const { blockBytes } = shape
  const view = viewOf(file)
  const salt = view.getBigUint64(16, true)
  const { isVoid, endOffset } = shape.segments[segment]
  let isTorn = false
  for (let offset = blockBytes; offset + FRAME_HEADER_BYTES <= file.length; ) {
    const isFrame =
      view.getUint32(offset, true) === 0x52465747 && view.getBigUint64(offset + 24, true) === salt
    if (!isFrame) {
      isTorn = true
      offset += blockBytes
      continue
    }
    const frame = readFrame(view, segment, offset, blockBytes)
    if (isVoid || offset >= endOffset) shape.voidFrames.push(frame)
    else if (isTorn) shape.laterFrames.push(frame)
    else shape.frames.push(frame)
    offset += frame.length
  }
}

function readFrame(view: DataView, segment: number, offset: number, blockBytes: number): ShapeFrame {
  const bodyBytes = view.getUint32(offset + 72, true)
  const meaningfulBytes = FRAME_HEADER_BYTES + bodyBytes
  const records: string[] = []
  for (let at = offset + FRAME_HEADER_BYTES; at < offset + meaningfulBytes; ) {
    const payloadBytes = view.getUint32(at + 4, true) & 0x7fffffff
    const isNoop = (view.getUint16(at + 16, true) & 0x7fff) === NOOP
    const payload = new Uint8Array(view.buffer, view.byteOffset + at + 24, payloadBytes)
    if (!isNoop) records.push(textOf(u64(view, at + 8), payload))
    at += Math.ceil((24 + payloadBytes) / 32) * 32
  }
  return {
    segment,
    offset,
    length: Math.ceil(meaningfulBytes / blockBytes) * blockBytes,
    meaningfulBytes,
    frameSequence: u64(view, offset + 32),
    firstLsn: u64(view, offset + 40),
    lsnCount: view.getUint32(offset + 64, true),
    durableLsn: u64(view, offset + 48),
    records,
  }
}

/** A record as text, to compare with. */
export function textOf(lsn: number, payload: Uint8Array): string {
  return `${lsn}:${Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('latin1')}`
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function u64(view: DataView, offset: number): number {
  return Number(view.getBigUint64(offset, true))
}
