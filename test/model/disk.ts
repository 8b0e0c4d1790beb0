import { decodeFrameHeader, FLAG_SEAL, FRAME_HEADER_BYTES, type FrameHeader } from '../../src/format/frame.ts'
import { forEachRecord, isNoop, noopLsnCount, validateBody } from '../../src/format/record.ts'
import type { FenceResult, FenceSpec } from '../../src/recovery/fence.ts'
import type { Machine } from './machine.ts'

/** Who wrote a record: thread * 16 + its number, plus 1. NOOP for the place of a dead producer. */
export const NOOP = -1

/** More LSNs than any run hands out. */
export const LSN_LIMIT = 40

/** Salts in the model tell their segment. */
export const SALT_FACTOR = 11

/** One record of a frame that is well-formed. */
interface FrameRecord {
  lsn: number
  owner: number
  /** Of a noop: how many LSNs. */
  count: number
}

/** A frame as decoded from the bytes that were written. */
interface Frame {
  header: FrameHeader
  headerChecksum: number
  words: Int32Array
  records: FrameRecord[]
}

const WRITTEN = 1
const SYNCED = 2
/** Its write or sync failed: the disk may hold all, some or nothing of it. */
const DOUBTFUL = 3

/** One block of a segment: in the model a frame is one block. */
interface Cell {
  segment: number
  offset: number
  state: number
  frame: Frame | undefined
}

/** Where the log that would be recovered ends. */
interface Cursor {
  segment: number
  offset: number
  frameSequence: number
  checksum: number
  frameOffset: number
  /** The first LSN of the next frame. */
  nextLsn: number
  /** The last LSN on disk, which differs from nextLsn - 1 behind a gap. */
  lastLsn: number
}

/** Where a log of the model begins. */
export interface DiskSpec {
  blockBytes: number
  segmentBytes: number
  firstLsn: number
  /** Is a write durable as soon as it returns? */
  isDsync: boolean
  /** The owner of a record by its payload and flags; 0 when no such record was ever submitted. */
  ownerOf(payload: Uint8Array, continues: boolean): number
}

/** The segments of the model's log, all of their frames, and what of them a crash leaves for certain. */
export class ModelDisk {
  private readonly machine: Machine
  private readonly spec: DiskSpec
  private readonly cells: Cell[]
  private cellCount: number
  private readonly fds: { segment: number; seenErrors: number }[]
  private fdCount: number
  private keptFds: number
  /** By segment: how many failed syncs it has had. */
  private readonly errors: number[]
  private lastSegment: number
  private readonly cursor: Cursor
  /** By header checksum: the frame with these very bytes was checked before. */
  private readonly known: Map<number, Frame>
  /** By LSN - firstLsn: the owner of the durable record, NOOP, or 0. */
  readonly durable: Int32Array
  /** By LSN - firstLsn: 1 when some frame with this record was ever written to the disk. */
  readonly touched: Uint8Array
  /** By LSN - firstLsn: 1 when the caller was told that the record is not written. */
  readonly notWritten: Uint8Array

  constructor(machine: Machine, spec: DiskSpec) {
    this.machine = machine
    this.spec = spec
    this.cells = []
    this.cellCount = 0
    this.fds = []
    this.fdCount = 0
    this.keptFds = 0
    this.errors = []
    this.lastSegment = 1
    this.cursor = {
      segment: 1,
      offset: spec.blockBytes,
      frameSequence: 1,
      checksum: 0,
      frameOffset: 0,
      nextLsn: spec.firstLsn,
      lastLsn: spec.firstLsn - 1,
    }
    this.known = new Map()
    this.durable = new Int32Array(LSN_LIMIT)
    this.touched = new Uint8Array(LSN_LIMIT)
    this.notWritten = new Uint8Array(LSN_LIMIT)
  }

  reset(): void {
    const { cursor, spec } = this
    this.cellCount = 0
    this.fdCount = this.keptFds
    for (let fd = 0; fd < this.keptFds; fd++) this.fds[fd].seenErrors = 0
    this.errors.length = 0
    this.lastSegment = 1
    cursor.segment = 1
    cursor.offset = spec.blockBytes
    cursor.frameSequence = 1
    cursor.checksum = 0
    cursor.frameOffset = 0
    cursor.nextLsn = spec.firstLsn
    cursor.lastLsn = spec.firstLsn - 1
    this.durable.fill(0)
    this.touched.fill(0)
    this.notWritten.fill(0)
  }

  /** What is open now is open when a run begins. */
  keepOpenFiles(): void {
    this.keptFds = this.fdCount
  }

  // ---- the calls of a file system

  open(path: string): number {
    const segment = Number(/(\d+)\.\w+$/.exec(path)![1])
    const fd = this.fdCount++
    this.lastSegment = Math.max(this.lastSegment, segment)
    const seenErrors = this.errors[segment] ?? 0
    if (this.fds.length > fd) {
      this.fds[fd].segment = segment
      this.fds[fd].seenErrors = seenErrors
    } else this.fds.push({ segment, seenErrors })
    return fd
  }

  *write(
    fd: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    position: number,
  ): Generator<undefined, number, undefined> {
    const { machine, spec } = this
    if (length !== spec.blockBytes) throw this.machine.broken('model', `a frame of ${length} bytes`)
    const words = new Int32Array(bytes.buffer, at, length / 4)
    const outcome = machine.outcome(3)
    const frame = this.readFrame(words)
    // A call that runs returns before its thread can be stopped.
    if (machine.stepUnstoppable(-2)) yield
    if (!isSame(frame.words, words))
      throw this.machine.broken('P4', 'a staging buffer changed while it was written')
    const cell = this.cellAt(this.fds[fd].segment, position)
    this.checkWrite(cell, frame)
    cell.frame = frame
    if (outcome !== 0) {
      cell.state = DOUBTFUL
      if (outcome === 1) return length - 512
      throw failure('ENOSPC', 28)
    }
    cell.state = spec.isDsync || cell.state === SYNCED ? SYNCED : WRITTEN
    return length
  }

  /** As on Linux: a failed sync leaves pages behind that no later sync writes; each open file is told of it once. */
  sync(fd: number): void {
    const file = this.fds[fd]
    const outcome = this.machine.outcome(2)
    for (let index = 0; index < this.cellCount; index++) {
      const cell = this.cells[index]
      if (cell.segment === file.segment && cell.state === WRITTEN)
        cell.state = outcome === 0 ? SYNCED : DOUBTFUL
    }
    const errors = (this.errors[file.segment] ?? 0) + (outcome === 0 ? 0 : 1)
    this.errors[file.segment] = errors
    if (errors === file.seenErrors) return
    file.seenErrors = errors
    throw failure('EIO', 5)
  }

  /** The new segment of a resume: what stands behind the cut is void. Undefined when it cannot be made. */
  fence(spec: FenceSpec): FenceResult | undefined {
    if (this.machine.outcome(2) !== 0) return undefined
    const { cursor } = this
    const { cut, nextLsn } = spec
    while (cursor.segment < cut.segment || (cursor.segment === cut.segment && cursor.offset < cut.offset)) {
      if (!this.advance())
        throw this.machine.broken('P3', `a fence keeps a frame that is not durable, at ${cursor.offset}`)
    }
    const isRight =
      cut.segment === cursor.segment &&
      cut.offset === cursor.offset &&
      cut.frameSequence === cursor.frameSequence - 1 &&
      cut.checksum === cursor.checksum &&
      cut.lastLsn === cursor.lastLsn
    if (!isRight) {
      throw this.machine.broken(
        'P3',
        `a fence cuts at ${JSON.stringify(cut)}, the log ends at ${JSON.stringify(cursor)}`,
      )
    }
    this.lastSegment++
    const { blockBytes, segmentBytes } = this.spec
    cursor.segment = this.lastSegment
    cursor.offset = blockBytes
    cursor.nextLsn = nextLsn
    cursor.frameOffset = 0
    const salt = this.lastSegment * SALT_FACTOR
    return {
      segment: {
        sequence: this.lastSegment,
        saltLow: salt,
        saltHigh: segmentBytes,
        path: '',
        segmentBytes,
        zeroedTo: segmentBytes,
      } as FenceResult['segment'],
      writeOffset: blockBytes,
      nextFrameSequence: cut.frameSequence + 1,
      previousOffset: 0,
      previousChecksum: cut.checksum,
    }
  }

  // ---- what is on it

  /** DURABLE_LSN was raised: at this very instant a crash must leave everything up to it. */
  checkDurable(lsn: number): void {
    while (this.cursor.lastLsn < lsn) {
      if (!this.advance())
        throw this.machine.broken('P1', `record ${lsn} is called durable and is not on the disk`)
    }
  }

  /** Takes in the next frame of the log when it is on the disk for certain. */
  private advance(): boolean {
    const { cursor, spec } = this
    if (cursor.offset + spec.blockBytes > spec.segmentBytes) {
      cursor.segment++
      cursor.offset = spec.blockBytes
      this.lastSegment = Math.max(this.lastSegment, cursor.segment)
    }
    const cell = this.findCell(cursor.segment, cursor.offset)
    if (cell === undefined || cell.state !== SYNCED) return false
    const { header, headerChecksum, records } = cell.frame!
    const isNext =
      header.frameSequence === cursor.frameSequence &&
      header.previousChecksum === cursor.checksum &&
      header.previousOffset === cursor.frameOffset &&
      header.firstLsn === cursor.nextLsn
    if (!isNext) {
      throw this.machine.broken(
        'P3',
        `frame ${JSON.stringify(header)} does not follow ${JSON.stringify(cursor)}`,
      )
    }
    for (const { lsn, owner, count } of records) {
      for (let each = lsn; each < lsn + count; each++) this.durable[each - spec.firstLsn] = owner
    }
    cursor.frameSequence++
    cursor.checksum = headerChecksum
    cursor.frameOffset = cursor.offset
    cursor.offset += spec.blockBytes
    cursor.nextLsn += header.lsnCount
    if ((header.flags & FLAG_SEAL) === 0) cursor.lastLsn = cursor.nextLsn - 1
    return true
  }

  private checkWrite(cell: Cell, frame: Frame): void {
    const { header, records } = frame
    const isItsPlace =
      header.segmentSequence === cell.segment &&
      header.offset === cell.offset &&
      header.saltLow === cell.segment * SALT_FACTOR
    if (!isItsPlace) {
      throw this.machine.broken('P3', 'a frame is written to a place that is not its own')
    }
    // Unless whoever saw the failure died before it could say so: then all of it is written and synced once more.
    if (cell.state === DOUBTFUL && this.machine.deaths === 0)
      throw this.machine.broken('P6', 'a failed frame is written again into the same place')
    if (cell.frame !== undefined && cell.frame !== frame) {
      throw this.machine.broken('P4', `the frame at ${cell.offset} is overwritten with another one`)
    }
    for (const { lsn, count } of records) {
      for (let each = lsn; each < lsn + count; each++) {
        const index = each - this.spec.firstLsn
        this.touched[index] = 1
        if (this.notWritten[index] === 1)
          throw this.machine.broken('P5', `record ${each}, told to be not written, is written`)
      }
    }
  }

  /** Decodes and checks the bytes of a frame; those that were seen before are only compared. */
  private readFrame(words: Int32Array): Frame {
    const known = this.known.get(words[31])
    if (known !== undefined && isSame(known.words, words)) return known
    const copy = words.slice()
    const bytes = new Uint8Array(copy.buffer)
    const decoded = decodeFrameHeader(new DataView(copy.buffer), bytes)
    if (decoded === undefined) throw this.machine.broken('P3', 'a frame header is not valid')
    const body = bytes.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + decoded.bodyBytes)
    const reason = decoded.recordCount === 0 ? undefined : validateBody(body, decoded)
    if (reason !== undefined) throw this.machine.broken('P3', `a frame would not be readable: ${reason}`)
    if (bytes.subarray(FRAME_HEADER_BYTES + decoded.bodyBytes).some((byte) => byte !== 0)) {
      throw this.machine.broken('P3', 'the padding of a frame is not zero')
    }
    const frame: Frame = {
      header: decoded,
      headerChecksum: decoded.headerChecksum,
      words: copy,
      records: this.readRecords(body),
    }
    this.known.set(words[31], frame)
    return frame
  }

  private readRecords(body: Uint8Array): FrameRecord[] {
    const records: FrameRecord[] = []
    let continues = false
    let lastOwner = 0
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
    forEachRecord(body, (header, offset) => {
      const { lsn, payloadBytes } = header
      if (isNoop(header.recordType)) {
        if (continues) throw this.machine.broken('P11', 'a noop stands within a batch')
        records.push({ lsn, owner: NOOP, count: noopLsnCount(view, offset, payloadBytes) })
        return
      }
      const payload = body.subarray(offset + 24, offset + 24 + payloadBytes)
      const owner = this.spec.ownerOf(payload, header.continues)
      if (owner === 0)
        throw this.machine.broken('P3', `a frame holds a record that nobody submitted, LSN ${lsn}`)
      if (continues && owner !== lastOwner + 1)
        throw this.machine.broken('P11', `a batch is not whole, LSN ${lsn}`)
      continues = header.continues
      lastOwner = owner
      records.push({ lsn, owner, count: 1 })
    })
    if (continues) throw this.machine.broken('P11', 'a batch is cut off at the end of a frame')
    return records
  }

  private findCell(segment: number, offset: number): Cell | undefined {
    for (let index = 0; index < this.cellCount; index++) {
      const cell = this.cells[index]
      if (cell.segment === segment && cell.offset === offset) return cell
    }
    return undefined
  }

  private cellAt(segment: number, offset: number): Cell {
    const found = this.findCell(segment, offset)
    if (found !== undefined) return found
    const index = this.cellCount++
    if (this.cells.length > index) {
      const cell = this.cells[index]
      cell.segment = segment
      cell.offset = offset
      cell.state = 0
      cell.frame = undefined
      return cell
    }
    const cell: Cell = { segment, offset, state: 0, frame: undefined }
    this.cells.push(cell)
    return cell
  }
}

function isSame(one: Int32Array, other: Int32Array): boolean {
  for (let index = 0; index < one.length; index++) if (one[index] !== other[index]) return false
  return true
}

function failure(code: string, errno: number): Error {
  return Object.assign(new Error(code), { code, errno: -errno })
}
