import * as fs from 'node:fs'
import type { FileSystem } from './file-system.ts'

/**
 * The real file system: `node:fs`, one call for one call. It has no state, so every thread may make its own.
 *
 * An fd that it returns is a plain one: a worker that called it with `trackUnmanagedFds` on closes it when it exits.
 */
export function createNodeFileSystem(): FileSystem {
  return {
    open: (path, flags, mode) => fs.openSync(path, flags, mode),
    close: (fd) => fs.closeSync(fd),
    write: (fd, bytes, offset, length, position) => fs.writeSync(fd, bytes, offset, length, position),
    read: (fd, bytes, offset, length, position) => fs.readSync(fd, bytes, offset, length, position),
    dataSync: (fd) => fs.fdatasyncSync(fd),
    fullSync: (fd) => fs.fsyncSync(fd),
    truncate: (fd, length) => fs.ftruncateSync(fd, length),
    fileSize: (fd) => fs.fstatSync(fd).size,
    linkCount: (fd) => fs.fstatSync(fd).nlink,
    rename: (from, to) => fs.renameSync(from, to),
    unlink: (path) => fs.unlinkSync(path),
    list: (directory) => fs.readdirSync(directory),
    makeDirectory: (path, mode) => {
      fs.mkdirSync(path, { mode })
    },
    syncDirectory,
  }
}

function syncDirectory(path: string): void {
  // A folder cannot be opened for syncing on Windows; NTFS journals its entries.
  if (process.platform === 'win32') return
  const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}
