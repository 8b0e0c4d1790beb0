import { constants } from 'node:fs'
import { join } from 'node:path'
import { CorruptLogError, GroupWalError } from '../errors.ts'
import { type LiveSegment, liveSegments } from '../format/live-segments.ts'
import {
  type DecodedSegmentHeader,
  decodeSegmentHeader,
  FORMAT_VERSION,
  MIN_BLOCK_BYTES,
  type SegmentHeader,
} from '../format/segment-header.ts'
import { segmentName } from '../format/segment-name.ts'
import { FILE_MODE, listSegments } from '../storage/directory.ts'
import type { FileSystem } from '../storage/file-system.ts'
import { readWhole } from '../storage/whole-io.ts'

/**
 * Reads the headers of the segments that belong to the log and applies their cuts. Void segments are not even
 * opened: whatever their header holds does not matter. Opens files buffered and closes them again.
 *
 * @returns ascending; empty when there is no segment
 * @throws CorruptLogError, or GROUPWAL_UNSUPPORTED_VERSION; an error of the file system passes through
 */
export function loadLiveSegments(fs: FileSystem, directory: string): LiveSegment[] {
  const { segments } = listSegments(fs, directory)
  const headers: SegmentHeader[] = []
  let cutSegment = 0
  for (const { number } of segments.reverse()) {
    if (cutSegment > 0 && number > cutSegment) continue
    const header = readSegmentHeader(fs, directory, number)
    // A crash while a spare was given its new life can leave one under a segment's name.
    if (header.segmentSequence !== number) continue
    if (headers.length > 0 && !sameLog(header, headers[0])) {
      throw damagedHeader(number, 'the segment belongs to another log')
    }
    headers.push(header)
    cutSegment = header.cutSegment
  }
  return liveSegments(headers)
}

/** Reads and checks the header of the segment with this number in its name. */
export function readSegmentHeader(fs: FileSystem, directory: string, segmentSequence: number): SegmentHeader {
  const decoded = readHeaderBlock(fs, join(directory, segmentName(segmentSequence)))
  if (decoded.ok) return decoded.header
  if (decoded.reason === 'version') {
    throw new GroupWalError(
      'GROUPWAL_UNSUPPORTED_VERSION',
      `${segmentName(segmentSequence)} in ${directory} has format version ${decoded.version}; this groupwal reads version ${FORMAT_VERSION}`,
    )
  }
  throw damagedHeader(segmentSequence, `its header is damaged (${decoded.reason})`)
}

function readHeaderBlock(fs: FileSystem, path: string): DecodedSegmentHeader {
  const fd = fs.open(path, constants.O_RDONLY, FILE_MODE)
  try {
    const block = new Uint8Array(MIN_BLOCK_BYTES)
    return decodeSegmentHeader(block.subarray(0, readWhole(fs, fd, block, block.length, 0)))
  } finally {
    fs.close(fd)
  }
}

function sameLog(header: SegmentHeader, other: SegmentHeader): boolean {
  return header.logId.every((byte, index) => byte === other.logId[index])
}

function damagedHeader(segmentSequence: number, detail: string): CorruptLogError {
  const segment = segmentName(segmentSequence)
  return new CorruptLogError(`${segment} is damaged at offset 0: ${detail}`, { segment, offset: 0 })
}
