import { GRANULE_BYTES, RECORD_HEADER_BYTES } from '../format/record.ts'

/** The largest payload that a log takes: its record fills a batch. */
export function largestPayload(maxBatchBytes: number): number {
  return Math.floor(maxBatchBytes / GRANULE_BYTES) * GRANULE_BYTES - RECORD_HEADER_BYTES
}
