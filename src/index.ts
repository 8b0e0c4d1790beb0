export type { CommitOutcome, GroupWalErrorCode } from './errors.ts'
export {
  CommitFailedError,
  CorruptLogError,
  GroupWalError,
  LockedError,
  LogClosedError,
  ReadTruncatedError,
  WaitGivenUpError,
} from './errors.ts'
export { connect } from './host/connect.ts'
export type { AsyncWaitOptions, WaitOptions } from './host/give-up.ts'
export type { LogHandle } from './host/handle.ts'
export type { Log, LogEvents, LogStats } from './host/log.ts'
export { openLog } from './host/open.ts'
export type { OpenOptions } from './host/options.ts'
export type { BatchResult, CommitResult } from './host/pending.ts'
export type { Producer } from './host/producer.ts'
export type { RecordInput } from './host/record-input.ts'
export type { LogRecord } from './read/reader.ts'
export type { FileSystem, FileSystemModule } from './storage/file-system.ts'
export type { SyncMethod } from './storage/sync-method.ts'
