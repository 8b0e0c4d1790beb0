import { join } from 'node:path'
import { segmentName } from '../format/segment-name.ts'
import { FILE_MODE } from '../storage/directory.ts'
import type { FileSystem } from '../storage/file-system.ts'
import { lockLost, type Ownership } from '../storage/ownership.ts'
import { needsSync, openFlags, type SyncMethod } from '../storage/sync-method.ts'

/** Which call failed; stored in shared memory by its index. */
export const FAILURE_CALLS = ['write', 'sync', 'open', 'unlinked', 'room', 'lock'] as const
export type FailureCall = (typeof FAILURE_CALLS)[number]

/** How often a leader looks whether its segment still has a name. */
const LINK_CHECK_MS = 1000

/**
 * Writes frames into the current segment through an fd of its own thread. Every thread opens the segment for
 * itself: an fd that a worker opened is closed when the worker ends and its number given to another file; and a
 * write-back error is reported once per open file, so that two writers who share one could miss it.
 */
export class SegmentWriter {
  private readonly fs: FileSystem
  private readonly directory: string
  private readonly method: SyncMethod
  private readonly flags: number
  private readonly ownership: Ownership | undefined
  private fd: number
  private segment: number
  private linkCheckedMs: number
  /** Set by a call that returned false: which call it was, and its errno (0: a short write). */
  failedCall: FailureCall
  failedErrno: number

  /** @param ownership asked before and after each write; undefined where the directory cannot be lost */
  constructor(fs: FileSystem, directory: string, method: SyncMethod, ownership?: Ownership) {
    this.fs = fs
    this.directory = directory
    this.method = method
    this.flags = openFlags(method)
    this.ownership = ownership
    this.fd = -1
    this.segment = 0
    this.linkCheckedMs = 0
    this.failedCall = 'open'
    this.failedErrno = 0
  }

  /** Opens the segment unless it is open already. */
  openSegment(segment: number): boolean {
    if (this.segment === segment) return true
    this.closeSegment()
    try {
      if (this.ownership !== undefined) this.ownership.open()
      this.fd = this.fs.open(join(this.directory, segmentName(segment)), this.flags, FILE_MODE)
    } catch (error) {
      return this.fail('open', error)
    }
    this.segment = segment
    return true
  }

  /**
   * Writes a frame and makes it durable: true only when the write returned exactly `length` and the sync, where the
   * method needs one, returned without error. After false nothing may be retried into this segment.
   */
  writeDurably(bytes: Uint8Array, at: number, length: number, position: number, nowMs: number): boolean {
    if (!this.hasName(nowMs) || !this.isOwned()) return false
    let written: number
    try {
      written = this.fs.write(this.fd, bytes, at, length, position)
    } catch (error) {
      return this.fail('write', error)
    }
    // A short write is a failure whose errno the system keeps for itself.
    if (written !== length) return this.fail('write', undefined)
    if (needsSync(this.method)) {
      try {
        if (this.method === 'fsync') this.fs.fullSync(this.fd)
        else this.fs.dataSync(this.fd)
      } catch (error) {
        return this.fail('sync', error)
      }
    }
    // Still ours: whoever recovers the log from now on finds the frame.
    return this.isOwned()
  }

  /** Also what the ownership is told by. */
  closeAll(): void {
    this.closeSegment()
    if (this.ownership !== undefined) this.ownership.close()
  }

  closeSegment(): void {
    if (this.fd < 0) return
    const fd = this.fd
    this.fd = -1
    this.segment = 0
    try {
      this.fs.close(fd)
    } catch {
      // Everything that was acknowledged through this fd was synced before: nothing can be lost here.
    }
  }

  /** A file that was removed while it is open takes writes and syncs as if nothing were wrong. */
  private hasName(nowMs: number): boolean {
    if (Math.abs(nowMs - this.linkCheckedMs) < LINK_CHECK_MS) return true
    this.linkCheckedMs = nowMs
    try {
      if (this.fs.linkCount(this.fd) > 0) return true
    } catch (error) {
      return this.fail('unlinked', error)
    }
    return this.fail('unlinked', undefined)
  }

  private isOwned(): boolean {
    if (this.ownership === undefined || this.ownership.isOurs()) return true
    return this.fail('lock', lockLost())
  }

  private fail(call: FailureCall, error: unknown): boolean {
    this.failedCall = call
    this.failedErrno = errnoOf(error)
    return false
  }
}

/** The positive errno of a file-system error; 0 when there is none. EIO for an error without an errno. */
export function errnoOf(error: unknown): number {
  if (error === undefined) return 0
  const errno = (error as { errno?: unknown }).errno
  return typeof errno === 'number' && errno !== 0 ? Math.abs(errno) : 5
}
