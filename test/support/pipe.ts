import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { constants, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** Threads wait in a read of it: in a system call, which nothing cuts short. */
export class Pipe {
  /** Of the process: good in every thread. */
  readonly fd: number

  constructor(directory: string) {
    const path = join(directory, `pipe-${process.pid}-${randomUUID()}`)
    const { status, error } = spawnSync('mkfifo', [path])
    if (status !== 0) throw error ?? new Error(`mkfifo ended with ${status}`)
    // Both ends at once: so that the open does not wait for the other one.
    this.fd = openSync(path, constants.O_RDWR)
    rmSync(path)
  }

  /** Does a thread, one of the pool included, wait in a read of it? */
  get hasReader(): boolean {
    return readdirSync('/proc/self/task').some((thread) => {
      try {
        const [, fd] = readFileSync(`/proc/self/task/${thread}/syscall`, 'latin1').split(' ')
        return fd === `0x${this.fd.toString(16)}`
      } catch {
        // It has ended meanwhile.
        return false
      }
    })
  }

  /** Lets one read return, that of whoever waits, or waits next. */
  release(): void {
    writeSync(this.fd, 'x')
  }
}
