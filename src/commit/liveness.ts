import { closeSync, openSync, readFileSync, readlinkSync, readSync } from 'node:fs'
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
 * Reads /proc/self/task, 1 to 4 microseconds a look. A worker that was terminated runs no JavaScript any more, yet
 * its thread may linger over a second (a thread-pool job is pending): it shows itself as polling. Where there is
 * no /proc, every thread counts as running until the opener reports its exit.
 */
export class ProcLiveness implements Liveness {
  private readonly pollingCalls: readonly string[]
  private readonly buffer: Uint8Array

  constructor() {
    this.pollingCalls = POLLING_CALLS[process.arch] ?? []
    this.buffer = new Uint8Array(64)
  }

  identity(): ThreadIdentity {
    try {
      const thread = Number(readlinkSync('/proc/thread-self').split('/')[2])
      if (thread > 0) return { thread, startTicks: startTicksOf(thread), workerId: threadId }
    } catch {
      // no /proc: fall through
    }
    return { thread: -threadId - 1, startTicks: 0, workerId: threadId }
  }

  threadState(thread: number, startTicks: number): number {
    if (thread < 0) return THREAD_RUNNING
    try {
      // The number of a thread that ended may belong to a new one.
      if (startTicks !== 0 && startTicksOf(thread) !== startTicks) return THREAD_GONE
      const call = this.firstWord(`/proc/self/task/${thread}/syscall`)
      return this.pollingCalls.includes(call) ? THREAD_POLLING : THREAD_RUNNING
    } catch (error) {
      const code = (error as { code?: string }).code
      return code === 'ENOENT' || code === 'ESRCH' ? THREAD_GONE : THREAD_RUNNING
    }
  }

  private firstWord(path: string): string {
    const fd = openSync(path, 'r')
    try {
      const bytes = readSync(fd, this.buffer, 0, this.buffer.length, 0)
      const text = String.fromCharCode(...this.buffer.subarray(0, bytes))
      return text.slice(0, text.search(/[\s]|$/))
    } finally {
      closeSync(fd)
    }
  }
}

/** Field 22 of /proc/self/task/N/stat. The command name before it may hold anything, so count from the last parenthesis. */
function startTicksOf(thread: number): number {
  const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'latin1')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) | 0
}
