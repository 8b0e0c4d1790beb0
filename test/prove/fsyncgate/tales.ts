import type { OpenOptions } from '../../../src/index.ts'
import type { TraceSummary } from './trace.ts'
import type { Acknowledged, ToldFailure } from './way.ts'

/** What a host is told on its command line. */
export interface HostTask {
  directory: string
  options: OpenOptions
  payloadBytes: number
}

export interface OpenedTale {
  openedLsn: number
}

/** Told when every waiter has got its error. */
export interface FailedTale {
  acknowledged: Acknowledged[]
  failures: ToldFailure[]
  /** Of those that came when the log had failed. */
  refusals: ToldFailure[]
  acknowledgedAfter: number
  submitted: string[]
  /** When the first waiter was told, and when all is over. */
  durableLsnAtFailure: number
  durableLsnAfter: number
  lastCommitFailed: boolean
  /** Of resume() while the disk is full. */
  resumeCode: string | undefined
  trace: TraceSummary
}

/** Told when the log has been resumed and records were committed. */
export interface ResumedTale {
  acknowledged: Acknowledged[]
  submitted: string[]
  failures: ToldFailure[]
  trace: TraceSummary
}
