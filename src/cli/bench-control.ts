import { add, load, notify, store, type Words, wait, waitAsync } from '../shared/atomics.ts'
import type { SyncMethod } from '../storage/sync-method.ts'

export const BENCH_MODES = ['sync', 'promise', 'window'] as const

/** How the producers commit: commitSync one by one; commit with so many pending; append and flush with a window. */
export type BenchMode = (typeof BENCH_MODES)[number]

/** What one worker is to do. */
export interface BenchTask {
  words: Words
  /** 0 is the one that also runs the bare loop. */
  index: number
  mode: BenchMode
  /** Commits that each producer has pending (promise), or appended and not yet durable (window). */
  pending: number
  payloadBytes: number
  bare: BareSpec | undefined
}

/** The bare loop: write a block, make it durable, again. */
export interface BareSpec {
  path: string
  method: SyncMethod
  /** Bytes per write: what the frame of one record takes. */
  writeBytes: number
  fileBytes: number
  /** How long each of the two halves lasts: one before the commits, one after them. */
  halfMs: number
}

// The phases that the main thread leads the workers through.
export const PHASE_CONNECT = 0
export const PHASE_BARE_BEFORE = 1
export const PHASE_WARM_UP = 2
export const PHASE_MEASURE = 3
export const PHASE_DRAIN = 4
export const PHASE_BARE_AFTER = 5
/** Whatever is under way ends, and nothing else begins. */
export const PHASE_STOP = 6

/*
 * word    | name     | changed by   | waited on by | invariant
 *   0     | PHASE    | main thread  | workers      | never falls
 *   1     | ARRIVALS | workers      | main thread  | counts steps that workers have finished, all phases together
 *  16 i.. | COUNT    | worker i - 1 | -            | commits acknowledged, modulo 2^32
 */
const PHASE = 0
const ARRIVALS = 1
const LINE_WORDS = 16

/** What main thread and workers of a benchmark share. */
export class BenchControl {
  readonly words: Words

  constructor(words: Words) {
    this.words = words
  }

  static create(producers: number): BenchControl {
    return new BenchControl(new Int32Array(new SharedArrayBuffer((producers + 1) * LINE_WORDS * 4)))
  }

  phase(): number {
    return load(this.words, PHASE)
  }

  /** Nothing leads back: after PHASE_STOP this does nothing. */
  enterPhase(phase: number): void {
    if (phase <= this.phase()) return
    store(this.words, PHASE, phase)
    notify(this.words, PHASE, Number.POSITIVE_INFINITY)
  }

  /** Blocks until the main thread has reached this phase. */
  waitForPhase(phase: number): void {
    for (let now = this.phase(); now < phase; now = this.phase()) {
      wait(this.words, PHASE, now, Number.POSITIVE_INFINITY)
    }
  }

  /** A worker has finished a step. */
  arrive(): void {
    add(this.words, ARRIVALS, 1)
    notify(this.words, ARRIVALS, 1)
  }

  /** Resolves when so many steps are finished. */
  async whenArrived(count: number): Promise<void> {
    for (let now = load(this.words, ARRIVALS); now < count; now = load(this.words, ARRIVALS)) {
      await waitAsync(this.words, ARRIVALS, now)
    }
  }

  storeCount(index: number, count: number): void {
    store(this.words, (index + 1) * LINE_WORDS, count | 0)
  }

  /** Acknowledged commits of all workers, each modulo 2^32. */
  counts(): number[] {
    const counts: number[] = []
    for (let at = LINE_WORDS; at < this.words.length; at += LINE_WORDS) counts.push(load(this.words, at))
    return counts
  }
}
