import { closeSync, existsSync, openSync, readlinkSync, readSync } from 'node:fs'
import { threadId } from 'node:worker_threads'
import type { ThreadIdentity } from '../shared/clients.ts'

/** The thread may be running protocol code. */
export const THREAD_RUNNING = 0
/** The thread sits in its event loop: no protocol code, which never polls, is on its stack at this instant. */
export const THREAD_POLLING = 1
/** The thread has ended. */
export const THREAD_GONE = 2

/** How a thread learns whether another one of the process may still act. Injected, so that tests decide who is dead. */
export interface Liveness {
  identity(): ThreadIdentity
  threadState(thread: number, startTicks: number): number
}

/** System call numbers of epoll_wait, epoll_pwait and epoll_pwait2, by architecture. */
const POLLING_CALLS: Record<string, readonly string[]> = {
  x64: ['232', '281', '441'],
  arm64: ['22', '441'],
  riscv64: ['22', '441'],
  loong64: ['22', '441'],
}

/**
 * Reads /proc/self/task, some microseconds a look. A worker that was terminated runs no JavaScript any more, yet
 * its thread may linger over a second (a thread-pool job is pending): it shows itself as polling. Whatever cannot be
 * seen counts as running until the opener reports its exit: all threads where there is no /proc, and where a kernel or a
 * sandbox does not tell which call a thread is in, those that linger.
 */
export class ProcLiveness implements Liveness {
  private readonly proc: string
  private readonly pollingCalls: readonly string[]
  private readonly buffer: Buffer

  /** @param proc where the process file system is mounted */
  constructor(proc = '/proc') {
    this.proc = proc
    this.pollingCalls = POLLING_CALLS[process.arch] ?? []
    this.buffer = Buffer.alloc(1024)
  }

  identity(): ThreadIdentity {
    try {
      const thread = Number(readlinkSync(`${this.proc}/thread-self`).split('/')[2])
      if (thread > 0) return { thread, startTicks: this.startTicksOf(thread), workerId: threadId }
    } catch {
      // no /proc: fall through
    }
    return { thread: -threadId - 1, startTicks: 0, workerId: threadId }
  }

  threadState(thread: number, startTicks: number): number {
    if (thread < 0) return THREAD_RUNNING
    try {
      const ticks = this.startTicksOf(thread)
      // The number of a thread that ended may belong to a new one.
      if (startTicks !== 0 && ticks !== startTicks) return THREAD_GONE
    } catch (error) {
      const code = (error as { code?: string }).code
      const isMissing = code === 'ENOENT' || code === 'ESRCH'
      return isMissing && this.seesItself() ? THREAD_GONE : THREAD_RUNNING
    }
    try {
      const [call = ''] = this.read(`${this.proc}/self/task/${thread}/syscall`).split(/\s/, 1)
      return this.pollingCalls.includes(call) ? THREAD_POLLING : THREAD_RUNNING
    } catch {
      // Not every kernel has this file. Should the thread have ended since, the next look finds it gone.
      return THREAD_RUNNING
    }
  }

  /** Else nothing can be said of others: /proc was there when the threads joined, and is not any more. */
  private seesItself(): boolean {
    return existsSync(`${this.proc}/thread-self/stat`)
  }

  /** Field 22 of its stat file. The command name before it may hold anything, so count from the last parenthesis. */
  private startTicksOf(thread: number): number {
    const stat = this.read(`${this.proc}/self/task/${thread}/stat`)
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) | 0
  }

  private read(path: string): string {
    const fd = openSync(path, 'r')
    try {
      return this.buffer.toString('latin1', 0, readSync(fd, this.buffer, 0, this.buffer.length, 0))
    } finally {
      closeSync(fd)
    }
  }
}
