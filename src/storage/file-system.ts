/**
 * The only door to the disk. Everything that groupwal reads, writes, syncs or renames goes through one of these
 * methods, so that fault, crash and schedule tests can put another implementation beneath the production code.
 *
 * All calls are synchronous and throw an `Error` with a POSIX `code` (`ENOSPC`, `EIO`, …) on failure. Offsets,
 * lengths and positions are in bytes. May be called from any thread; an fd belongs to the thread that opened it.
 */
export interface FileSystem {
  /** Opens a file with `node:fs` flag constants; returns an fd. */
  open(path: string, flags: number, mode: number): number
  close(fd: number): void
  /** One positional write. Returns how many bytes were written, which may be fewer than `length`. */
  write(fd: number, bytes: Uint8Array, offset: number, length: number, position: number): number
  /** One positional read. Returns how many bytes were read, 0 at the end of the file. */
  read(fd: number, bytes: Uint8Array, offset: number, length: number, position: number): number
  /** fdatasync: content and what is needed to find it. */
  dataSync(fd: number): void
  /** fsync: content and all metadata. */
  fullSync(fd: number): void
  truncate(fd: number, length: number): void
  fileSize(fd: number): number
  /** How many names the open file has; 0 when it was removed. */
  linkCount(fd: number): number
  rename(from: string, to: string): void
  unlink(path: string): void
  /** Names in the directory, unsorted. */
  list(directory: string): string[]
  makeDirectory(path: string, mode: number): void
  /** Makes creations, renames and removals in the directory durable. */
  syncDirectory(path: string): void
}

/**
 * How to get a file system in another thread: a CommonJS module whose `createFileSystem(base, data)` returns a
 * `FileSystem` built over the real one. Structured-cloneable, so that it travels in the handle. For tests.
 */
export interface FileSystemModule {
  /** Absolute path of the module. */
  module: string
  /** Handed to `createFileSystem` as it is. */
  data?: unknown
}
