import { CorruptLogError, GroupWalError } from '../errors.ts'
import { LOG_ID_BYTES, type SegmentHeader } from '../format/segment-header.ts'
import { asOpenFailure, type DirectoryListing, ensureDirectory, syncAncestors } from '../storage/directory.ts'
import type { FileSystem } from '../storage/file-system.ts'
import { prepareSegment } from '../storage/segment-file.ts'
import { removeStrays, retireUnused, retireVoid, truncateCuts } from './clean-up.ts'
import { continueInPlace } from './continue.ts'
import { fileOf, type LogFiles, readLogFiles, SegmentOpener } from './log-files.ts'
import { initialZeroBytes, startNewSegment } from './new-segment.ts'
import type { RecoverOptions, RecoveryReport, RecoveryResult } from './outcome.ts'
import { findTail } from './sealed.ts'
import { readTail, type Tail } from './tail.ts'

export type { RecoverOptions, RecoveryReport, RecoveryResult } from './outcome.ts'

const DEFAULT_KEEP_SPARES = 2

/**
 * Opens the log in a directory, or makes a new one there: finds its end, makes everything that will be returned
 * durable, and fixes the next LSN. May be repeated after a crash at any of its steps: the records are the same.
 *
 * The directory must be locked. Runs in the opener; blocks while it reads.
 *
 * @throws CorruptLogError where acknowledged data is damaged or missing; nothing was changed then
 * @throws GroupWalError GROUPWAL_FOREIGN_DIRECTORY, GROUPWAL_UNSUPPORTED_VERSION, GROUPWAL_LSN_EXHAUSTED, or
 *   GROUPWAL_OPEN_FAILED with the cause
 */
export function recover(fs: FileSystem, directory: string, options: RecoverOptions): RecoveryResult {
  try {
    ensureDirectory(fs, directory)
    const opener = new SegmentOpener(fs, options.directReads, options.allocateBuffer)
    const files = readLogFiles(fs, directory, opener)
    if (files.segments.length > 0) return openExisting(fs, directory, files, opener, options)
    checkEmpty(directory, files)
    return createLog(fs, directory, files, options)
  } catch (error) {
    throw asOpenFailure(directory, error)
  }
}

function openExisting(
  fs: FileSystem,
  directory: string,
  files: LogFiles,
  opener: SegmentOpener,
  options: RecoverOptions,
): RecoveryResult {
  checkBlocks(directory, files.live.at(-1)!.header, options)
  const tail = readTail(fs, files, opener, findTail(fs, files, opener))
  const keepSpares = options.keepSpares ?? DEFAULT_KEEP_SPARES
  const report: RecoveryReport = { salvagedRecords: 0, removedTemps: 0, discardedSegments: 0 }
  if (tail.end.torn) report.tornTail = describeTornTail(files, tail)
  // What was listed may not be durable yet, if the crash was that of a process only. Nothing goes before it is.
  fs.syncDirectory(directory)
  // Then space is made: on a full disk a new segment needs what lies about unused.
  report.removedTemps = removeStrays(fs, files)
  report.discardedSegments = retireUnused(fs, directory, files, tail, keepSpares)
  truncateCuts(fs, files)
  const continued = continueInPlace(fs, files, tail, report, options)
  if (continued !== undefined) return continued
  const { result, cut } = startNewSegment(fs, directory, files, tail, opener, report, options)
  report.discardedSegments += retireVoid(fs, directory, files, cut, keepSpares)
  return result
}

function createLog(
  fs: FileSystem,
  directory: string,
  files: LogFiles,
  options: RecoverOptions,
): RecoveryResult {
  syncAncestors(fs, directory)
  const removedTemps = removeStrays(fs, files)
  const { blockBytes, segmentBytes, maxOutstandingRecords } = options
  const nextLsn = options.firstLsn ?? 1
  const logId = Uint8Array.from(options.randomBytes(LOG_ID_BYTES))
  const spec = {
    sequence: 1,
    logId,
    blockBytes,
    segmentBytes,
    maxOutstandingRecords,
    nextLsn,
    nextFrameSequence: 1,
  }
  const segment = prepareSegment(fs, directory, spec, options, initialZeroBytes(options))
  return {
    logId,
    blockBytes,
    segment,
    writeOffset: blockBytes,
    nextFrameSequence: 1,
    previousOffset: 0,
    previousChecksum: 0,
    nextLsn,
    durableLsn: 0,
    cleanClose: true,
    lastFrameIsSeal: false,
    report: { salvagedRecords: 0, removedTemps, discardedSegments: 0 },
  }
}

function checkEmpty(directory: string, { listing, uncounted }: LogFiles): void {
  if (uncounted.length > 0) {
    const { name } = uncounted[0]!
    throw new CorruptLogError(`${name} is the only segment, but its header names another`, {
      segment: name,
      offset: 0,
    })
  }
  refuseForeign(directory, listing)
}

/**
 * A directory without a log, but with files of somebody else, is none to make a log in.
 *
 * @throws GroupWalError GROUPWAL_FOREIGN_DIRECTORY
 */
export function refuseForeign(directory: string, { segments, foreign }: DirectoryListing): void {
  if (segments.length > 0 || foreign.length === 0) return
  const names = foreign.slice(0, 3).join(', ')
  throw new GroupWalError(
    'GROUPWAL_FOREIGN_DIRECTORY',
    `${directory} holds no log, but other files (${names}): a new log wants a folder of its own`,
  )
}

function checkBlocks(directory: string, header: SegmentHeader, options: RecoverOptions): void {
  if (options.directWrites !== true || header.blockBytes >= options.blockBytes) return
  throw new GroupWalError(
    'GROUPWAL_OPEN_FAILED',
    `the log in ${directory} has blocks of ${header.blockBytes} bytes, but direct writes to this disk need ` +
      `${options.blockBytes}: open it with syncMethod 'fdatasync' or 'fsync'`,
  )
}

function describeTornTail(files: LogFiles, { end, nextLsn }: Tail): RecoveryReport['tornTail'] {
  const { name } = fileOf(files, files.live[end.segmentIndex]!.header)
  return { segment: name, offset: end.offset, firstUnreadableLsn: nextLsn, bytes: end.tornBytes }
}
