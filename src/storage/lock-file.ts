import { randomUUID } from 'node:crypto'
import * as nodeFs from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { GroupWalError, LockedError, type LockOwner } from '../errors.ts'
import { LOCK_FILE_NAME } from '../format/segment-name.ts'
import { asOpenFailure, closeQuietly, FILE_MODE, isFullDisk } from './directory.ts'
import type { FileSystem } from './file-system.ts'
import { readWhole, writeWhole } from './whole-io.ts'

const MAX_OWNER_BYTES = 4096

/** Held while a log is open. */
export interface DirectoryLock {
  /** What stands in the lock file, and in no other opener's (see Ownership); undefined when the disk had no room for it. */
  text: string | undefined
  /** Closes the file, which is what frees the lock. The file stays. */
  release(): void
}

/** What `acquireLock` needs of `fs-native-extensions`. */
export interface LockLibrary {
  /** Takes an exclusive lock on the open file, or returns false when somebody else has one. */
  tryLock(fd: number): boolean
}

/**
 * Locks a log's directory against every other opener, in this process and in others, until `release()` or the death
 * of the process. It is a lock of the open file, not of the process, so a second open in the same process is refused
 * too. Call it in the thread that opens the log: the lock ends with the thread that owns the fd, unless that is the
 * main one (see Ownership).
 *
 * @throws LockedError when the log is open elsewhere; it names the owner
 * @throws GroupWalError GROUPWAL_LOCK_UNAVAILABLE where the native library cannot be loaded or cannot lock
 */
export async function acquireLock(
  fs: FileSystem,
  directory: string,
  load: () => Promise<LockLibrary> = loadLockLibrary,
): Promise<DirectoryLock> {
  const library = await load()
  let fd: number | undefined
  let text: string | undefined
  try {
    fd = fs.open(
      join(directory, LOCK_FILE_NAME),
      nodeFs.constants.O_RDWR | nodeFs.constants.O_CREAT,
      FILE_MODE,
    )
    lockOrThrow(fs, fd, directory, library)
    text = writeOwner(fs, fd)
  } catch (error) {
    if (fd !== undefined) closeQuietly(fs, fd)
    throw asOpenFailure(directory, error)
  }
  const lockedFd = fd
  return { text, release: () => closeQuietly(fs, lockedFd) }
}

function lockOrThrow(fs: FileSystem, fd: number, directory: string, library: LockLibrary): void {
  let locked: boolean
  try {
    locked = library.tryLock(fd)
  } catch (error) {
    throw lockUnavailable(`the file system of ${directory} cannot lock`, error)
  }
  if (!locked) throw lockedError(directory, readOwner(fs, fd))
}

/** Loads the library on first use only: it kills Bun and Deno, and producers never need it. */
async function loadLockLibrary(): Promise<LockLibrary> {
  const runtime = 'Deno' in globalThis ? 'Deno' : process.versions.bun === undefined ? undefined : 'Bun'
  if (runtime !== undefined) throw lockUnavailable(`its native library does not run under ${runtime}`)
  try {
    const { default: library } = await import('fs-native-extensions')
    return library
  } catch (error) {
    throw lockUnavailable('fs-native-extensions cannot be loaded', error)
  }
}

function lockUnavailable(why: string, cause?: unknown): GroupWalError {
  const platform = `${process.platform}-${process.arch}${libcName()}`
  return new GroupWalError(
    'GROUPWAL_LOCK_UNAVAILABLE',
    `cannot lock the log on ${platform}: ${why}. If nothing else opens it, pass { lock: 'none' }`,
    { cause },
  )
}

function libcName(): string {
  if (process.platform !== 'linux') return ''
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined
  const version = report?.header?.glibcVersionRuntime
  return version === undefined ? '-musl' : `-glibc ${version}`
}

function lockedError(directory: string, owner: LockOwner | undefined): LockedError {
  const here = owner !== undefined && owner.hostName === hostname()
  // The file may still name an owner of the past: the present one writes it just after it locked.
  const isCurrent = owner !== undefined && (!here || processStartTime(owner.pid) === owner.startTime)
  const named = isCurrent ? owner : undefined
  let who = 'another process'
  if (named !== undefined) {
    who = here && named.pid === process.pid ? `this process (pid ${named.pid})` : `process ${named.pid}`
    if (!here) who += ` on ${named.hostName}`
  }
  return new LockedError(`the log in ${directory} is open in ${who}`, named)
}

function writeOwner(fs: FileSystem, fd: number): string | undefined {
  const owner: LockOwner & { token: string } = {
    pid: process.pid,
    startTime: processStartTime(process.pid),
    bootId: readText('/proc/sys/kernel/random/boot_id')?.trim(),
    hostName: hostname(),
    token: randomUUID(),
  }
  const text = `${JSON.stringify(owner)}\n`
  fs.truncate(fd, 0)
  try {
    writeWhole(fs, fd, Buffer.from(text), 0)
    return text
  } catch (error) {
    // It is for the error message of others, most of all; a full disk must not keep the log from being opened.
    if (!isFullDisk(error)) throw error
    return undefined
  }
}

function readOwner(fs: FileSystem, fd: number): LockOwner | undefined {
  const bytes = Buffer.alloc(MAX_OWNER_BYTES)
  try {
    const length = readWhole(fs, fd, bytes, bytes.length, 0)
    const owner: unknown = JSON.parse(bytes.toString('utf8', 0, length))
    const { pid, startTime, bootId, hostName } = owner as Partial<LockOwner>
    if (!Number.isInteger(pid) || typeof hostName !== 'string') return undefined
    return { pid: pid!, startTime, bootId, hostName }
  } catch {
    // Empty, half written, or (on Windows, where locks are mandatory) not readable.
    return undefined
  }
}

/** In clock ticks since boot, as the kernel counts them; tells a process from a later one with the same pid. */
function processStartTime(pid: number): number | undefined {
  const stat = readText(`/proc/${pid}/stat`)
  // The command name, in parentheses, may hold spaces. The start time is field 22, the 20th behind it.
  const field = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  return field === undefined ? undefined : Number(field)
}

function readText(path: string): string | undefined {
  try {
    return nodeFs.readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
