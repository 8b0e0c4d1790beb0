import { isAbsolute } from 'node:path'
import { isSharedArrayBuffer, isUint8Array } from 'node:util/types'
import { GroupWalError } from '../errors.ts'
import { LOG_ID_BYTES } from '../format/segment-header.ts'
import { LAYOUT_MAGIC, LAYOUT_VERSION, readLayout } from '../shared/layout.ts'
import { SharedMemory, type SharedRegion } from '../shared/memory.ts'
import type { FileSystemModule } from '../storage/file-system.ts'
import { SYNC_METHODS, type SyncMethod } from '../storage/sync-method.ts'

/**
 * What another thread needs to take part in a log: plain data that survives structured cloning (workerData,
 * postMessage). Only within the process that opened the log.
 */
export interface LogHandle {
  readonly groupwal: 1
  readonly pid: number
  readonly directory: string
  readonly region: SharedRegion
  readonly syncMethod: SyncMethod
  readonly logId: Uint8Array
  readonly maxOutstandingRecords: number
  readonly sealIdleMs: number
  readonly ownLeadMicros: number
  readonly fileSystem: FileSystemModule | undefined
  /** Where the opener may end before its process does: what it wrote into the lock file (see Ownership). */
  readonly lockText?: string | undefined
}

/** Where a region's configuration stands. */
const CONFIGURATION_WORDS = 16

/** One thread's views by handle: connecting again in the same thread costs no second set. */
const attached = new WeakMap<object, SharedMemory>()

/** Remembers the views that the opener made. */
export function rememberMemory(region: SharedRegion, memory: SharedMemory): void {
  attached.set(region, memory)
}

/**
 * Checks a handle and returns this thread's views on its memory.
 *
 * @throws GroupWalError GROUPWAL_INVALID_HANDLE
 */
export function attachHandle(handle: unknown): SharedMemory {
  const candidate = handle as Partial<LogHandle> | null | undefined
  if (typeof candidate !== 'object' || candidate === null || candidate.groupwal !== 1) {
    throw invalid('it is not a handle of groupwal; pass log.handle, for example in workerData')
  }
  if (candidate.pid !== process.pid) {
    throw invalid(
      `it belongs to process ${candidate.pid}, this is ${process.pid}; a log has one owning process`,
    )
  }
  const { region } = candidate
  const buffer = isSharedArrayBuffer(region) ? region : region?.buffer
  if (region === undefined || !isSharedArrayBuffer(buffer))
    throw invalid('its shared memory is missing or detached')
  if (!hasSoundFields(candidate)) throw invalid('its fields are damaged')
  const known = attached.get(region)
  if (known !== undefined) return known
  checkMemory(buffer)
  const memory = attachRegion(region)
  attached.set(region, memory)
  return memory
}

function hasSoundFields(handle: Partial<LogHandle>): boolean {
  const { directory, logId, syncMethod, maxOutstandingRecords, fileSystem, lockText } = handle
  return (
    typeof directory === 'string' &&
    isAbsolute(directory) &&
    isUint8Array(logId) &&
    logId.length === LOG_ID_BYTES &&
    SYNC_METHODS.includes(syncMethod as SyncMethod) &&
    Number.isSafeInteger(maxOutstandingRecords) &&
    maxOutstandingRecords! > 0 &&
    isCount(handle.sealIdleMs) &&
    isCount(handle.ownLeadMicros) &&
    (fileSystem === undefined || typeof fileSystem?.module === 'string') &&
    (lockText === undefined || typeof lockText === 'string')
  )
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function checkMemory(buffer: SharedArrayBuffer): void {
  if (buffer.byteLength < CONFIGURATION_WORDS * 4) throw invalid('its shared memory is damaged')
  const words = new Int32Array(buffer, 0, CONFIGURATION_WORDS)
  if (words[0] !== LAYOUT_MAGIC || words[1] !== LAYOUT_VERSION) {
    throw invalid('it comes from another version of groupwal; all threads must load the same version')
  }
  if (readLayout(words).totalBytes !== buffer.byteLength) throw invalid('its shared memory is damaged')
}

function attachRegion(region: SharedRegion): SharedMemory {
  try {
    return SharedMemory.attach(region)
  } catch (error) {
    throw invalid('its shared memory cannot be used', error)
  }
}

function invalid(why: string, cause?: unknown): GroupWalError {
  return new GroupWalError('GROUPWAL_INVALID_HANDLE', `not a usable handle: ${why}`, { cause })
}
