/** The resident memory of one host, over its life. */
export interface MemorySample {
  ms: number
  bytes: number
}

export interface MemoryTrend {
  /** Means of the second and of the last quarter. */
  earlyBytes: number
  lateBytes: number
}

/** A shorter life says nothing: buffers grow to their size, and code is compiled. */
const LEAST_MS = 8000
/** What the garbage collector of many threads may keep for longer. */
const TOLERATED_BYTES = 96 * 1024 * 1024

/** Compares the second quarter of a life with the last; undefined when it was too short. */
export function memoryTrend(samples: readonly MemorySample[]): MemoryTrend | undefined {
  const first = samples[0]
  const last = samples.at(-1)
  if (first === undefined || last === undefined || last.ms - first.ms < LEAST_MS) return undefined
  const share = ({ ms }: MemorySample): number => (ms - first.ms) / (last.ms - first.ms)
  const meanOf = (from: number, to: number): number => {
    const chosen = samples.filter((sample) => share(sample) >= from && share(sample) <= to)
    return chosen.reduce((sum, { bytes }) => sum + bytes, 0) / chosen.length
  }
  return { earlyBytes: meanOf(0.25, 0.5), lateBytes: meanOf(0.75, 1) }
}

/** Whether memory grows with time. */
export function isGrowing({ earlyBytes, lateBytes }: MemoryTrend): boolean {
  return lateBytes - earlyBytes > TOLERATED_BYTES
}
