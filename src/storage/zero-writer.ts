import { constants } from 'node:fs'
import { type AlignedBuffer, allocateAligned } from './aligned-buffer.ts'
import { FILE_MODE } from './directory.ts'
import type { FileSystem } from './file-system.ts'
import { isDirect, openFlags, type SyncMethod } from './sync-method.ts'
import { writeWhole } from './whole-io.ts'

/** Zeros written in one call: small enough not to hold up a commit beside it for long. */
const CALL_BYTES = 256 * 1024
/** The same where as much is asked for, which is when commits wait for it, or will. */
const LARGE_CALL_BYTES = 4 * 1024 * 1024

/**
 * Fills files with zeros ahead of need, durably. Where the log is written past the page cache, the zeros are, too:
 * six times as fast here as through it, and nothing is left there that commits would have to push out again. Not so where
 * no aligned memory can be had any more.
 */
export class ZeroWriter {
  private readonly fs: FileSystem
  private readonly method: SyncMethod
  private zeros: AlignedBuffer | undefined

  constructor(fs: FileSystem, method: SyncMethod) {
    this.fs = fs
    this.method = method
    this.zeros = undefined
  }

  /** Writes zeros over [from, to) of an existing file, both multiples of its block. Durable on return. */
  writeZeros(path: string, from: number, to: number): void {
    if (to <= from) return
    this.zeros ??= allocateAligned(LARGE_CALL_BYTES)
    const callBytes = to - from >= LARGE_CALL_BYTES ? LARGE_CALL_BYTES : CALL_BYTES
    const { bytes, isAligned } = this.zeros
    const goesDirect = isAligned && isDirect(this.method)
    const fd = this.fs.open(path, goesDirect ? openFlags('dsync') : constants.O_RDWR, FILE_MODE)
    try {
      for (let at = from; at < to; at += callBytes) {
        writeWhole(this.fs, fd, bytes.subarray(0, Math.min(callBytes, to - at)), at)
      }
      if (!goesDirect) this.fs.fullSync(fd)
    } finally {
      this.fs.close(fd)
    }
  }
}
