import type { FileSystem } from '../../src/storage/file-system.ts'

/** The same files, but every close ends in EIO while `fails` says so, as it may: the fd is gone all the same. */
export function withFailingClose(
  base: FileSystem,
  fails: () => boolean = () => true,
): { fs: FileSystem; closedFds: number[] } {
  const closedFds: number[] = []
  const close = (fd: number): void => {
    closedFds.push(fd)
    base.close(fd)
    if (fails()) throw Object.assign(new Error('EIO: i/o error, close'), { code: 'EIO' })
  }
  const fs = new Proxy(base, {
    get: (target, name: keyof FileSystem) => (name === 'close' ? close : target[name].bind(target)),
  })
  return { fs, closedFds }
}
