// What the threads of a configuration do.

import type { ThreadPlan } from './configuration.ts'
import type { Task } from './protocol-entry.ts'

export function committing(commits: number): ThreadPlan {
  const tasks: Task[] = []
  for (let record = 0; record < commits; record++) tasks.push({ kind: 'commit', record })
  return { tasks, isMortal: true }
}

export function repeat(count: number, commits: number): ThreadPlan[] {
  return Array.from({ length: count }, () => committing(commits))
}

export function batching(): ThreadPlan {
  return { tasks: [{ kind: 'batch', record: 0, count: 2 }], isMortal: true }
}

/** append, append, flush: nobody but a committer leads until the flush. */
export function appending(flushes: boolean): ThreadPlan {
  const tasks: Task[] = [
    { kind: 'append', record: 0 },
    { kind: 'append', record: 1 },
  ]
  if (flushes) tasks.push({ kind: 'flush' })
  return { tasks, isMortal: true }
}

export function committer(): ThreadPlan {
  return { tasks: [{ kind: 'serve' }], isDaemon: true, isMortal: true }
}

/** A thread that does not block: each of these commits is a promise, all made in one turn, or each in a turn of its own. */
export function promising(commits: number, isTurnEach = false): ThreadPlan {
  const tasks: Task[] = []
  for (let record = 0; record < commits; record++) {
    if (isTurnEach && record > 0) tasks.push({ kind: 'turn' })
    tasks.push({ kind: 'commit', record })
  }
  return { tasks, isMortal: true, isAsync: true }
}

/** The same, and it leads itself when nobody else hands out LSNs. */
export function leadingItself(plan: ThreadPlan): ThreadPlan {
  return { ...plan, leadsItself: true }
}

export function keeper(): ThreadPlan {
  return { tasks: [{ kind: 'keep' }], isDaemon: true, isMortal: true, isAsync: true }
}

/** Commit, batch, append and flush, by promises. */
export function mixing(): ThreadPlan {
  return {
    tasks: [...BATCH_BY_PROMISE, { kind: 'append', record: 3 }, { kind: 'flush' }],
    isMortal: true,
    isAsync: true,
  }
}

/** Its stack overflows, once: of what waits and leads the stack is probed before, so not in an append to a full ring. */
export function overflowing(): ThreadPlan {
  return {
    tasks: [...BATCH_BY_PROMISE, { kind: 'flush' }],
    isMortal: true,
    isAsync: true,
    survives: 'thrown',
  }
}

const BATCH_BY_PROMISE: readonly Task[] = [
  { kind: 'commit', record: 0 },
  { kind: 'batch', record: 1, count: 2 },
  { kind: 'turn' },
]

/** Resumes the log whenever it has failed, so often. */
export function resuming(times = 1): ThreadPlan {
  return { tasks: Array.from({ length: times }, () => ({ kind: 'resume' as const })), isDaemon: true }
}

export function closing(): ThreadPlan {
  return { tasks: [{ kind: 'close' }] }
}

/** close({ timeoutMs }) whose time is over at once. */
export function givingUp(): ThreadPlan {
  return { tasks: [{ kind: 'close', givesUp: true }] }
}

export function cutOff(plan: ThreadPlan, survives: 'cut off' | 'thrown' = 'cut off'): ThreadPlan {
  return { ...plan, survives }
}
