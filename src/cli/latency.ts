import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'

/** Latencies in microseconds. */
export interface Latency {
  p50Micros: number
  p99Micros: number
  maxMicros: number
}

/** Microseconds since `startMs`, at least the 1 that a histogram takes. */
export function microsSince(startMs: number): number {
  return Math.max(1, Math.round((performance.now() - startMs) * 1000))
}

export function latencyOf(histogram: RecordableHistogram): Latency {
  if (histogram.count === 0) return { p50Micros: 0, p99Micros: 0, maxMicros: 0 }
  return {
    p50Micros: histogram.percentile(50),
    p99Micros: histogram.percentile(99),
    maxMicros: histogram.max,
  }
}

/** One histogram of what several threads measured. */
export function mergeHistograms(histograms: Iterable<RecordableHistogram>): RecordableHistogram {
  const sum = createHistogram()
  // An empty one has a minimum that cannot be added.
  for (const histogram of histograms) if (histogram.count > 0) sum.add(histogram)
  return sum
}
