import { add, load, store, type Words, wait } from '../../shared/atomics.ts'
import type { Latency } from '../latency.ts'

export const RUN = 0
/** The check is behind: no further commits for now. */
export const PAUSE = 1
/** Finish what is under way, and end. */
export const STOP = 2

/*
 * word      | name      | changed by | invariant
 *   0       | STATE     | host       | RUN or PAUSE, STOP from the end on
 *  16 ..    | LATENCIES | producers  | sampled commits by their time, see bucketOf
 *  16 i ..  | COUNTS    | producer i | in a line of its own: operations ended, records acknowledged; modulo 2^32
 */
const STATE = 0
const LATENCIES = 16
/** Four for each doubling, from 1 us to beyond an hour. */
const BUCKETS = 128
const COUNTS = LATENCIES + BUCKETS
const LINE_WORDS = 16

/** What the host and its producers share in a stress. */
export class StressControl {
  readonly words: Words

  constructor(words: Words) {
    this.words = words
  }

  static create(producers: number): StressControl {
    return new StressControl(new Int32Array(new SharedArrayBuffer((COUNTS + producers * LINE_WORDS) * 4)))
  }

  state(): number {
    return load(this.words, STATE)
  }

  enterState(state: number): void {
    store(this.words, STATE, state)
  }

  countOperation(producer: number, acknowledged: number): void {
    add(this.words, COUNTS + producer * LINE_WORDS, 1)
    add(this.words, COUNTS + producer * LINE_WORDS + 1, acknowledged)
  }

  /** How many operations of this producer have ended, modulo 2^32. */
  operations(producer: number): number {
    return load(this.words, COUNTS + producer * LINE_WORDS) >>> 0
  }

  /** Records acknowledged to this producer, modulo 2^32. */
  acknowledged(producer: number): number {
    return load(this.words, COUNTS + producer * LINE_WORDS + 1) >>> 0
  }

  recordLatency(micros: number): void {
    add(this.words, LATENCIES + bucketOf(micros), 1)
  }

  latencies(): number[] {
    return Array.from({ length: BUCKETS }, (_, bucket) => load(this.words, LATENCIES + bucket))
  }

  /** Blocks this thread. */
  pause(ms: number): void {
    wait(this.words, STATE, this.state(), ms)
  }
}

function bucketOf(micros: number): number {
  return Math.min(BUCKETS - 1, Math.floor(Math.log2(Math.max(1, micros)) * 4))
}

/** Percentiles of sampled latencies, as exact as their buckets: within a fifth. */
export function latencyOfBuckets(buckets: readonly number[]): Latency {
  const total = buckets.reduce((sum, count) => sum + count, 0)
  const percentile = (share: number): number => {
    if (total === 0) return 0
    let bucket = 0
    for (let left = total * share - buckets[0]!; left > 0; left -= buckets[bucket]!) bucket++
    return 2 ** ((bucket + 1) / 4)
  }
  return { p50Micros: percentile(0.5), p99Micros: percentile(0.99), maxMicros: percentile(1) }
}
