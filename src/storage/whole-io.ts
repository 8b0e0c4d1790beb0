import type { FileSystem } from './file-system.ts'

/** Zeros are written in pieces of this size, so that no large buffer is needed. */
const ZERO_CHUNK_BYTES = 256 * 1024

/**
 * Writes all of it or throws. Node hides a short write that is followed by an error: it returns the short count, so
 * the rest is written again to learn why. Only for bytes that nobody was promised: a commit never retries.
 */
export function writeWhole(fs: FileSystem, fd: number, bytes: Uint8Array, position: number): void {
  let done = 0
  while (done < bytes.length) {
    const written = fs.write(fd, bytes, done, bytes.length - done, position + done)
    if (written === 0) throw Object.assign(new Error('write made no progress'), { code: 'EIO' })
    done += written
  }
}

/** Reads until `length` bytes are there or the file ends; returns how many. */
export function readWhole(
  fs: FileSystem,
  fd: number,
  bytes: Uint8Array,
  length: number,
  position: number,
): number {
  let done = 0
  while (done < length) {
    const count = fs.read(fd, bytes, done, length - done, position + done)
    if (count === 0) break
    done += count
  }
  return done
}

/**
 * Reads up to `bytes.length` bytes from the beginning of a file: as many as the first call returns, but no fewer than
 * `leastBytes` unless the file ends before.
 */
export function readBeginning(fs: FileSystem, fd: number, bytes: Uint8Array, leastBytes: number): Uint8Array {
  let done = fs.read(fd, bytes, 0, bytes.length, 0)
  // The size is asked for, since a direct read at an odd end of the file is refused.
  while (done < leastBytes && done < fs.fileSize(fd)) {
    const count = fs.read(fd, bytes, done, bytes.length - done, done)
    if (count === 0) break
    done += count
  }
  return bytes.subarray(0, done)
}

/**
 * Writes zeros over [from, to) and syncs them, so that a later write there allocates nothing. Call it in steps to
 * pace it: the sync of a large range holds up the commits beside it.
 */
export function extendZeros(fs: FileSystem, fd: number, from: number, to: number): void {
  if (to <= from) return
  writeZeros(fs, fd, from, to)
  fs.dataSync(fd)
}

/** Like `extendZeros`, without the sync. */
export function writeZeros(fs: FileSystem, fd: number, from: number, to: number): void {
  if (to <= from) return
  const zeros = new Uint8Array(Math.min(ZERO_CHUNK_BYTES, to - from))
  for (let at = from; at < to; at += zeros.length) {
    writeWhole(fs, fd, zeros.subarray(0, Math.min(zeros.length, to - at)), at)
  }
}
