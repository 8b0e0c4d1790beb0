import { resolve } from 'node:path'
import { LSN_LIMIT } from '../commit/appender.ts'
import { FRAME_HEADER_BYTES } from '../format/frame.ts'
import { GRANULE_BYTES, RECORD_HEADER_BYTES } from '../format/record.ts'
import { MAX_CLIENTS_LIMIT } from '../shared/layout.ts'
import type { FileSystemModule } from '../storage/file-system.ts'
import { SYNC_METHODS, type SyncMethod } from '../storage/sync-method.ts'
import { checkInteger, checkOptionNames, describe } from './record-input.ts'

/** How a log is opened. All optional; sizes in bytes. */
export interface OpenOptions {
  /** Size of a segment file: 1 MiB to 1 GiB, a multiple of 64 KiB, default 64 MiB. */
  segmentBytes?: number
  /** Size of the ring that producers write to: 4 KiB to 1 GiB, a power of two, default 8 MiB. */
  ringBytes?: number
  /** The most that one batch (one write and sync) can hold, default 1 MiB: at most half the ring, and a segment. Limits payloads and commitBatch, too. */
  maxBatchBytes?: number
  /** How a batch is made durable; `auto` (default) measures in the log's own directory. */
  syncMethod?: SyncMethod | 'auto'
  /** How many batches may be written at the same time: 1 (default), 2, 4 or 8. */
  stagingSlots?: number
  /** How many producers may be connected at the same time: 1 to 1000, default 256. */
  maxProducers?: number
  /** A write and sync that lasts longer emits `stalled`, default 1000. */
  stallWarnMs?: number
  /** After so long without commits a seal is written, which proves the last batch durable; 0: never. Default 50. */
  sealIdleMs?: number
  /**
   * A worker thread whose promises alone are waiting writes them itself while writes have lately lasted at most so many
   * microseconds: its event loop stands still meanwhile. 0: an internal thread always does. Default 500. Never the main thread.
   */
  ownLeadMicros?: number
  /** `ofd` (default) keeps other processes out; `none` where no lock can be had: then make sure yourself. */
  lock?: 'ofd' | 'none'
  /** The first LSN of a log that does not exist yet, default 1. */
  firstLsn?: number
  /** How many retired segments are kept for reuse, default 2. */
  keepSpares?: number
  /** For tests: another file system beneath the log, in every thread. */
  fileSystem?: FileSystemModule
  /** For tests: where ring positions begin. */
  ringPosition?: number
}

/** The same, complete and checked. */
export interface ResolvedOptions {
  directory: string
  segmentBytes: number
  ringBytes: number
  maxBatchBytes: number
  syncMethod: SyncMethod | 'auto'
  stagingSlots: number
  maxProducers: number
  stallWarnMs: number
  sealIdleMs: number
  ownLeadMicros: number
  lock: 'ofd' | 'none'
  firstLsn: number | undefined
  keepSpares: number
  fileSystem: FileSystemModule | undefined
  ringPosition: number
}

const KIB = 1024
const MIB = 1024 * KIB
/** A WebAssembly memory has 4 GiB; the rest of them is for what stands before the ring. */
const MEMORY_LIMIT = 4096 * MIB - 64 * MIB
const NAMES: readonly (keyof OpenOptions)[] = [
  'segmentBytes',
  'ringBytes',
  'maxBatchBytes',
  'syncMethod',
  'stagingSlots',
  'maxProducers',
  'stallWarnMs',
  'sealIdleMs',
  'ownLeadMicros',
  'lock',
  'firstLsn',
  'keepSpares',
  'fileSystem',
  'ringPosition',
]

/**
 * Checks the options and fills in the defaults.
 *
 * @throws TypeError, RangeError naming the option, the value and the limit
 */
export function resolveOptions(directory: string, options: OpenOptions = {}): ResolvedOptions {
  if (typeof directory !== 'string' || directory === '') {
    throw new TypeError(`directory must be a path, got ${describe(directory)}`)
  }
  checkOptionNames(options, NAMES)
  const segmentBytes = checkInteger('segmentBytes', options.segmentBytes ?? 64 * MIB, 1024 * MIB, MIB)
  if (segmentBytes % (64 * KIB) !== 0) {
    throw new RangeError(`segmentBytes must be a multiple of 65536, got ${segmentBytes}`)
  }
  const ringBytes = checkInteger('ringBytes', options.ringBytes ?? 8 * MIB, 1024 * MIB, 4 * KIB)
  if ((ringBytes & (ringBytes - 1)) !== 0)
    throw new RangeError(`ringBytes must be a power of two, got ${ringBytes}`)
  const resolved: ResolvedOptions = {
    directory: resolve(directory),
    segmentBytes,
    ringBytes,
    maxBatchBytes: resolveBatchBytes(options.maxBatchBytes, ringBytes, segmentBytes),
    syncMethod: checkChoice('syncMethod', options.syncMethod ?? 'auto', ['auto', ...SYNC_METHODS]),
    stagingSlots: checkChoice('stagingSlots', options.stagingSlots ?? 1, [1, 2, 4, 8]),
    maxProducers: checkInteger('maxProducers', options.maxProducers ?? 256, MAX_CLIENTS_LIMIT - 8, 1),
    stallWarnMs: checkInteger('stallWarnMs', options.stallWarnMs ?? 1000, 2 ** 31 - 1, 1),
    sealIdleMs: checkInteger('sealIdleMs', options.sealIdleMs ?? 50, 2 ** 31 - 1),
    ownLeadMicros: checkInteger('ownLeadMicros', options.ownLeadMicros ?? 500, 2 ** 31 - 1),
    lock: checkChoice('lock', options.lock ?? 'ofd', ['ofd', 'none']),
    firstLsn: undefined,
    keepSpares: checkInteger('keepSpares', options.keepSpares ?? 2, 1000),
    fileSystem: options.fileSystem,
    ringPosition: checkInteger('ringPosition', options.ringPosition ?? 0, 2 ** 32 - 1),
  }
  checkMemory(resolved)
  if (options.firstLsn !== undefined) {
    resolved.firstLsn = checkInteger('firstLsn', options.firstLsn, LSN_LIMIT, 1)
  }
  return resolved
}

function resolveBatchBytes(given: number | undefined, ringBytes: number, segmentBytes: number): number {
  const limit = Math.min(ringBytes / 2, segmentBytes - 64 * KIB - FRAME_HEADER_BYTES)
  const least = RECORD_HEADER_BYTES + GRANULE_BYTES
  if (given === undefined) return Math.min(MIB, limit)
  checkInteger('maxBatchBytes', given, 512 * MIB, least)
  if (given > limit) {
    throw new RangeError(
      `maxBatchBytes is ${given}, but with ringBytes ${ringBytes} and segmentBytes ${segmentBytes} it can be at most ${limit}`,
    )
  }
  return given
}

/** Each may be within its limit, and all together more than one shared memory can hold. */
function checkMemory({ ringBytes, maxBatchBytes, stagingSlots }: ResolvedOptions): void {
  // Behind the ring stands room for one more batch, and a word for each of its granules before it.
  const bytes = ringBytes + (ringBytes / GRANULE_BYTES) * 4 + (stagingSlots + 1) * maxBatchBytes
  if (bytes <= MEMORY_LIMIT) return
  throw new RangeError(
    `ringBytes ${ringBytes}, maxBatchBytes ${maxBatchBytes} and stagingSlots ${stagingSlots} need ${bytes} bytes of shared memory, it can be at most ${MEMORY_LIMIT}`,
  )
}

function checkChoice<T extends string | number>(name: string, value: T, choices: readonly T[]): T {
  if (choices.includes(value)) return value
  const shown =
    typeof value === 'string' || typeof value === 'number' ? JSON.stringify(value) : describe(value)
  throw (typeof value === typeof choices[0] ? RangeError : TypeError)(
    `${name} must be one of ${choices.join(', ')}, got ${shown}`,
  )
}
