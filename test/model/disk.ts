import { segmentName } from '../../src/format/segment-name.ts'
import type { FenceResult, FenceSpec } from '../../src/recovery/fence.ts'
import type { RecoveryResult } from '../../src/recovery/recover.ts'
import type { PreparedSegment } from '../../src/storage/segment-file.ts'
import {
  CELL_DOUBTFUL,
  CELL_IN_FLIGHT,
  CELL_SYNCED,
  CELL_WRITTEN,
  type Cell,
  type CrashOutcome,
  CrashStates,
  type DiskState,
  LSN_LIMIT,
  type Submitted,
} from './crash-states.ts'
import { type Frame, FrameReader, type OwnerOf } from './frames.ts'
import type { Machine } from './machine.ts'
import { type NextSegment, type SegmentOptions, Segments } from './segments.ts'
import { DEAD } from './threads.ts'

/** Where a log of the model begins, and who hears of it. */
export interface DiskSpec {
  segments: SegmentOptions
  /** Is a write durable as soon as it returns? */
  isDsync: boolean
  ownerOf: OwnerOf
  submitted: Submitted
  /** The disk has changed: what a crash would leave now. */
  onChange(): void
}

/** A site of the machine (machine.ts) of its own. */
const WRITE_SITE = -2

// Changes, for DiskState.next
const CHANGE_BEGIN = 0
const CHANGE_DONE = 1
const CHANGE_FAILED = 2
const CHANGE_SYNC = 3
const CHANGE_SYNC_FAILED = 4

/** The model's disk: the calls of a file system, and what of all frames a crash leaves. */
export class ModelDisk {
  private readonly machine: Machine
  private readonly spec: DiskSpec
  private readonly frames: FrameReader
  private readonly crashes: CrashStates
  private readonly firstSegments: Segments
  /** How the log began. */
  readonly opened: RecoveryResult
  state: DiskState
  private firstState: DiskState
  private readonly fds: { segment: number; seenErrors: number }[]
  private fdCount: number
  /** The thread that makes a segment; -1 for none. */
  private builder: number
  private keptFds: number
  /** By segment: how many failed syncs it has had. */
  private readonly errors: number[]
  /** By LSN - firstLsn: 1 when some frame with this record was ever written to the disk. */
  readonly touched: Uint8Array
  /** By LSN - firstLsn: 1 when the caller was told that the record is not written. */
  readonly notWritten: Uint8Array
  /** close() has freed the directory: another process may have it. */
  isReleased: boolean
  private readonly views: Map<number, Uint8Array>

  constructor(machine: Machine, spec: DiskSpec) {
    this.machine = machine
    this.spec = spec
    this.frames = new FrameReader(spec.ownerOf, (promise, message) => machine.broken(promise, message))
    this.crashes = new CrashStates(spec.segments, spec.submitted)
    const { segments, result } = Segments.create(spec.segments)
    this.firstSegments = segments
    this.opened = result
    this.firstState = this.crashes.state(segments, [])
    this.state = this.firstState
    this.fds = []
    this.fdCount = 0
    this.builder = -1
    this.keptFds = 0
    this.errors = []
    this.touched = new Uint8Array(LSN_LIMIT)
    this.notWritten = new Uint8Array(LSN_LIMIT)
    this.isReleased = false
    this.views = new Map()
  }

  /** Before a run. */
  reset(): void {
    if (this.crashes.isFull) {
      this.crashes.forget()
      this.frames.forget()
      this.firstState = this.crashes.state(this.firstSegments, [])
    }
    this.state = this.firstState
    this.fdCount = this.keptFds
    this.builder = -1
    for (let fd = 0; fd < this.keptFds; fd++) this.fds[fd].seenErrors = 0
    this.errors.length = 0
    this.touched.fill(0)
    this.notWritten.fill(0)
    this.isReleased = false
  }

  /** What is open now is open when a run begins. */
  keepOpenFiles(): void {
    this.keptFds = this.fdCount
  }

  /** What the production code makes of the disks that a crash would leave now. */
  crash(): CrashOutcome {
    return this.crashes.outcomeOf(this.state)
  }

  get recoveredCount(): number {
    return this.crashes.recoveredCount
  }

  // ---- the calls of a file system

  open(path: string): number {
    if (this.machine.outcome(2) !== 0) throw failure('EMFILE', 24)
    const segment = segmentOf(path)
    if (!path.endsWith(segmentName(segment))) throw this.machine.broken('model', `a file called ${path}`)
    if (!this.state.segments.has(segment)) throw failure('ENOENT', 2)
    const fd = this.fdCount++
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
    if (length !== spec.segments.blockBytes) throw machine.broken('model', `a frame of ${length} bytes`)
    const { segment } = this.fds[fd]
    const outcome = machine.outcome(3)
    const view = this.viewOf(bytes, at, length)
    const frame = this.frames.read(view)
    this.checkWrite(segment, position, frame)
    this.change(CHANGE_BEGIN, segment, position, frame)
    // A call that runs returns before its thread can be stopped.
    if (machine.stepUnstoppable(WRITE_SITE)) yield
    if (Buffer.compare(frame.bytes, view) !== 0)
      throw machine.broken('P4', 'a staging buffer changed while it was written')
    if (outcome === 0) {
      this.change(CHANGE_DONE, segment, position, frame)
      return length
    }
    this.change(CHANGE_FAILED, segment, position, frame)
    if (outcome === 1) return length - 512
    throw failure('ENOSPC', 28)
  }

  /** As on Linux: a failed sync leaves pages behind that no later sync writes; each open file is told of it once. */
  sync(fd: number): void {
    const file = this.fds[fd]
    const { segment } = file
    const outcome = this.machine.outcome(2)
    this.change(outcome === 0 ? CHANGE_SYNC : CHANGE_SYNC_FAILED, segment, 0, undefined)
    const errors = (this.errors[segment] ?? 0) + (outcome === 0 ? 0 : 1)
    this.errors[segment] = errors
    if (errors === file.seenErrors) return
    file.seenErrors = errors
    throw failure('EIO', 5)
  }

  /** Names of the files in the directory of the log. */
  list(): string[] {
    return this.state.segments.numbers.map(segmentName)
  }

  unlink(path: string): void {
    if (this.machine.outcome(2) !== 0) throw failure('EIO', 5)
    const segment = segmentOf(path)
    if (this.state.cells.some((cell) => cell.segment === segment))
      throw this.machine.broken('P4', `segment ${segment} is removed, and holds frames`)
    this.replace(this.state.segments.remove(segment))
  }

  /** A file for a segment that is made ahead of need. Only one thread at a time makes one. */
  beginSegment(sequence: number): void {
    const { machine } = this
    const { states } = machine.threads
    if (this.builder >= 0 && this.builder !== machine.current && states[this.builder] !== DEAD)
      throw machine.broken('P4', `T${this.builder} and T${machine.current} make a segment at the same time`)
    if (machine.outcome(2) !== 0) throw failure('ENOSPC', 28)
    if (this.state.segments.has(sequence)) throw machine.broken('P4', `segment ${sequence} is made twice`)
    this.builder = machine.current
  }

  fillSegment(): void {
    if (this.machine.outcome(2) !== 0) throw failure('ENOSPC', 28)
  }

  /** It may fail at its very end, and the segment is there all the same. */
  publishSegment(next: NextSegment): PreparedSegment {
    const outcome = this.machine.outcome(3)
    if (outcome === 1) throw failure('EIO', 5)
    const { segments, result } = this.state.segments.publish(next)
    this.replace(segments)
    if (outcome === 2) throw failure('EIO', 5)
    this.builder = -1
    return result
  }

  abandonSegment(): void {
    this.builder = -1
  }

  writeZeros(path: string, from: number, to: number): void {
    const segment = segmentOf(path)
    if (this.machine.outcome(2) !== 0) throw failure('ENOSPC', 28)
    if (this.state.cells.some((cell) => cell.segment === segment && cell.offset >= from && cell.offset < to))
      throw this.machine.broken('P4', `zeros are written over a frame of segment ${segment}`)
    this.replace(this.state.segments.extend(segment, to))
  }

  /** A segment made ahead of need, durable. */
  prepare(next: NextSegment): PreparedSegment {
    const { segments, result } = this.state.segments.prepare(next)
    this.replace(segments)
    return result
  }

  /** The new segment of a resume. @throws what the production code throws, or when it cannot be made */
  fence(spec: FenceSpec): FenceResult | undefined {
    const outcome = this.machine.outcome(3)
    if (outcome === 1) return undefined
    const { segments, result } = this.state.segments.fence(spec)
    this.replace(segments)
    // It failed at its very end: the segment is there all the same.
    return outcome === 2 ? undefined : result
  }

  private replace(segments: Segments): void {
    this.state = this.crashes.state(segments, this.state.cells)
    this.spec.onChange()
  }

  private viewOf(bytes: Uint8Array, at: number, length: number): Uint8Array {
    let view = this.views.get(at)
    if (view === undefined || view.buffer !== bytes.buffer || view.length !== length) {
      view = new Uint8Array(bytes.buffer, at, length)
      this.views.set(at, view)
    }
    return view
  }

  private change(kind: number, segment: number, offset: number, frame: Frame | undefined): void {
    const { state } = this
    if (this.isReleased)
      throw this.machine.broken('P4', 'the log is written, and close() has freed its directory')
    const block = offset / this.spec.segments.blockBytes
    const number = (((frame?.id ?? 0) * 64 + block) * 64 + segment) * 8 + kind
    let next = state.next.get(number)
    if (next === undefined) {
      const cells = changeCells(state.cells, kind, segment, offset, frame, this.spec.isDsync)
      next = this.crashes.state(state.segments, cells)
      state.next.set(number, next)
    }
    this.state = next
    this.spec.onChange()
  }

  private checkWrite(segment: number, position: number, frame: Frame): void {
    const { machine, state, spec } = this
    const { header, records } = frame
    if (header.segmentSequence !== segment || header.offset !== position) {
      throw machine.broken('P3', 'a frame is written to a place that is not its own')
    }
    if (!state.segments.has(segment))
      throw machine.broken('P4', `segment ${segment} is written, and was retired`)
    if (position + frame.bytes.length > state.segments.zeroedTo(segment))
      throw machine.broken('P4', `a frame is written at ${position}, where segment ${segment} holds no zeros`)
    const cell = state.find(segment, position)
    // Unless whoever saw the failure died before it could say so: then all of it is written and synced once more.
    if (cell?.state === CELL_DOUBTFUL && machine.deaths === 0)
      throw machine.broken('P6', 'a failed frame is written again into the same place')
    if (cell !== undefined && cell.frame !== frame) {
      throw machine.broken('P4', `the frame at ${position} is overwritten with another one`)
    }
    for (const { lsn, count } of records) {
      for (let each = lsn; each < lsn + count; each++) {
        const index = each - spec.segments.firstLsn
        this.touched[index] = 1
        if (this.notWritten[index] === 1)
          throw machine.broken('P5', `record ${each}, told to be not written, is written`)
      }
    }
  }
}

function changeCells(
  cells: readonly Cell[],
  kind: number,
  segment: number,
  offset: number,
  frame: Frame | undefined,
  isDsync: boolean,
): readonly Cell[] {
  if (frame === undefined) {
    const synced = kind === CHANGE_SYNC ? CELL_SYNCED : CELL_DOUBTFUL
    return cells.map((cell) =>
      cell.segment === segment && cell.state === CELL_WRITTEN ? { ...cell, state: synced } : cell,
    )
  }
  const before = cells.find((cell) => cell.segment === segment && cell.offset === offset)?.state ?? 0
  const cell = { segment, offset, frame, state: stateAfter(before, kind, isDsync) }
  const others = cells.filter((each) => each.segment !== segment || each.offset !== offset)
  return [...others, cell].sort((one, other) => one.segment - other.segment || one.offset - other.offset)
}

/** Written once more, a frame that is there for certain stays so: the bytes are the same. */
function stateAfter(before: number, kind: number, isDsync: boolean): number {
  if (before === CELL_SYNCED) return CELL_SYNCED
  if (kind === CHANGE_BEGIN) return before === CELL_WRITTEN ? CELL_WRITTEN : CELL_IN_FLIGHT
  if (kind === CHANGE_FAILED) return CELL_DOUBTFUL
  return isDsync ? CELL_SYNCED : CELL_WRITTEN
}

function segmentOf(path: string): number {
  return Number(/(\d+)\.\w+$/.exec(path)![1])
}

function failure(code: string, errno: number): Error {
  return Object.assign(new Error(code), { code, errno: -errno })
}
