import { constants as osConstants } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { getSystemErrorName } from 'node:util'
import { GroupWalError } from '../errors.ts'
import { classifyName, parseSegmentName, parseSpareName, parseTemporaryName } from '../format/segment-name.ts'
import type { FileSystem } from './file-system.ts'

export const DIRECTORY_MODE = 0o700
/** Logs hold other people's data: only the owner may read them. */
export const FILE_MODE = 0o600

/** A file of the log whose name carries a number: of a segment its segment sequence, of a spare any. */
export interface NumberedFile {
  number: number
  name: string
  path: string
}

/** What stands in a log's directory, by name only. */
export interface DirectoryListing {
  /** By segment sequence, ascending. */
  segments: NumberedFile[]
  /** By number, ascending. */
  spares: NumberedFile[]
  /** Paths of unfinished segments and probe files: what a crash left. */
  strays: string[]
  /** Names that are not ours. */
  foreign: string[]
}

/** Lists a log's directory. Opens no file. */
export function listSegments(fs: FileSystem, directory: string): DirectoryListing {
  const listing: DirectoryListing = { segments: [], spares: [], strays: [], foreign: [] }
  for (const name of fs.list(directory)) {
    const path = join(directory, name)
    const kind = classifyName(name)
    if (kind === 'segment') listing.segments.push({ number: parseSegmentName(name)!, name, path })
    else if (kind === 'spare') listing.spares.push({ number: parseSpareName(name)!, name, path })
    else if (kind === 'temporary' || kind === 'probe') listing.strays.push(path)
    else if (kind === 'foreign') listing.foreign.push(name)
  }
  listing.segments.sort((a, b) => a.number - b.number)
  listing.spares.sort((a, b) => a.number - b.number)
  return listing
}

/**
 * A segment sequence above all that are taken, also by segments in the making: another thread may still hold one, and
 * will remove its file by name.
 */
export function nextSegmentSequence(listing: DirectoryListing): number {
  let highest = listing.segments.at(-1)?.number ?? 0
  for (const path of listing.strays) highest = Math.max(highest, parseTemporaryName(basename(path)) ?? 0)
  return highest + 1
}

/** Makes a directory and its missing parents. An existing one is left as it is. See `syncAncestors`. */
export function ensureDirectory(fs: FileSystem, directory: string): void {
  try {
    fs.makeDirectory(directory, DIRECTORY_MODE)
  } catch (error) {
    const code = errorCode(error)
    // A race with another opener ends here too; that it is a directory shows when it is listed.
    if (code === 'EEXIST') return
    const parent = dirname(directory)
    if (code !== 'ENOENT' || parent === directory) throw error
    ensureDirectory(fs, parent)
    fs.makeDirectory(directory, DIRECTORY_MODE)
  }
}

/**
 * Makes the path to a directory durable. Also if it is there already: who made it may have died before its name was
 * on the disk, and everything in it would go with it.
 */
export function syncAncestors(fs: FileSystem, directory: string): void {
  for (let at = resolve(directory); dirname(at) !== at; at = dirname(at)) {
    try {
      fs.syncDirectory(dirname(at))
    } catch (error) {
      // Somebody else's directory, then, and not made by us.
      const code = errorCode(error)
      if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS' && code !== 'EINVAL') throw error
    }
  }
}

/** The POSIX `code` of a file-system error, undefined for anything else. */
export function errorCode(error: unknown): string | undefined {
  const { code, errno } = (error ?? {}) as { code?: unknown; errno?: unknown }
  // What Node calls those that it does not know, EDQUOT among them.
  if (code === 'UNKNOWN' && typeof errno === 'number') return errnoName(Math.abs(errno))
  return typeof code === 'string' ? code : undefined
}

/** The name of a positive errno, also of one that Node does not know. */
export function errnoName(errno: number): string {
  const known = Object.entries(osConstants.errno).find(([, value]) => value === errno)
  return known === undefined ? getSystemErrorName(-errno) : known[0]
}

/** There is no room on the disk, or none that this user may take. */
export function isFullDisk(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/**
 * Closes a file whose content is safe, or is none of ours. The system takes the fd back whatever close() returns: an
 * error says nothing that anybody waits for, and closing again would close what another thread has opened meanwhile.
 */
export function closeQuietly(fs: FileSystem, fd: number): void {
  try {
    fs.close(fd)
  } catch (error) {
    if (errorCode(error) === undefined) throw error
  }
}

/**
 * What the opener of a log reports when a file-system call failed: a `GROUPWAL_OPEN_FAILED` around it. Errors that
 * are typed already, and those that are no file-system errors, come back unchanged.
 */
export function asOpenFailure(directory: string, error: unknown): unknown {
  if (errorCode(error) === undefined || GroupWalError.is(error)) return error
  const message = `cannot open the log in ${directory}: ${(error as Error).message}`
  return new GroupWalError('GROUPWAL_OPEN_FAILED', message, { cause: error })
}
