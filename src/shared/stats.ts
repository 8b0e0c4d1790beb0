import type { WideWords } from './atomics.ts'
import { STATS } from './layout.ts'
import type { SharedMemory } from './memory.ts'

/** Counters of a log since it was opened, in shared memory; changed at most once per batch. */
export interface CounterValues {
  /** Records (noops included) in durable frames. */
  records: number
  /** Frames with records that became durable. */
  frames: number
  /** Bytes written to segments, headers and padding included. */
  bytes: number
  /** Durable writes: one write (and sync call, where the method needs one) each. */
  syncs: number
  /** Time spent in them, microseconds. */
  syncMicros: number
  /** Seals written. */
  seals: number
  /** Segments begun. */
  rotations: number
  /** Locks and slots taken over from threads that were gone. */
  takeovers: number
  /** Places of dead producers that were filled. */
  noops: number
  /** Times that a sleeper found, by its timed re-check, what nobody had woken it for: a death, a thread stalled for 20 ms, or a bug. */
  recheckRescues: number
  /** Times that a leader had to wait for the segment-keeper. */
  roomWaits: number
  /** Times that a producer found the ring full. */
  fullRings: number
  /** Failures that poisoned the log. */
  failures: number
  /** Calls of resume() that succeeded. */
  resumes: number
}

export type CounterName = keyof CounterValues

const COUNTERS: readonly CounterName[] = [
  'records',
  'frames',
  'bytes',
  'syncs',
  'syncMicros',
  'seals',
  'rotations',
  'takeovers',
  'noops',
  'recheckRescues',
  'roomWaits',
  'fullRings',
  'failures',
  'resumes',
]

/** Byte offsets of the counters. */
const OFFSETS = Object.fromEntries(COUNTERS.map((name, index) => [name, (STATS + index * 2) * 4])) as Record<
  CounterName,
  number
>

/** View on the counters. */
export class Counters {
  private readonly wide: WideWords

  constructor(memory: SharedMemory) {
    this.wide = memory.wide
  }

  count(name: CounterName, delta: number): void {
    this.wide.add(OFFSETS[name], delta)
  }

  read(name: CounterName): number {
    return this.wide.load(OFFSETS[name])
  }

  /** Each counter by itself is exact; together they are a moment's blur. */
  readAll(): CounterValues {
    const values: Partial<CounterValues> = {}
    for (let index = 0; index < COUNTERS.length; index++) {
      values[COUNTERS[index]] = this.read(COUNTERS[index])
    }
    return values as CounterValues
  }
}
