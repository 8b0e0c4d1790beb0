import { constants } from 'node:fs'
import { FLAG_SEAL } from '../format/frame.ts'
import { FILE_MODE } from '../storage/directory.ts'
import type { FileSystem } from '../storage/file-system.ts'
import { readWhole, writeWhole } from '../storage/whole-io.ts'
import { fileOf, type LogFiles } from './log-files.ts'
import type { RecoverOptions, RecoveryReport, RecoveryResult } from './outcome.ts'
import { writeHeader } from './salvage.ts'
import type { Tail } from './tail.ts'

/**
 * Goes on in the newest segment of a log that was closed in order, if it has room and its header promises enough
 * outstanding records; undefined if not.
 *
 * First a seal without the close flag is made durable behind the one that close() wrote: else a crash before the
 * first commit would look like the same orderly end again, and LSNs that were handed out meanwhile would be reused.
 * The seals before it are written once more, as they are, since nothing proves that they left the page cache.
 */
export function continueInPlace(
  fs: FileSystem,
  files: LogFiles,
  tail: Tail,
  report: RecoveryReport,
  options: RecoverOptions,
): RecoveryResult | undefined {
  const { header, closeSeal, unproven } = tail
  const { blockBytes } = header
  if (closeSeal === undefined || unproven.some((frame) => frame.header.lsnCount > 0)) return undefined
  const hasRoom = closeSeal.endOffset + 2 * blockBytes <= header.segmentBytes
  if (!hasRoom || header.maxOutstandingRecords < options.maxOutstandingRecords) return undefined
  const file = fileOf(files, header)
  const startOffset = unproven[0]!.header.offset
  const sealOffset = closeSeal.endOffset
  const bytes = new Uint8Array(sealOffset + blockBytes - startOffset)
  const seal = {
    ...closeSeal.header,
    flags: FLAG_SEAL,
    offset: sealOffset,
    frameSequence: closeSeal.header.frameSequence + 1,
    wallClockMs: options.nowMs(),
    previousOffset: closeSeal.header.offset,
    previousChecksum: closeSeal.header.headerChecksum,
  }
  const sealChecksum = writeHeader(bytes.subarray(sealOffset - startOffset), seal)
  const fd = fs.open(file.path, constants.O_RDWR, FILE_MODE)
  try {
    readWhole(fs, fd, bytes, sealOffset - startOffset, startOffset)
    writeWhole(fs, fd, bytes, startOffset)
    fs.fullSync(fd)
  } finally {
    fs.close(fd)
  }
  const writeOffset = sealOffset + blockBytes
  return {
    logId: header.logId,
    blockBytes,
    segment: {
      sequence: header.segmentSequence,
      saltLow: header.saltLow,
      saltHigh: header.saltHigh,
      path: file.path,
      segmentBytes: header.segmentBytes,
      zeroedTo: Math.max(writeOffset, file.fileBytes - (file.fileBytes % blockBytes)),
    },
    writeOffset,
    nextFrameSequence: seal.frameSequence + 1,
    previousOffset: sealOffset,
    previousChecksum: sealChecksum,
    nextLsn: tail.nextLsn,
    durableLsn: tail.lastLsn,
    cleanClose: true,
    lastFrameIsSeal: true,
    report,
  }
}
