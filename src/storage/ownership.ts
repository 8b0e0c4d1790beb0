import { constants } from 'node:fs'
import { join } from 'node:path'
import { LOCK_FILE_NAME } from '../format/segment-name.ts'
import { closeQuietly, FILE_MODE } from './directory.ts'
import type { FileSystem } from './file-system.ts'

/**
 * Tells whether a log's directory still belongs to the opener that this thread's handle comes from. The lock ends with
 * the thread that took it, and other threads may go on without it. Whoever locks the directory next says so in the
 * lock file before it looks at the log: so what a thread has written when it still finds its own opener named there is
 * in what the next one recovers.
 */
export class Ownership {
  private readonly fs: FileSystem
  private readonly path: string
  private readonly expected: Buffer
  private readonly found: Uint8Array
  private fd: number

  /** @param lockText what the opener wrote into the lock file */
  constructor(fs: FileSystem, directory: string, lockText: string) {
    this.fs = fs
    this.path = join(directory, LOCK_FILE_NAME)
    this.expected = Buffer.from(lockText)
    // One more: the text of another may begin with this one.
    this.found = new Uint8Array(this.expected.length + 1)
    this.fd = -1
  }

  /** Opens the lock file unless it is open already. Throws what the file system throws: that says nothing of the owner. */
  open(): void {
    if (this.fd < 0) this.fd = this.fs.open(this.path, constants.O_RDONLY, FILE_MODE)
  }

  /** False also when the lock file cannot be read. */
  isOurs(): boolean {
    try {
      this.open()
      const length = this.fs.read(this.fd, this.found, 0, this.found.length, 0)
      return length === this.expected.length && this.expected.compare(this.found, 0, length) === 0
    } catch {
      return false
    }
  }

  close(): void {
    if (this.fd < 0) return
    const fd = this.fd
    this.fd = -1
    closeQuietly(this.fs, fd)
  }
}

/** In place of an errno, and larger than any. */
export const LOCK_LOST_ERRNO = 4096

/** What whoever finds the directory lost fails with. */
export function lockLost(): Error {
  return Object.assign(new Error('the directory was opened anew'), {
    code: 'LOCK_LOST',
    errno: -LOCK_LOST_ERRNO,
  })
}
