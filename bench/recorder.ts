import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { LatencySummary } from './types.ts'

export const PHASE_STOP = 0
export const PHASE_WARM_UP = 1
export const PHASE_MEASURE = 2

/** What one thread sends after a run. */
export interface ThreadReport {
  commits: number
  elapsedMs: number
  latency: RecordableHistogram
  serviceLatency: RecordableHistogram | undefined
}

/** Counts and times one thread's commits while the measuring phase lasts. */
export class Recorder {
  readonly #control: Int32Array
  readonly #latency = newHistogram()
  readonly #serviceLatency: RecordableHistogram | undefined
  #phase = PHASE_WARM_UP
  #commits = 0
  #beganMs = 0
  #elapsedMs = 0

  constructor(control: Int32Array, withService = false) {
    this.#control = control
    this.#serviceLatency = withService ? newHistogram() : undefined
  }

  /** False when the run is over. */
  isRunning(): boolean {
    const phase = Atomics.load(this.#control, 0)
    if (phase !== this.#phase) this.#enter(phase)
    return phase !== PHASE_STOP
  }

  get isMeasuring(): boolean {
    return this.#phase === PHASE_MEASURE
  }

  /** The time at which this thread's measuring began. */
  get beganMs(): number {
    return this.#beganMs
  }

  /** Commits that became durable. */
  count(commits: number): void {
    if (this.#phase === PHASE_MEASURE) this.#commits += commits
  }

  time(startedMs: number, nowMs: number): void {
    if (this.#phase === PHASE_MEASURE) this.#latency.record(nanos(startedMs, nowMs))
  }

  timeService(startedMs: number, nowMs: number): void {
    if (this.#phase === PHASE_MEASURE) this.#serviceLatency?.record(nanos(startedMs, nowMs))
  }

  report(): ThreadReport {
    return {
      commits: this.#commits,
      elapsedMs: this.#elapsedMs,
      latency: this.#latency,
      serviceLatency: this.#serviceLatency,
    }
  }

  #enter(phase: number): void {
    if (phase === PHASE_MEASURE) this.#beganMs = performance.now()
    else if (this.#phase === PHASE_MEASURE) this.#elapsedMs = performance.now() - this.#beganMs
    this.#phase = phase
  }
}

/** The histogram of node:perf_hooks is HdrHistogram. It takes nanoseconds here: up to 100 s, three digits. */
export function newHistogram(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: 100e9, figures: 3 })
}

function nanos(startedMs: number, nowMs: number): number {
  return Math.max(1, Math.round((nowMs - startedMs) * 1e6))
}

const CDF_PERCENTILES: readonly number[] = [
  1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 92.5, 95, 97, 98, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 100,
]

/** In microseconds. All zero when nothing was timed. */
export function summarizeLatency(histograms: readonly RecordableHistogram[]): LatencySummary {
  const all = newHistogram()
  for (const histogram of histograms) if (histogram.count > 0) all.add(histogram)
  const at = (percentile: number): number => (all.count === 0 ? 0 : all.percentile(percentile) / 1000)
  return {
    p50: at(50),
    p99: at(99),
    p999: at(99.9),
    max: all.count === 0 ? 0 : all.max / 1000,
    cdf: CDF_PERCENTILES.map((percentile) => [percentile, round(at(percentile))]),
  }
}

function round(micros: number): number {
  return Math.round(micros * 10) / 10
}
