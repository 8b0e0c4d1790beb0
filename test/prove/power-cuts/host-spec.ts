import type { OpenOptions } from '../../../src/index.ts'

/** What a host is told on its command line. */
export interface HostSpec {
  directory: string
  /** Number of this life, in no other life of the log. */
  run: number
  /** Worker threads that commit, each in its own way; the host's thread commits, too. */
  producers: number
  options: OpenOptions
  /** Each producer stops after so many. */
  recordsPerProducer: number
  /** Old segments are dropped as it goes, so that files are used again. */
  truncates: boolean
  /** Nobody commits before the segment has all its zeros: then the keeper leaves the disk alone. */
  waitsForZeros: boolean
}

/**
 * What a host says on ACK_FD, a line each, numbers behind the word:
 *
 * - `opened`
 * - `lsn PRODUCER INDEX LSN`: a record was handed its LSN, and is not durable yet
 * - `ack PRODUCER INDEX COUNT LSN`: so many records from this one on are acknowledged
 * - `keep LSN`: records below may be gone from now on
 * - `closing`, `closed`: close() begins when a line comes on its stdin, and has resolved
 * - `failed`: the log said by its event that it has failed; close() writes no seal then
 * - `refused CODE`: a call failed with an error that a dead disk explains
 */
export type HostWord = 'opened' | 'lsn' | 'ack' | 'keep' | 'closing' | 'closed' | 'failed' | 'refused'

/** The most records of a producer that are submitted and not acknowledged. */
export const MOST_UNACKNOWLEDGED = 16
