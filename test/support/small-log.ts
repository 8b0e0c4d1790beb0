import { type Log, type OpenOptions, openLog } from '../../src/index.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** A new log in a directory of its own, with small segments: the keeper fills less, so tests are quicker. */
export function openSmallLog(options: OpenOptions = {}): Promise<Log> {
  return openLog(temporaryDirectory(), { segmentBytes: 1 << 20, ...options })
}

/** The payloads of all durable records, as text. */
export function textsOf(log: Log): string[] {
  return Array.from(log.read(), ({ payload }) => Buffer.from(payload).toString())
}
