import { constants } from 'node:fs'
import { errorCode, FILE_MODE } from '../storage/directory.ts'
import type { FileSystem } from '../storage/file-system.ts'
import { retireSegment } from '../storage/recycle.ts'
import type { SegmentCut } from '../storage/segment-file.ts'
import type { LogFiles, SegmentFile } from './log-files.ts'
import type { Tail } from './tail.ts'

/** Removes unfinished segments and probe files; returns how many. */
export function removeStrays(fs: FileSystem, { listing }: LogFiles): number {
  let removed = 0
  for (const path of listing.strays) {
    try {
      fs.unlink(path)
      removed++
    } catch (error) {
      // Somebody else tidied up, which is as well.
      if (errorCode(error) !== 'ENOENT') throw error
    }
  }
  return removed
}

/**
 * Retires the segments that do not count: void and misnamed ones, and those made ahead of need that have no frame.
 * They become spares where there is room for spares. Returns how many.
 */
export function retireUnused(
  fs: FileSystem,
  directory: string,
  files: LogFiles,
  tail: Tail,
  keepSpares: number,
): number {
  // The newest first, and none behind one that stays: so none is ever missing between two that are left.
  const ahead = files.segments.filter(({ number }) => number > tail.header.segmentSequence).reverse()
  // The header of one made ahead may be the only one that knows of LSNs so high: then it stays for now.
  const kept = ahead.findIndex(({ header }) => header.nextLsn > tail.nextLsn)
  const unused = [...files.uncounted, ...(kept === -1 ? ahead : ahead.slice(0, kept))]
  for (const segment of unused) retireSegment(fs, directory, segment, keepSpares, 0)
  return unused.length
}

/**
 * After a new segment with this cut is durable: truncates what is cut and retires what it made void. Returns how
 * many. A crash before the end leaves work for the next open, no more.
 */
export function retireVoid(
  fs: FileSystem,
  directory: string,
  files: LogFiles,
  cut: SegmentCut,
  keepSpares: number,
): number {
  const left = new Set(fs.list(directory))
  const present = files.segments.filter(({ name }) => left.has(name))
  const isVoid = ({ number }: SegmentFile): boolean => number > cut.segment
  for (const segment of present.filter(isVoid).reverse()) retireSegment(fs, directory, segment, keepSpares, 0)
  truncateCut(fs, present, cut.segment, cut.offset)
  return present.filter(isVoid).length
}

/** Finishes what an earlier open may have left: live segments that are longer than their cut. */
export function truncateCuts(fs: FileSystem, files: LogFiles): void {
  for (const { header, endOffset } of files.live) {
    if (endOffset !== Number.POSITIVE_INFINITY) {
      truncateCut(fs, files.segments, header.segmentSequence, endOffset)
    }
  }
}

function truncateCut(
  fs: FileSystem,
  segments: readonly SegmentFile[],
  sequence: number,
  endOffset: number,
): void {
  const segment = segments.find(({ number }) => number === sequence)
  if (segment === undefined || segment.fileBytes <= endOffset) return
  const fd = fs.open(segment.path, constants.O_RDWR, FILE_MODE)
  try {
    fs.truncate(fd, endOffset)
  } finally {
    fs.close(fd)
  }
}
