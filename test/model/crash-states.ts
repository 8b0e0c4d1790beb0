import { FRAME_HEADER_BYTES } from '../../src/format/frame.ts'
import { readRecords } from '../../src/read/reader.ts'
import type { Frame } from './frames.ts'
import { DIRECTORY, recoverLog, type SegmentOptions, type Segments } from './segments.ts'

/** More LSNs than any run hands out. */
export const LSN_LIMIT = 40

/** Of a frame on the disk. In flight: its write has begun. */
export const CELL_IN_FLIGHT = 1
export const CELL_WRITTEN = 2
/** For certain. */
export const CELL_SYNCED = 3
/** Its write or sync failed: the disk may hold all, some or nothing of it, and no later sync changes that. */
export const CELL_DOUBTFUL = 4

/** One block of a segment: in the model a frame is one block. */
export interface Cell {
  readonly segment: number
  readonly offset: number
  readonly frame: Frame
  readonly state: number
}

/** What the production code makes of the disks that a crash can leave, taken together. */
export interface CrashOutcome {
  /** What is wrong with one of them, whatever anybody was told. */
  problem: { promise: string; message: string } | undefined
  /** By LSN - firstLsn: the owner of the record that each of them returns, or 0. */
  certain: Int32Array
  /** By LSN - firstLsn: the owner of the record that one of them returns, or 0. */
  possible: Int32Array
  /** The lowest LSN that one of them hands out next. */
  nextLsn: number
  /** The lowest LSN with which one of them ends. */
  lastLsn: number
}

/** What the production code makes of one disk. */
interface Recovered {
  problem: CrashOutcome['problem']
  owners: Int32Array
  nextLsn: number
  lastLsn: number
}

/** The disk of the model at one instant. Immutable; the same change of the same state gives the same object. */
export class DiskState {
  readonly id: number
  readonly segments: Segments
  /** By segment and offset. */
  readonly cells: readonly Cell[]
  /** By the caller's number of a change: the state behind it. */
  readonly next: Map<number, DiskState>
  outcome: CrashOutcome | undefined

  constructor(id: number, segments: Segments, cells: readonly Cell[]) {
    this.id = id
    this.segments = segments
    this.cells = cells
    this.next = new Map()
    this.outcome = undefined
  }

  find(segment: number, offset: number): Cell | undefined {
    for (const cell of this.cells) if (cell.segment === segment && cell.offset === offset) return cell
    return undefined
  }
}

/** Who wrote the record with this payload (0: nobody), and whether all batches in a list of owners are whole. */
export interface Submitted {
  ownerOf(payload: Uint8Array): number
  isWhole(owners: Int32Array): boolean
}

/** How many states are kept before all are forgotten. */
const KEPT_STATES = 30_000
/** So many disks of a configuration hold torn frames too; of those with more, that would take too long. */
const TORN_DISKS = 2000

/**
 * The states of the model's disk, and for each of them every disk that a crash at that instant can leave: of each
 * frame that is not there for certain nothing, its header alone, or all of it, in all combinations. Each is
 * recovered and read by the production code, once.
 */
export class CrashStates {
  private readonly options: SegmentOptions
  private readonly submitted: Submitted
  private readonly states: Map<string, DiskState>
  private readonly images: Map<string, Recovered>
  private lastId: number
  /** Different disks that were recovered. */
  recoveredCount: number

  constructor(options: SegmentOptions, submitted: Submitted) {
    this.options = options
    this.submitted = submitted
    this.states = new Map()
    this.images = new Map()
    this.lastId = 0
    this.recoveredCount = 0
  }

  get isFull(): boolean {
    return this.states.size > KEPT_STATES
  }

  forget(): void {
    this.states.clear()
    this.images.clear()
  }

  state(segments: Segments, cells: readonly Cell[]): DiskState {
    let key = String(segments.id)
    for (const { segment, offset, frame, state } of cells) key += ` ${segment} ${offset} ${frame.id} ${state}`
    let found = this.states.get(key)
    if (found === undefined) {
      found = new DiskState(++this.lastId, segments, cells)
      this.states.set(key, found)
    }
    return found
  }

  outcomeOf(state: DiskState): CrashOutcome {
    state.outcome ??= this.combine(state)
    return state.outcome
  }

  private combine({ segments, cells }: DiskState): CrashOutcome {
    const outcome: CrashOutcome = {
      problem: undefined,
      certain: new Int32Array(LSN_LIMIT),
      possible: new Int32Array(LSN_LIMIT),
      nextLsn: Number.POSITIVE_INFINITY,
      lastLsn: Number.POSITIVE_INFINITY,
    }
    let isFirst = true
    for (const kept of keptParts(cells, this.recoveredCount < TORN_DISKS)) {
      const { problem, owners, nextLsn, lastLsn } = this.recover(segments, cells, kept)
      outcome.problem ??= problem
      outcome.nextLsn = Math.min(outcome.nextLsn, nextLsn)
      outcome.lastLsn = Math.min(outcome.lastLsn, lastLsn)
      for (let at = 0; at < LSN_LIMIT; at++) {
        if (isFirst) outcome.certain[at] = owners[at]
        else if (outcome.certain[at] !== owners[at]) outcome.certain[at] = 0
        if (owners[at] === 0) continue
        if (outcome.possible[at] !== 0 && outcome.possible[at] !== owners[at]) {
          outcome.problem ??= { promise: 'P2', message: 'two records have the same LSN' }
        }
        outcome.possible[at] = owners[at]
      }
      isFirst = false
    }
    return outcome
  }

  private recover(segments: Segments, cells: readonly Cell[], kept: readonly number[]): Recovered {
    let key = String(segments.id)
    for (const [index, { segment, offset, frame }] of cells.entries()) {
      if (kept[index] !== NOTHING) key += ` ${segment} ${offset} ${frame.id} ${kept[index]}`
    }
    let recovered = this.images.get(key)
    if (recovered !== undefined) return recovered
    const frames: { segment: number; offset: number; bytes: Uint8Array }[] = []
    for (const [index, { segment, offset, frame }] of cells.entries()) {
      // A segment that a fence has retired is no part of the log any more.
      if (kept[index] === NOTHING || !segments.has(segment)) continue
      frames.push({ segment, offset, bytes: kept[index] === WHOLE ? frame.bytes : tear(frame.bytes) })
    }
    recovered = this.recoverDisk(segments, frames)
    this.images.set(key, recovered)
    this.recoveredCount++
    return recovered
  }

  private recoverDisk(
    segments: Segments,
    frames: readonly { segment: number; offset: number; bytes: Uint8Array }[],
  ): Recovered {
    const { options, submitted } = this
    const recovered: Recovered = {
      problem: undefined,
      owners: new Int32Array(LSN_LIMIT),
      nextLsn: 0,
      lastLsn: 0,
    }
    const { owners } = recovered
    const { stackTraceLimit } = Error
    // Most errors in here are answers of the disk that nobody will read.
    Error.stackTraceLimit = 0
    try {
      const disk = segments.withFrames(frames)
      const { nextLsn, durableLsn } = recoverLog(disk, options)
      recovered.nextLsn = nextLsn
      recovered.lastLsn = durableLsn
      let lastLsn = 0
      for (const { lsn, payload } of readRecords(disk, DIRECTORY)) {
        const owner = submitted.ownerOf(payload)
        const at = lsn - options.firstLsn
        if (lsn <= lastLsn) throw new Error(`record ${lsn} is returned behind ${lastLsn}`)
        if (owner === 0 || at < 0 || at >= LSN_LIMIT) throw new Error(`record ${lsn} was never submitted`)
        if (owners.includes(owner)) throw new Error(`record ${lsn} is returned twice`)
        owners[at] = owner
        lastLsn = lsn
      }
      if (lastLsn > durableLsn || nextLsn <= durableLsn) {
        throw new Error(`it ends with LSN ${lastLsn}, says ${durableLsn}, and goes on with ${nextLsn}`)
      }
    } catch (error) {
      recovered.problem = { promise: 'P3', message: `after a crash here: ${(error as Error).message}` }
      return recovered
    } finally {
      Error.stackTraceLimit = stackTraceLimit
    }
    if (!submitted.isWhole(owners)) {
      recovered.problem = { promise: 'P11', message: 'after a crash here a part of a batch is recovered' }
    }
    return recovered
  }
}

const NOTHING = 0
// 1: its header alone
const WHOLE = 2

/** For each cell, in all combinations, what of it a crash leaves. */
function* keptParts(cells: readonly Cell[], mayTear: boolean): IterableIterator<readonly number[]> {
  const kept: number[] = cells.map(({ state }) => (state === CELL_SYNCED ? WHOLE : NOTHING))
  for (;;) {
    yield kept
    let index = 0
    for (; index < cells.length; index++) {
      if (cells[index].state === CELL_SYNCED) continue
      if (kept[index] < WHOLE) {
        // A header without a body is whole.
        const isWhole = !mayTear || cells[index].frame.header.bodyBytes === 0
        kept[index] = isWhole ? WHOLE : kept[index] + 1
        break
      }
      kept[index] = NOTHING
    }
    if (index === cells.length) return
  }
}

function tear(bytes: Uint8Array): Uint8Array {
  return bytes.slice().fill(0, FRAME_HEADER_BYTES)
}
