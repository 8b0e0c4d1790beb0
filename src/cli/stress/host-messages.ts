import type { OpenOptions } from '../../host/options.ts'
import type { CounterName } from '../../shared/stats.ts'
import type { PlanSpec } from './plan.ts'

/** Counters of the log that the stress shows. */
export const LOG_COUNTERS = [
  'frames',
  'syncs',
  'rotations',
  'takeovers',
  'noops',
  'recheckRescues',
  'fullRings',
  'failures',
  'resumes',
] as const satisfies readonly CounterName[]

/** Counters of the harness itself. */
export const OWN_COUNTERS = ['acknowledged', 'deaths', 'faults', 'reads', 'droppedSegments'] as const

/** Counters of one host, or of all. */
export type HostCounts = Record<(typeof LOG_COUNTERS)[number] | (typeof OWN_COUNTERS)[number], number>

/** What a host is told when it begins. */
export interface HostSpec {
  /** Holds the log, the ledgers and what else the host needs. */
  home: string
  plan: PlanSpec
  options: OpenOptions
  /** Number of the first producer's first incarnation; the others follow. */
  firstIncarnation: number
  /** Decides when what goes wrong. */
  seed: number
  faults: boolean
  deaths: boolean
}

/** To the host. */
export type HostRequest =
  | { kind: 'pause'; isPaused: boolean }
  | { kind: 'truncate'; beforeLsn: number }
  | { kind: 'stop' }

/** From the host, several times per second and once more at its end. */
export interface HostStatus {
  kind: 'status'
  durableLsn: number
  counts: HostCounts
  latencies: number[]
  rssBytes: number
  syncMethod: string
  /** The log is closed: this is the last one. */
  isClosed: boolean
}

/** From the host instead of all else: the log cannot be opened as the command line has it, which breaks no promise. */
export interface HostRefusal {
  kind: 'refusal'
  /** Flat. */
  error: unknown
}

export type HostMessage = HostStatus | HostRefusal | { kind: 'violation'; what: string }
