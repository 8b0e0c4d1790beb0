import type { SyncMethod } from '../../src/storage/sync-method.ts'
import type { Task } from './protocol-entry.ts'
import type { Limits } from './scheduling.ts'

/** What a thread of a configuration does. */
export interface ThreadPlan {
  tasks: Task[]
  /** Serves others and never ends by itself. */
  isDaemon?: boolean
  /** May be killed, when the configuration allows deaths. */
  isMortal?: boolean
  /**
   * In place of dying it goes on with its next task: its call is cut off (as by a `vm` timeout), or has an error thrown
   * into it (as by a stack that it has used up).
   */
  survives?: 'cut off' | 'thrown'
  /** It has an event loop: what it commits and flushes are promises. */
  isAsync?: boolean
  /** It leads for its own promises, whenever it is alone with them; else the committer does. */
  leadsItself?: boolean
}

/** One small log, its threads, and what may go wrong. */
export interface Configuration {
  name: string
  threads: ThreadPlan[]
  ringGranules: number
  slots: number
  /** With so many records waiting, the committer leads. */
  committerRecords: number
  method: SyncMethod
  firstLsn: number
  ringPosition: number
  /** Frames per segment. */
  segmentFrames: number
  /** Payload bytes of a record: 8 take one granule, 40 take two. */
  payloadBytes: number
  limits: Limits
  /** A seal is written when the log is idle. */
  seals: boolean
  /** For so many frames there are zeros in the first segment; undefined: in all of it. */
  zeroedFrames?: number
}
