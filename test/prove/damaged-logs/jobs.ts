import type { BaseLog } from './base-logs.ts'
import { type Damage, flippedBits, staleSectors, swappedSectors, truncations } from './damage.ts'
import type { LogShape } from './log-shape.ts'

/** Damages that are gone through one by one. */
export type Sweep = 'bits' | 'all bits' | 'truncations' | 'swaps' | 'stale'

/** A part of the work: every `parts`-th damage of a sweep, or so many random ones. */
export type Job =
  | { kind: 'sweep'; sweep: Sweep; log: number; part: number; parts: number }
  | { kind: 'random'; seed: number; runs: number }

/** Damages of one job. */
const JOB_SIZE = 8000

export const SWEEP_TITLES: Record<Sweep, string> = {
  bits: 'every bit of headers, records and frames flipped',
  'all bits': 'every bit of the files flipped',
  truncations: 'every file cut short at every byte',
  swaps: 'every two sectors swapped',
  stale: 'sectors of an earlier life of the file: every one, two, and run',
}

export function damagesOf(sweep: Sweep, log: BaseLog, shape: LogShape): Generator<Damage> {
  if (sweep === 'bits') return flippedBits(log, shape)
  if (sweep === 'all bits') return flippedBits(log, undefined)
  if (sweep === 'truncations') return truncations(log)
  return sweep === 'swaps' ? swappedSectors(log) : staleSectors(log)
}

/** The sweeps of one size, as jobs of about one length. */
export function sweepJobs(logs: readonly BaseLog[], full: boolean): Job[] {
  const jobs: Extract<Job, { kind: 'sweep' }>[] = []
  for (const [log, base] of logs.entries()) {
    const bytes = Array.from(base.files.values()).reduce((sum, file) => sum + file.length, 0)
    // Most of a large one are zeros.
    const isAll = full ? base.isCutEverywhere : log === 0
    const sweeps: [Sweep, number][] = [
      isAll ? ['all bits', 8 * bytes] : ['bits', 8 * 2500],
      ['swaps', (bytes / 512) ** 2 / 8],
      ['stale', 2000],
    ]
    if (full || base.isCutEverywhere) sweeps.push(['truncations', bytes])
    for (const [sweep, count] of sweeps) {
      const parts = Math.ceil(count / JOB_SIZE)
      for (let part = 0; part < parts; part++) jobs.push({ kind: 'sweep', sweep, log, part, parts })
    }
  }
  // Some of everything early on.
  return jobs.sort((one, other) => one.part / one.parts - other.part / other.parts)
}

export function randomJob(seed: number): Job {
  return { kind: 'random', seed, runs: JOB_SIZE }
}
