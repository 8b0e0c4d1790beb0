import { constants } from 'node:fs'
import { GroupWalError } from '../errors.ts'
import type { FileSystem } from './file-system.ts'

/**
 * How a batch is made durable.
 *
 * - `dsync`: one write with `O_DIRECT | O_DSYNC`
 * - `direct`: a write with `O_DIRECT`, then fdatasync
 * - `fdatasync`, `fsync`: a write through the page cache, then that call
 */
export type SyncMethod = 'dsync' | 'direct' | 'fdatasync' | 'fsync'

/** Best first: fewer calls and no page cache win when the times are alike. */
export const SYNC_METHODS: readonly SyncMethod[] = ['dsync', 'direct', 'fdatasync', 'fsync']

/** The methods that survive a power cut on this platform and exist in this runtime. */
export function durableMethods(platform: NodeJS.Platform = process.platform): SyncMethod[] {
  // macOS has no O_DIRECT, and its O_DSYNC leaves the drive's cache unflushed; fsync and fdatasync are F_FULLFSYNC
  // in libuv. Elsewhere only Linux is known to do what its flags say.
  const buffered: SyncMethod[] = ['fdatasync', 'fsync']
  if (platform !== 'linux') return buffered
  return SYNC_METHODS.filter((method) => flagsOf(method) !== undefined)
}

/** Does the method write past the page cache, from aligned memory in whole blocks? */
export function isDirect(method: SyncMethod): boolean {
  return method === 'dsync' || method === 'direct'
}

/** Must a sync call follow the write? */
export function needsSync(method: SyncMethod): boolean {
  return method !== 'dsync'
}

/** The sync call that belongs to the method; none for `dsync`. */
export function syncWith(fs: FileSystem, method: SyncMethod, fd: number): void {
  if (method === 'fsync') fs.fullSync(fd)
  else if (needsSync(method)) fs.dataSync(fd)
}

/**
 * Flags with which a segment is opened for writing by this method.
 *
 * @throws GroupWalError GROUPWAL_SYNC_METHOD_UNAVAILABLE where a flag does not exist
 */
export function openFlags(method: SyncMethod): number {
  const flags = flagsOf(method)
  if (flags === undefined) throw unavailable(method, 'this platform has no such open flag')
  return constants.O_RDWR | flags
}

/** `O_DIRECT` where it exists, else 0: for reads that should bypass the page cache if they can. */
export function directReadFlag(): number {
  return constants.O_DIRECT ?? 0
}

function flagsOf(method: SyncMethod): number | undefined {
  // A constant that is missing must not be OR-ed in: `flags | undefined` is `flags`, without any complaint.
  const { O_DIRECT: direct, O_DSYNC: dsync } = constants as { O_DIRECT?: number; O_DSYNC?: number }
  if (!isDirect(method)) return 0
  if (direct === undefined) return undefined
  if (method === 'direct') return direct
  return dsync === undefined ? undefined : direct | dsync
}

/** The error for a method that cannot be had. */
export function unavailable(method: SyncMethod, why: string, cause?: unknown): GroupWalError {
  return new GroupWalError(
    'GROUPWAL_SYNC_METHOD_UNAVAILABLE',
    `sync method ${method} is not available: ${why}`,
    { cause },
  )
}
