import { constants } from 'node:fs'
import type { RecordableHistogram } from 'node:perf_hooks'
import { allocateAligned } from '../storage/aligned-buffer.ts'
import type { FileSystem } from '../storage/file-system.ts'
import { openFlags, syncWith } from '../storage/sync-method.ts'
import { writeZeros } from '../storage/whole-io.ts'
import type { BareSpec } from './bench-control.ts'
import { microsSince } from './latency.ts'

/**
 * What a disk gives to one thread that writes and syncs, one write after the other, and does nothing else: the
 * measure for a group commit. The file is filled beforehand, as segments are.
 */
export class BareLoop {
  private readonly fs: FileSystem
  private readonly spec: BareSpec
  private readonly fd: number
  private readonly bytes: Uint8Array
  private offset: number
  writes: number
  elapsedMs: number

  constructor(fs: FileSystem, spec: BareSpec) {
    this.fs = fs
    this.spec = spec
    fillFile(fs, spec)
    this.fd = fs.open(spec.path, openFlags(spec.method), 0o600)
    this.bytes = allocateAligned(spec.writeBytes).bytes.fill(0x2e)
    this.offset = 0
    this.writes = 0
    this.elapsedMs = 0
  }

  /** Writes and syncs for that long, or until it is stopped. */
  run(durationMs: number, latency: RecordableHistogram, isStopped: () => boolean): void {
    const { fs, fd, bytes, spec } = this
    const beganMs = performance.now()
    let startMs = beganMs
    while (startMs - beganMs < durationMs && !isStopped()) {
      const written = fs.write(fd, bytes, 0, bytes.length, this.offset)
      if (written !== bytes.length) throw new Error(`the disk took ${written} of ${bytes.length} bytes`)
      syncWith(fs, spec.method, fd)
      latency.record(microsSince(startMs))
      this.offset += bytes.length
      if (this.offset + bytes.length > spec.fileBytes) this.offset = 0
      this.writes++
      startMs = performance.now()
    }
    this.elapsedMs += startMs - beganMs
  }

  close(): void {
    this.fs.close(this.fd)
  }
}

function fillFile(fs: FileSystem, spec: BareSpec): void {
  const fd = fs.open(spec.path, constants.O_RDWR | constants.O_CREAT, 0o600)
  try {
    writeZeros(fs, fd, 0, spec.fileBytes)
    fs.fullSync(fd)
  } finally {
    fs.close(fd)
  }
}
