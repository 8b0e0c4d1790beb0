import { fileOf, frameAt, type LogFiles, type SegmentOpener } from '../recovery/log-files.ts'
import type { FileSystem } from '../storage/file-system.ts'

/**
 * The newest live segment that begins at or below `fromLsn`, by its first frame: all before it can be passed over.
 * A segment whose first frame cannot be read is no place to start; a walk from an earlier one judges it.
 *
 * @returns an index into `files.live`, 0 when none begins so early
 */
export function findStart(fs: FileSystem, files: LogFiles, opener: SegmentOpener, fromLsn: number): number {
  for (let index = files.live.length - 1; index > 0; index--) {
    const segment = files.live[index]
    const { path } = fileOf(files, segment.header)
    const first = frameAt(fs, opener, path, segment, segment.header.blockBytes)
    if (first !== undefined && first.firstLsn <= fromLsn) return index
  }
  return 0
}
