import { GroupWalError } from '../errors.ts'
import { nextSegmentSequence } from '../storage/directory.ts'
import type { FileSystem } from '../storage/file-system.ts'
import { type LsnRange, SegmentBuilder, type SegmentCut, type SegmentSpec } from '../storage/segment-file.ts'
import { fileOf, type LogFiles, type SegmentOpener } from './log-files.ts'
import type { RecoverOptions, RecoveryReport, RecoveryResult } from './outcome.ts'
import { copyFrames } from './salvage.ts'
import type { Tail, TailFrame } from './tail.ts'

const DEFAULT_INITIAL_ZERO_BYTES = 1024 * 1024
/** Room for an idle seal, and one that closes the log. */
const SPARE_BLOCKS = 2

/**
 * Goes on in a new segment, durable on return. Its header cuts the log behind the last frame that is proven to be on
 * the disk, and it begins with copies of the valid frames behind the cut. After an end out of order it also records
 * the LSNs that may have been handed out.
 */
export function startNewSegment(
  fs: FileSystem,
  directory: string,
  files: LogFiles,
  tail: Tail,
  opener: SegmentOpener,
  report: RecoveryReport,
  options: RecoverOptions,
): { result: RecoveryResult; cut: SegmentCut } {
  const salvaged = framesToSalvage(tail)
  const nextLsn = nextLsnAfter(files, tail, salvaged)
  const { cut, gapFirst } = chooseCut(tail, salvaged)
  const spec: SegmentSpec = {
    sequence: nextSegmentSequence(files.listing),
    logId: tail.header.logId,
    blockBytes: tail.header.blockBytes,
    segmentBytes: segmentBytesFor(tail, salvaged, options),
    maxOutstandingRecords: options.maxOutstandingRecords,
    nextLsn,
    nextFrameSequence: (salvaged.at(-1)?.header.frameSequence ?? cut.frameSequence) + 1,
    cut,
    gap: rangeOrNone(gapFirst, nextLsn - 1),
  }
  const source = fileOf(files, tail.header)
  const builder = SegmentBuilder.begin(fs, directory, spec, options)
  try {
    if (!builder.isSpare) builder.fill(initialZeroBytes(options))
    const start = { offset: 0, checksum: cut.checksum, frameSequence: cut.frameSequence }
    const to = { builder, segmentSequence: spec.sequence }
    const last = copyFrames(fs, opener, source, salvaged, to, start)
    const writeOffset = builder.provenOffset
    const segment = builder.publish()
    report.gap = rangeOrNone(tail.nextLsn, nextLsn - 1)
    for (const { header } of salvaged) report.salvagedRecords += header.recordCount
    const result: RecoveryResult = {
      logId: spec.logId,
      blockBytes: spec.blockBytes,
      segment,
      writeOffset,
      nextFrameSequence: spec.nextFrameSequence,
      previousOffset: last.offset,
      previousChecksum: last.checksum,
      nextLsn,
      durableLsn: tail.lastLsn,
      cleanClose: tail.closeSeal !== undefined,
      lastFrameIsSeal: false,
      report,
    }
    return { result, cut }
  } catch (error) {
    builder.abandon()
    throw error
  }
}

/** How far a new segment is filled before it is used. */
export function initialZeroBytes(options: { initialZeroBytes?: number | undefined }): number {
  return options.initialZeroBytes ?? DEFAULT_INITIAL_ZERO_BYTES
}

/** The copies must fit, and some seals behind them, also if the log has smaller segments from now on. */
function segmentBytesFor({ header }: Tail, salvaged: readonly TailFrame[], options: RecoverOptions): number {
  const { blockBytes } = header
  const copiedBytes = salvaged.reduce((sum, frame) => sum + frame.endOffset - frame.header.offset, 0)
  return Math.max(options.segmentBytes, blockBytes + copiedBytes + SPARE_BLOCKS * blockBytes)
}

/** The unproven frames up to the last one with records; seals behind it are of no use any more. */
function framesToSalvage({ unproven }: Tail): TailFrame[] {
  const end = unproven.findLastIndex(({ header }) => header.lsnCount > 0)
  return unproven.slice(0, end + 1)
}

/** After an orderly end nothing was handed out behind it; else everything that could have been is left out. */
function nextLsnAfter(files: LogFiles, tail: Tail, salvaged: readonly TailFrame[]): number {
  let promised = tail.nextLsn
  let maxOutstandingRecords = 0
  for (const { header } of files.live) {
    if (header.segmentSequence < tail.header.segmentSequence) continue
    promised = Math.max(promised, header.nextLsn)
    maxOutstandingRecords = Math.max(maxOutstandingRecords, header.maxOutstandingRecords)
  }
  const isOrderly = tail.closeSeal !== undefined && salvaged.length === 0
  const nextLsn = isOrderly ? promised : promised + maxOutstandingRecords
  if (Number.isSafeInteger(nextLsn)) return nextLsn
  throw new GroupWalError('GROUPWAL_LSN_EXHAUSTED', `no LSN is left behind ${promised - 1}`)
}

/**
 * Where the log is cut, and where the gap of the new segment begins. A segment that itself has a cut, but no proven
 * frame, is replaced: the new one takes over its cut and its gap, so that a loop of crashes leaves nothing behind.
 * Not so when frames behind that gap are copied: a gap can only stand behind copied frames, not before them.
 */
function chooseCut(tail: Tail, salvaged: readonly TailFrame[]): { cut: SegmentCut; gapFirst: number } {
  const { header, kept } = tail
  const isReplaced =
    !tail.hasKeptFrames && header.cutSegment > 0 && (salvaged.length === 0 || header.gapFirst === 0)
  const place = isReplaced
    ? { segment: header.cutSegment, offset: header.cutOffset }
    : { segment: kept.segment, offset: kept.endOffset }
  const { lastLsn, frameSequence, checksum } = kept
  return {
    cut: { ...place, lastLsn, frameSequence, checksum },
    gapFirst: isReplaced && header.gapFirst > 0 ? header.gapFirst : tail.nextLsn,
  }
}

function rangeOrNone(first: number, last: number): LsnRange | undefined {
  return first <= last ? { first, last } : undefined
}
