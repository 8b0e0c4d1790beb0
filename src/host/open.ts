import { randomBytes } from 'node:crypto'
import { isMainThread } from 'node:worker_threads'
import { GroupWalError } from '../errors.ts'
import { FLAG_SEAL, FRAME_HEADER_BYTES } from '../format/frame.ts'
import { GRANULE_BYTES } from '../format/record.ts'
import { readBlockBytes } from '../recovery/log-files.ts'
import { type RecoveryResult, recover, refuseForeign } from '../recovery/recover.ts'
import { Control } from '../shared/control.ts'
import { KeeperWords } from '../shared/keeper-words.ts'
import { type Layout, planLayout } from '../shared/layout.ts'
import { SharedMemory } from '../shared/memory.ts'
import { Phases } from '../shared/phase.ts'
import { Ring } from '../shared/ring.ts'
import { chooseSyncMethod, type SyncMethodChoice } from '../storage/choose-sync-method.ts'
import { asOpenFailure, ensureDirectory, listSegments } from '../storage/directory.ts'
import { type DiskEnvironment, inspectEnvironment } from '../storage/environment.ts'
import type { FileSystem } from '../storage/file-system.ts'
import { loadFileSystem } from '../storage/load-file-system.ts'
import { acquireLock, type DirectoryLock } from '../storage/lock-file.ts'
import { isDirect } from '../storage/sync-method.ts'
import { INTERNAL_CLIENTS } from './connect.ts'
import { type LogHandle, rememberMemory } from './handle.ts'
import { Log } from './log.ts'
import { type OpenOptions, type ResolvedOptions, resolveOptions } from './options.ts'

/**
 * Opens the log in a directory, or makes a new one there. Recovers what a crash left, so that everything that was
 * ever acknowledged is there. May be called in any thread; one process at a time.
 *
 * @throws TypeError, RangeError about options
 * @throws LockedError GROUPWAL_LOCKED naming the owner's pid; GROUPWAL_LOCK_UNAVAILABLE
 * @throws CorruptLogError where acknowledged data is damaged
 * @throws GroupWalError GROUPWAL_OPEN_FAILED, GROUPWAL_UNSUPPORTED_VERSION, GROUPWAL_FOREIGN_DIRECTORY,
 *   GROUPWAL_SYNC_METHOD_UNAVAILABLE, GROUPWAL_IO, GROUPWAL_LSN_EXHAUSTED, GROUPWAL_WORKER_START
 */
export async function openLog(directory: string, options?: OpenOptions): Promise<Log> {
  const resolved = resolveOptions(directory, options)
  if (new Uint8Array(Uint32Array.of(1).buffer)[0] !== 1) {
    throw new GroupWalError('GROUPWAL_OPEN_FAILED', 'groupwal needs a little-endian machine')
  }
  const fs = loadFileSystem(resolved.fileSystem)
  prepareDirectory(fs, resolved.directory)
  const lock = resolved.lock === 'ofd' ? await acquireLock(fs, resolved.directory) : undefined
  try {
    return await openLocked(fs, resolved, lock)
  } catch (error) {
    lock?.release()
    throw error
  }
}

function prepareDirectory(fs: FileSystem, directory: string): void {
  try {
    ensureDirectory(fs, directory)
    // Before anything is written there.
    refuseForeign(directory, listSegments(fs, directory))
  } catch (error) {
    throw asOpenFailure(directory, error)
  }
}

async function openLocked(
  fs: FileSystem,
  options: ResolvedOptions,
  lock: DirectoryLock | undefined,
): Promise<Log> {
  const environment = inspectEnvironment(options.directory)
  let { memory, aligned } = SharedMemory.allocate(layoutFor(options, environment.blockBytes))
  const choice = chooseMethod(fs, options, environment.blockBytes, aligned)
  const maxOutstandingRecords = Math.ceil(
    (options.ringBytes + options.stagingSlots * options.maxBatchBytes) / GRANULE_BYTES,
  )
  const recovered = recover(fs, options.directory, {
    segmentBytes: options.segmentBytes,
    maxOutstandingRecords,
    firstLsn: options.firstLsn,
    blockBytes: environment.blockBytes,
    directReads: isDirect(choice.method),
    directWrites: isDirect(choice.method),
    keepSpares: options.keepSpares,
    randomBytes: (count) => randomBytes(count),
    nowMs: () => Date.now(),
  })
  if (recovered.blockBytes !== environment.blockBytes) {
    // An older log keeps the blocks that it was made with.
    ;({ memory, aligned } = SharedMemory.allocate(layoutFor(options, recovered.blockBytes)))
  }
  initializeMemory(memory, recovered, options)
  const handle: LogHandle = Object.freeze({
    groupwal: 1 as const,
    pid: process.pid,
    directory: options.directory,
    region: memory.region,
    syncMethod: choice.method,
    logId: recovered.logId,
    maxOutstandingRecords,
    sealIdleMs: options.sealIdleMs,
    ownLeadMicros: options.ownLeadMicros,
    fileSystem: options.fileSystem,
    // The main thread ends with the process, and its lock with it.
    lockText: isMainThread ? undefined : lock?.text,
  })
  rememberMemory(memory.region, memory)
  return Log.start({
    fs,
    options,
    handle,
    lock,
    report: recovered.report,
    sync: choice,
    environment,
    aligned,
  })
}

/** With `auto` a log whose blocks are too small for direct writes to this disk is written through the page cache. */
function chooseMethod(
  fs: FileSystem,
  { directory, syncMethod }: ResolvedOptions,
  blockBytes: number,
  aligned: boolean,
): SyncMethodChoice {
  let ownBlockBytes: number | undefined
  try {
    ownBlockBytes = readBlockBytes(fs, directory)
  } catch (error) {
    throw asOpenFailure(directory, error)
  }
  const isTooSmall = ownBlockBytes !== undefined && ownBlockBytes < blockBytes
  const directAllowed = aligned && !(isTooSmall && syncMethod === 'auto')
  const choice = chooseSyncMethod(fs, directory, syncMethod, blockBytes, directAllowed)
  if (isTooSmall && !isDirect(choice.method)) {
    choice.warnings.push(
      `the log has blocks of ${ownBlockBytes} bytes, direct writes to this disk need ${blockBytes}: ` +
        'it is written through the page cache',
    )
  }
  return choice
}

/** Waiting records from which on the committer leads: fewer are as fast, or faster, led by a producer. */
const COMMITTER_RECORDS = 6

function layoutFor(options: ResolvedOptions, blockBytes: number): Layout {
  return planLayout({
    ringBytes: options.ringBytes,
    maxBatchBytes: options.maxBatchBytes,
    slotCount: options.stagingSlots,
    committerRecords: COMMITTER_RECORDS,
    maxClients: options.maxProducers + INTERNAL_CLIENTS,
    blockBytes,
    segmentBytes: options.segmentBytes,
    frameHeaderBytes: FRAME_HEADER_BYTES,
  })
}

/** Where the log goes on. Nobody else sees the memory yet. */
function initializeMemory(memory: SharedMemory, recovered: RecoveryResult, options: ResolvedOptions): void {
  const control = new Control(memory)
  const { segment } = recovered
  new Ring(memory).initialize(options.ringPosition, recovered.nextLsn % 2 ** 32)
  const phases = new Phases(memory)
  phases.initialize()
  phases.storeOpening(recovered.durableLsn, recovered.nextLsn)
  control.storeHeadLsn(recovered.nextLsn)
  control.raiseDurableLsn(recovered.durableLsn)
  control.storeChain({
    segment: segment.sequence,
    offset: recovered.previousOffset,
    endOffset: recovered.writeOffset,
    frameSequence: recovered.nextFrameSequence - 1,
    checksum: recovered.previousChecksum,
  })
  control.storeSegment(segment.sequence, segment.saltLow, segment.saltHigh, segment.segmentBytes)
  new KeeperWords(memory).storeZeroed(segment.sequence, segment.zeroedTo)
  // What was recovered is proven by the segment's header: no seal is needed before the first commit.
  control.storeLastFrameFlags(FLAG_SEAL)
}

/** What Log.start is given. */
export interface LogParts {
  fs: FileSystem
  options: ResolvedOptions
  handle: LogHandle
  lock: DirectoryLock | undefined
  report: RecoveryResult['report']
  sync: SyncMethodChoice
  environment: DiskEnvironment
  /** The shared memory is page aligned. */
  aligned: boolean
}
