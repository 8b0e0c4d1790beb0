import { constants } from 'node:fs'
import { segmentName } from '../../src/format/segment-name.ts'
import { type FenceResult, type FenceSpec, fence } from '../../src/recovery/fence.ts'
import { type RecoverOptions, type RecoveryResult, recover } from '../../src/recovery/recover.ts'
import { listSegments } from '../../src/storage/directory.ts'
import { type PreparedSegment, prepareSegment } from '../../src/storage/segment-file.ts'
import { createRandom } from '../support/random.ts'
import { SimulatedDisk } from '../support/simulated-disk.ts'

export const DIRECTORY = '/log'

/** What stays the same in all segments of a model's log. */
export interface SegmentOptions {
  blockBytes: number
  segmentBytes: number
  maxOutstandingRecords: number
  firstLsn: number
  isDirect: boolean
  /** The first segment holds zeros up to here. */
  zeroedTo: number
}

/** What the log knows when it asks for a segment. */
export interface NextSegment {
  sequence: number
  nextLsn: number
  nextFrameSequence: number
}

const NOW_MS = 1_790_000_000_000
const buffers = new Map<number, Uint8Array>()

/** Recoveries come one after the other, so all of them share their buffers. */
function sharedBuffer(bytes: number): Uint8Array {
  const buffer = buffers.get(bytes) ?? new Uint8Array(bytes)
  buffers.set(bytes, buffer)
  return buffer
}

function recoverOptions(options: SegmentOptions, seed: number): RecoverOptions {
  const random = createRandom(seed)
  return {
    segmentBytes: options.segmentBytes,
    maxOutstandingRecords: options.maxOutstandingRecords,
    firstLsn: options.firstLsn,
    blockBytes: options.blockBytes,
    initialZeroBytes: options.zeroedTo,
    directReads: true,
    directWrites: options.isDirect,
    allocateBuffer: sharedBuffer,
    randomBytes: (count) => random.bytes(count),
    nowMs: () => NOW_MS,
  }
}

/** Recovers the log on a disk, as an opener would. */
export function recoverLog(disk: SimulatedDisk, options: SegmentOptions): RecoveryResult {
  return recover(disk, DIRECTORY, { ...recoverOptions(options, 2), initialZeroBytes: options.blockBytes })
}

let lastId = 0

/**
 * The segment files of a log of the model, without any frame: made by the production code, on a disk in memory.
 * Immutable: a new segment gives a new object, the same one each time the same is asked for.
 */
export class Segments {
  readonly id: number
  readonly disk: SimulatedDisk
  private readonly options: SegmentOptions
  private readonly logId: Uint8Array
  private readonly depth: number
  /** By segment, up to where it holds zeros, or frames. */
  private readonly zeroed: Map<number, number>
  private readonly made: Map<string, { segments: Segments; result: Made }>

  private constructor(
    disk: SimulatedDisk,
    options: SegmentOptions,
    logId: Uint8Array,
    depth: number,
    zeroed: ReadonlyMap<number, number>,
  ) {
    this.id = ++lastId
    this.disk = disk
    this.options = options
    this.logId = logId
    this.depth = depth
    this.zeroed = new Map(
      listSegments(disk, DIRECTORY).segments.map(({ number }) => [number, zeroed.get(number) ?? 0]),
    )
    this.made = new Map()
  }

  /** A new log. */
  static create(options: SegmentOptions): { segments: Segments; result: RecoveryResult } {
    const disk = new SimulatedDisk()
    const result = recover(disk, DIRECTORY, recoverOptions(options, 1))
    const zeroed = new Map([[result.segment.sequence, result.segment.zeroedTo]])
    return { segments: new Segments(disk, options, result.logId, 0, zeroed), result }
  }

  /** Is there a segment of this number? */
  has(sequence: number): boolean {
    return this.zeroed.has(sequence)
  }

  get numbers(): readonly number[] {
    return [...this.zeroed.keys()]
  }

  /** Up to where a segment may hold frames. */
  zeroedTo(sequence: number): number {
    return this.zeroed.get(sequence) ?? 0
  }

  /** Writes zeros into a segment. */
  extend(sequence: number, to: number): Segments {
    return this.make(`extend ${sequence} ${to}`, () => ({ sequence, zeroedTo: to })).segments
  }

  remove(sequence: number): Segments {
    return this.make(`remove ${sequence}`, (disk) => {
      disk.unlink(`${DIRECTORY}/${segmentName(sequence)}`)
      disk.syncDirectory(DIRECTORY)
      return undefined
    }).segments
  }

  /** Makes a segment ahead of need, when none of its number is there. */
  publish(next: NextSegment): { segments: Segments; result: PreparedSegment } {
    const { sequence, nextLsn, nextFrameSequence } = next
    return this.make(`publish ${sequence} ${nextLsn} ${nextFrameSequence}`, (disk, options, log) =>
      prepareSegment(
        disk,
        DIRECTORY,
        { ...log, sequence, nextLsn, nextFrameSequence },
        options,
        log.segmentBytes,
      ),
    )
  }

  /** Makes a segment ahead of need, whatever was there under its number or behind it. */
  prepare(next: NextSegment): { segments: Segments; result: PreparedSegment } {
    const { sequence, nextLsn, nextFrameSequence } = next
    return this.make(`prepare ${sequence} ${nextLsn} ${nextFrameSequence}`, (disk, options, log) => {
      // As SegmentSupply has it: who died between making a segment and announcing it left it behind.
      for (const { number, path } of listSegments(disk, DIRECTORY).segments) {
        if (number >= sequence) disk.unlink(path)
      }
      disk.syncDirectory(DIRECTORY)
      return prepareSegment(disk, DIRECTORY, { ...log, ...next }, options, log.segmentBytes)
    })
  }

  /** Makes the segment with which a resume begins. @throws as the production code does */
  fence(spec: FenceSpec): { segments: Segments; result: FenceResult } {
    const { cut, gap, nextLsn, leastSequence } = spec
    return this.make(`fence ${JSON.stringify([cut, gap, nextLsn, leastSequence])}`, (disk, options, log) =>
      fence(disk, DIRECTORY, { ...options, ...log, ...spec }),
    )
  }

  private make<T extends Made>(
    what: string,
    make: (disk: SimulatedDisk, options: RecoverOptions, log: LogNumbers) => T,
  ): { segments: Segments; result: T } {
    const known = this.made.get(what)
    if (known !== undefined) return known as { segments: Segments; result: T }
    const { options, logId } = this
    const disk = this.disk.fork()
    const { blockBytes, segmentBytes, maxOutstandingRecords } = options
    const log = { logId, blockBytes, segmentBytes, maxOutstandingRecords }
    const result = make(disk, recoverOptions(options, 100 + this.depth), log)
    const zeroed = new Map(this.zeroed)
    if (result !== undefined) {
      const { sequence, zeroedTo } = isFence(result) ? result.segment : result
      zeroed.set(sequence, zeroedTo)
    }
    const made = { segments: new Segments(disk, options, logId, this.depth + 1, zeroed), result }
    this.made.set(what, made)
    return made
  }

  /** The disk with these frames on it, all of them durable. */
  withFrames(frames: readonly { segment: number; offset: number; bytes: Uint8Array }[]): SimulatedDisk {
    const disk = this.disk.fork()
    for (const { segment, offset, bytes } of frames) {
      const fd = disk.open(`${DIRECTORY}/${segmentName(segment)}`, constants.O_RDWR, 0)
      disk.write(fd, bytes, 0, bytes.length, offset)
      disk.fullSync(fd)
      disk.close(fd)
    }
    return disk
  }
}

function isFence(made: PreparedSegment | FenceResult | ZeroedSegment): made is FenceResult {
  return 'segment' in made
}

interface ZeroedSegment {
  sequence: number
  zeroedTo: number
}

type Made = PreparedSegment | FenceResult | ZeroedSegment | undefined
type LogNumbers = Pick<FenceSpec, 'logId' | 'blockBytes' | 'segmentBytes' | 'maxOutstandingRecords'>
