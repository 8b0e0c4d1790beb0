import * as fs from 'node:fs'
import { allocateAligned } from '../../src/storage/aligned-buffer.ts'
import { createNodeFileSystem } from '../../src/storage/node-file-system.ts'
import { isDirect, openFlags, syncWith } from '../../src/storage/sync-method.ts'
import type { SyncMethodName } from '../types.ts'

const MIB = 1024 * 1024
const FILL_BYTES = MIB

/** Makes a file whose blocks are all written: what a durable write costs without any allocation. */
export function preallocate(path: string, bytes: number): void {
  const fd = fs.openSync(path, 'w+')
  const zeros = new Uint8Array(FILL_BYTES)
  for (let at = 0; at < bytes; at += FILL_BYTES) fs.writeSync(fd, zeros, 0, FILL_BYTES, at)
  fs.fsyncSync(fd)
  fs.closeSync(fd)
}

/** How large such a file is, so that a write does not meet the same block again soon. */
export function preallocatedBytes(writeBytes: number, files: number): number {
  const share = Math.max(MIB, (32 * MIB) / files)
  return Math.ceil(Math.max(share, 8 * writeBytes) / FILL_BYTES) * FILL_BYTES
}

/** Writes blocks one behind the other into a preallocated file, from its begin again at its end. */
export class DurableWriter {
  readonly buffer: Uint8Array
  readonly #fd: number
  readonly #method: SyncMethodName
  readonly #fileBytes: number
  readonly #fs = createNodeFileSystem()
  #position = 0

  constructor(path: string, method: SyncMethodName, bufferBytes: number) {
    this.#fd = fs.openSync(path, openFlags(method))
    this.#method = method
    this.#fileBytes = fs.fstatSync(this.#fd).size
    this.buffer = isDirect(method) ? allocateAligned(bufferBytes).bytes : new Uint8Array(bufferBytes)
  }

  /** Writes the first `bytes` of the buffer, a multiple of 4096, and syncs. */
  write(bytes: number): void {
    if (this.#position + bytes > this.#fileBytes) this.#position = 0
    this.#writeAt(this.#position, bytes)
    this.#position += bytes
  }

  /** The same where several writers take turns in one file: all of them together have done `count` such writes. */
  writeInTurn(count: number, bytes: number): void {
    this.#writeAt((count % Math.floor(this.#fileBytes / bytes)) * bytes, bytes)
  }

  #writeAt(position: number, bytes: number): void {
    fs.writeSync(this.#fd, this.buffer, 0, bytes, position)
    syncWith(this.#fs, this.#method, this.#fd)
  }

  close(): void {
    fs.closeSync(this.#fd)
  }
}

export function roundUpToBlocks(bytes: number): number {
  return Math.ceil(bytes / 4096) * 4096
}
