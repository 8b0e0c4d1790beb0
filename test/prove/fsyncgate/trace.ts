import { join } from 'node:path'
import type { OpenOptions } from '../../../src/index.ts'

/** In words: a clock, the number of calls, then the calls. */
const LAYOUT = { clock: 0, count: 1, firstCall: 2, callWords: 6 }
const MOST_CALLS = 1 << 16

interface Call {
  isSync: boolean
  segment: number
  block: number
  beganAt: number
  endedAt: number
  /** 0, an errno, or -1 for a short write. */
  outcome: number
}

/** What the trace says of the files on which a call failed. */
export interface TraceSummary {
  failedCalls: number
  /** Writes and syncs of such a file that began after a call on it had failed. */
  writesAfter: number
  syncsAfter: number
  /** Blocks of the log at which more than one write began: a frame was written again. */
  repeatedWrites: number
}

/** Every write and sync of a segment by any thread of a log. */
export class Trace {
  /** For `openLog`. */
  readonly fileSystem: NonNullable<OpenOptions['fileSystem']>
  readonly #words: Int32Array

  constructor() {
    this.#words = new Int32Array(
      new SharedArrayBuffer(4 * (LAYOUT.firstCall + MOST_CALLS * LAYOUT.callWords)),
    )
    this.fileSystem = {
      // Not part of any bundle: threads load it from the source tree.
      module: join(process.cwd(), 'test', 'prove', 'fsyncgate', 'tracing-file-system.cjs'),
      data: { words: this.#words, layout: LAYOUT },
    }
  }

  summary(): TraceSummary {
    const calls = this.#calls()
    const failedAt = new Map<number, number>()
    for (const { segment, endedAt, outcome } of calls) {
      if (outcome !== 0) failedAt.set(segment, Math.min(endedAt, failedAt.get(segment) ?? endedAt))
    }
    const after = calls.filter(
      ({ segment, beganAt }) => beganAt > (failedAt.get(segment) ?? Number.POSITIVE_INFINITY),
    )
    const writes = calls.filter(({ isSync }) => !isSync)
    return {
      failedCalls: calls.filter(({ outcome }) => outcome !== 0).length,
      writesAfter: after.filter(({ isSync }) => !isSync).length,
      syncsAfter: after.filter(({ isSync }) => isSync).length,
      repeatedWrites: writes.length - new Set(writes.map(({ segment, block }) => `${segment}:${block}`)).size,
    }
  }

  #calls(): Call[] {
    const words = this.#words
    return Array.from({ length: Atomics.load(words, LAYOUT.count) }, (_, index) => {
      const at = LAYOUT.firstCall + index * LAYOUT.callWords
      const [isSync, segment, block, beganAt, endedAt, outcome] = words.subarray(at, at + LAYOUT.callWords)
      return { isSync: isSync === 1, segment, block, beganAt, endedAt, outcome }
    })
  }
}
