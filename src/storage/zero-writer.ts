import { constants } from 'node:fs'
import { allocateAligned } from './aligned-buffer.ts'
import { FILE_MODE } from './directory.ts'
import type { FileSystem } from './file-system.ts'
import { isDirect, openFlags, type SyncMethod } from './sync-method.ts'
import { writeWhole } from './whole-io.ts'

/** Zeros written in one call: small enough not to hold up a commit beside it for long. */
const CALL_BYTES = 256 * 1024

/**
 * Fills files with zeros ahead of need, durably. Where the log is written past the page cache, the zeros are, too:
 * six times as fast here as through it, and nothing is left there that commits would have to push out again.
 */
export class ZeroWriter {
  private readonly fs: FileSystem
  private readonly flags: number
  private readonly isDirect: boolean
  private zeros: Uint8Array | undefined

  constructor(fs: FileSystem, method: SyncMethod) {
    this.fs = fs
    this.isDirect = isDirect(method)
    this.flags = this.isDirect ? openFlags('dsync') : constants.O_RDWR
    this.zeros = undefined
  }

  /** Writes zeros over [from, to) of an existing file, both multiples of its block. Durable on return. */
  writeZeros(path: string, from: number, to: number): void {
    if (to <= from) return
    this.zeros ??= allocateAligned(CALL_BYTES).bytes
    const fd = this.fs.open(path, this.flags, FILE_MODE)
    try {
      for (let at = from; at < to; at += CALL_BYTES) {
        writeWhole(this.fs, fd, this.zeros.subarray(0, Math.min(CALL_BYTES, to - at)), at)
      }
      if (!this.isDirect) this.fs.fullSync(fd)
    } finally {
      this.fs.close(fd)
    }
  }
}
