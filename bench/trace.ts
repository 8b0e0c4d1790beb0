/** What a trace shows of one commit. */
export interface Interval {
  /** Syncs that returned between the call and its acknowledgement. */
  before: number
  /** Syncs that returned between the acknowledgement and the next call. */
  after: number
}

/**
 * Reads the output of `strace -f`: the syncs around each pair of marks `ask-N`, `ack-N`. A sync is fsync, fdatasync,
 * msync with MS_SYNC, or a write to a file that was opened with O_SYNC or O_DSYNC; it counts when it has returned.
 */
export function readIntervals(trace: string): Interval[] {
  const intervals: Interval[] = []
  const syncedFds = new Set<number>()
  let current: Interval | undefined
  let place: 'before' | 'after' = 'after'
  for (const call of completedCalls(trace)) {
    const mark = /groupwal-bench-mark\/(ask|ack)-(-?\d+)"/.exec(call)
    if (mark !== null) {
      // Number -1 is the warm-up.
      if (mark[1] === 'ask' && Number(mark[2]) >= 0) {
        current = { before: 0, after: 0 }
        intervals.push(current)
      }
      place = mark[1] === 'ask' ? 'before' : 'after'
    } else if (isSync(call, syncedFds) && current !== undefined) {
      current[place]++
    }
  }
  return intervals
}

function isSync(call: string, syncedFds: Set<number>): boolean {
  const succeeded = /\)\s+= (\d+)/.exec(call)
  if (succeeded === null) return false
  const name = /^\w+/.exec(call)?.[0] ?? ''
  const fd = Number(/^\w+\((\d+)/.exec(call)?.[1] ?? Number.NaN)
  if (name === 'open' || name === 'openat') {
    const opened = Number(succeeded[1])
    if (/\bO_D?SYNC\b/.test(call)) syncedFds.add(opened)
    else syncedFds.delete(opened)
    return false
  }
  if (name === 'dup') {
    if (syncedFds.has(fd)) syncedFds.add(Number(succeeded[1]))
    return false
  }
  if (name === 'close') {
    syncedFds.delete(fd)
    return false
  }
  if (name === 'fsync' || name === 'fdatasync') return true
  if (name === 'msync') return call.includes('MS_SYNC')
  return /^(p?write(64|v|v2)?)$/.test(name) && syncedFds.has(fd)
}

/** Calls in the order in which they returned, those that strace shows in two lines joined. */
function* completedCalls(trace: string): Generator<string> {
  const unfinished = new Map<string, string>()
  for (const line of trace.split('\n')) {
    const [, thread, text] = /^(\d+)\s+(.*)$/.exec(line) ?? []
    if (thread === undefined || text === undefined) continue
    const begin = /^(.*) <unfinished \.\.\.>$/.exec(text)
    const end = /^<\.\.\. \w+ resumed>(.*)$/.exec(text)
    if (begin !== null) unfinished.set(thread, begin[1]!)
    else if (end !== null) yield `${unfinished.get(thread) ?? ''}${end[1]}`
    else yield text
  }
}
