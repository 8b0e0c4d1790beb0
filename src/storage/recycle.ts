import { constants } from 'node:fs'
import { join } from 'node:path'
import { CorruptLogError } from '../errors.ts'
import { decodeFrameHeader, FRAME_HEADER_BYTES } from '../format/frame.ts'
import { decodeSegmentHeader, MAX_BLOCK_BYTES, type SegmentHeader } from '../format/segment-header.ts'
import { spareName } from '../format/segment-name.ts'
import { FILE_MODE, listSegments, type NumberedFile } from './directory.ts'
import type { FileSystem } from './file-system.ts'
import { readWhole } from './whole-io.ts'

/**
 * Takes a segment out of the log, durable on return: it becomes a spare when it is filled to `fullBytes` and fewer
 * than `keepSpares` are there, else it is removed. One at a time, so that a crash leaves no gap in the middle.
 */
export function retireSegment(
  fs: FileSystem,
  directory: string,
  segment: NumberedFile,
  keepSpares: number,
  fullBytes: number,
): void {
  const spareCount = listSegments(fs, directory).spares.length
  const isKept = spareCount < keepSpares && sizeOf(fs, segment.path) >= fullBytes
  if (isKept) fs.rename(segment.path, join(directory, spareName(segment.number)))
  else fs.unlink(segment.path)
  fs.syncDirectory(directory)
}

/**
 * Drops whole segments all of whose LSNs are below `lsn`, oldest first, never the segment `currentSequence` nor one
 * behind it. After a crash in between some of them are gone, and the log opens.
 *
 * @param keepSpares how many spares there may be afterwards
 * @returns how many segments were dropped
 */
export function dropSegmentsBefore(
  fs: FileSystem,
  directory: string,
  lsn: number,
  currentSequence: number,
  keepSpares: number,
): { dropped: number } {
  const { segments } = listSegments(fs, directory)
  const block = new Uint8Array(MAX_BLOCK_BYTES)
  let end = 0
  let fullBytes = 0
  for (let index = 1; index < segments.length && segments[index]!.number <= currentSequence; index++) {
    const { lastLsnBefore, segmentBytes } = inspectStart(fs, segments[index]!, block)
    // A void segment between a cut and the one that made it says nothing; the next one decides for both.
    if (lastLsnBefore !== undefined && lastLsnBefore < lsn) {
      end = index
      fullBytes = segmentBytes
    }
    if (lastLsnBefore !== undefined && lastLsnBefore >= lsn) break
  }
  for (const segment of segments.slice(0, end)) retireSegment(fs, directory, segment, keepSpares, fullBytes)
  return { dropped: end }
}

function sizeOf(fs: FileSystem, path: string): number {
  const fd = fs.open(path, constants.O_RDONLY, FILE_MODE)
  try {
    return fs.fileSize(fd)
  } finally {
    fs.close(fd)
  }
}

/** The last LSN that can stand before this segment; undefined when it has no frame that tells. */
function inspectStart(
  fs: FileSystem,
  segment: NumberedFile,
  block: Uint8Array,
): { lastLsnBefore: number | undefined; segmentBytes: number } {
  const fd = fs.open(segment.path, constants.O_RDONLY, FILE_MODE)
  try {
    const decoded = decodeSegmentHeader(block.subarray(0, readWhole(fs, fd, block, block.length, 0)))
    if (!decoded.ok || decoded.header.segmentSequence !== segment.number) {
      throw new CorruptLogError(`segment ${segment.name} has no valid header`, {
        segment: segment.name,
        offset: 0,
      })
    }
    const { header } = decoded
    if (header.cutSegment > 0) {
      return { lastLsnBefore: header.cutLastLsn, segmentBytes: header.segmentBytes }
    }
    const first = firstFrameLsn(fs, fd, block, header)
    return {
      lastLsnBefore: first === undefined ? undefined : first - 1,
      segmentBytes: header.segmentBytes,
    }
  } finally {
    fs.close(fd)
  }
}

function firstFrameLsn(
  fs: FileSystem,
  fd: number,
  block: Uint8Array,
  header: SegmentHeader,
): number | undefined {
  const { blockBytes } = header
  if (readWhole(fs, fd, block, blockBytes, blockBytes) < FRAME_HEADER_BYTES) return undefined
  const frame = decodeFrameHeader(new DataView(block.buffer, block.byteOffset, FRAME_HEADER_BYTES), block)
  const isHere =
    frame !== undefined &&
    frame.segmentSequence === header.segmentSequence &&
    frame.offset === blockBytes &&
    frame.saltLow === header.saltLow &&
    frame.saltHigh === header.saltHigh
  return isHere ? frame.firstLsn : undefined
}
