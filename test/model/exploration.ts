// What configurations have in common.

import type { Configuration, ThreadPlan } from './configuration.ts'

/** A configuration, and how it is explored. */
export interface Exploration extends Configuration {
  /** Preemptions: all schedules with so many. */
  bound: number
  /** Random schedules in place of all; `bound` is then the number of priority changes. */
  isRandom: boolean
  /** One of those whose schedules are to be seen in full, whenever there is time for anything. */
  isCore: boolean
}

const BASE: Omit<Exploration, 'name' | 'threads'> = {
  ringGranules: 8,
  slots: 1,
  committerRecords: 2,
  method: 'fdatasync',
  firstLsn: 1,
  ringPosition: 0,
  segmentFrames: 8,
  payloadBytes: 8,
  limits: { deaths: 0, faults: 0, timeOuts: 0 },
  seals: false,
  bound: 2,
  isRandom: false,
  isCore: false,
}

/** Near the wrap of the sequence's sign, and of the position: see docs/protocol.md, "Counters that wrap". */
export const NEAR_SIGN = { firstLsn: 2 ** 31 - 1, ringPosition: 2 ** 31 - 1 }
export const NEAR_WRAP = { firstLsn: 2 ** 32 - 1, ringPosition: -1 }
export const FAR = { firstLsn: 2 ** 40 + 2 ** 32 - 2, ringPosition: -3 }

export const NO_FAILURE = { deaths: 0, faults: 0, timeOuts: 0 }

export function make(name: string, threads: ThreadPlan[], changes: Partial<Exploration> = {}): Exploration {
  return { ...BASE, name, threads, ...changes }
}
