import type { FileSystem } from '../../src/storage/file-system.ts'

const WRITABLE = 3

function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code })
}

/**
 * A directory in memory, for reading tests: names lead to bytes, as a path's last part. Files can be replaced and
 * removed behind the back of whoever has them open; an open fd keeps the bytes it was opened on.
 */
export class MemoryFileSystem implements FileSystem {
  readonly files: Map<string, Uint8Array>
  readonly #open: Map<number, { name: string; bytes: Uint8Array }> = new Map()
  #nextFd = 100
  /** Called before each read; tests change the directory from here. */
  beforeRead: ((name: string, position: number) => void) | undefined
  /** The most bytes that one read returns. */
  maxReadBytes: number = Number.POSITIVE_INFINITY
  readCount = 0

  constructor(files: Map<string, Uint8Array>) {
    this.files = files
  }

  get openCount(): number {
    return this.#open.size
  }

  open(path: string, flags: number): number {
    const name = path.slice(path.lastIndexOf('/') + 1)
    const bytes = this.files.get(name)
    if (bytes === undefined) throw failure('ENOENT', path)
    if ((flags & WRITABLE) !== 0) throw failure('EROFS', path)
    this.#open.set(this.#nextFd, { name, bytes })
    return this.#nextFd++
  }

  close(fd: number): void {
    if (!this.#open.delete(fd)) throw failure('EBADF', String(fd))
  }

  read(fd: number, bytes: Uint8Array, offset: number, length: number, position: number): number {
    const file = this.#file(fd)
    this.readCount += 1
    this.beforeRead?.(file.name, position)
    const wanted = Math.min(length, this.maxReadBytes)
    const source = file.bytes.subarray(position, position + wanted)
    bytes.set(source, offset)
    return source.length
  }

  fileSize(fd: number): number {
    return this.#file(fd).bytes.length
  }

  linkCount(fd: number): number {
    const file = this.#file(fd)
    return this.files.get(file.name) === file.bytes ? 1 : 0
  }

  list(): string[] {
    return [...this.files.keys()]
  }

  write(): number {
    throw failure('EROFS', 'write')
  }
  dataSync(): void {}
  fullSync(): void {}
  truncate(): void {
    throw failure('EROFS', 'truncate')
  }
  rename(from: string): void {
    throw failure('EROFS', from)
  }
  unlink(path: string): void {
    throw failure('EROFS', path)
  }
  makeDirectory(path: string): void {
    throw failure('EROFS', path)
  }
  syncDirectory(): void {}

  #file(fd: number): { name: string; bytes: Uint8Array } {
    const file = this.#open.get(fd)
    if (file === undefined) throw failure('EBADF', String(fd))
    return file
  }
}
