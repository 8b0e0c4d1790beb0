import { closeSync, fdatasyncSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../support/scratch.ts'
import type { ThinDisk } from './thin-disk.ts'

const BLOCK_BYTES = 4096
const BLOCK_COUNT = 16
const BLOCK = 3
const TEXT = 'acknowledged after a retry'

/**
 * What everybody did before 2018, and many still do: sync again when a sync fails. The control of this proof: as long as
 * a kernel says OK to the second sync although the data is gone, the log is tested against the real thing.
 */
export class NaiveRetry {
  readonly #path: string
  readonly #sync: (fd: number) => void
  /** The second sync was told OK, while the page cache still shows the data. */
  wasToldOk = false
  /** Of the first sync. */
  code = ''

  constructor(disk: ThinDisk, method: 'fdatasync' | 'fsync') {
    this.#path = join(disk.path, `naive-${method}`)
    this.#sync = method === 'fsync' ? fsyncSync : fdatasyncSync
    run('dd', 'if=/dev/zero', `of=${this.#path}`, `bs=${BLOCK_BYTES}`, `count=${BLOCK_COUNT}`, 'conv=fsync')
    disk.takeBlocksOf(this.#path)
  }

  /** While the disk is full. */
  write(): void {
    const fd = openSync(this.#path, 'r+')
    try {
      writeSync(fd, TEXT, BLOCK * BLOCK_BYTES)
      this.code = codeOf(() => this.#sync(fd))
      this.wasToldOk = this.code !== '' && codeOf(() => this.#sync(fd)) === '' && this.isThere()
    } finally {
      closeSync(fd)
    }
  }

  isThere(): boolean {
    const bytes = Buffer.alloc(TEXT.length)
    const fd = openSync(this.#path, 'r')
    try {
      readSync(fd, bytes, 0, bytes.length, BLOCK * BLOCK_BYTES)
    } finally {
      closeSync(fd)
    }
    return bytes.toString() === TEXT
  }
}

/** Of the error that a call ends with, '' when with none. */
function codeOf(call: () => void): string {
  try {
    call()
    return ''
  } catch (error) {
    return String((error as { code?: unknown }).code)
  }
}
