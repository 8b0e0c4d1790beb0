import type { LsnRange, PreparedSegment, Sources } from '../storage/segment-file.ts'

/** What `recover` has to know of the log's options. */
export interface RecoverOptions extends Sources {
  segmentBytes: number
  /** How many LSNs can at most be handed out beyond the durable one. */
  maxOutstandingRecords: number
  /** Of a log that does not exist yet: its first LSN, 1 by default. */
  firstLsn?: number | undefined
  /** Of a log that does not exist yet; and what direct writes need on this disk. */
  blockBytes: number
  /** How much of a new segment is filled with zeros before it is used, 1 MiB by default. */
  initialZeroBytes?: number | undefined
  /** Read past the page cache, where the file system can. */
  directReads: boolean
  /** The log will be written with O_DIRECT. */
  directWrites?: boolean | undefined
  /** How many retired segments may be kept for reuse, 2 by default. */
  keepSpares?: number | undefined
  /** Where read buffers come from; page-aligned WebAssembly memory by default. */
  allocateBuffer?: ((bytes: number) => Uint8Array) | undefined
}

/** What was found at the end of the log. */
export interface RecoveryReport {
  /** Frames that were being written and that nothing proves acknowledged. They are void now. */
  tornTail?: { segment: string; offset: number; firstUnreadableLsn: number; bytes: number } | undefined
  /** LSNs that may have been handed out and stand nowhere in the log. They are never used again. */
  gap?: LsnRange | undefined
  /** Records of valid frames that nothing proved to be on the disk: written again, and durable now. */
  salvagedRecords: number
  /** Unfinished segments and probe files that were removed. */
  removedTemps: number
  /** Segments that did not count any more and were retired. */
  discardedSegments: number
}

/** Where and how to go on writing. */
export interface RecoveryResult {
  logId: Uint8Array
  blockBytes: number
  segment: PreparedSegment
  /** Where the next frame goes. */
  writeOffset: number
  nextFrameSequence: number
  /** What the next frame names as the one before it. */
  previousOffset: number
  previousChecksum: number
  /** The LSN that is handed out next. */
  nextLsn: number
  /** The last LSN that stands in the log, all of it durable; 0 when none does. Behind a gap it is not nextLsn - 1. */
  durableLsn: number
  /** The log was closed in order, or is new. */
  cleanClose: boolean
  /** The frame before `writeOffset` is a seal. */
  lastFrameIsSeal: boolean
  report: RecoveryReport
}
