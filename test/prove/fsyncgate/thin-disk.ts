import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import {
  type DiskType,
  LEAST_IMAGE_BYTES,
  makeFileSystem,
  mountImage,
  mountMemory,
  unmountImage,
  writeByPage,
} from '../support/loop-mount.ts'
import { run } from '../support/scratch.ts'

const BLOCK_BYTES = 4096
const SPARE_BYTES = 64 << 20

/**
 * A loop device on a loop device: what is written to it waits in the page cache of the lower one for a flush. Both go
 * away with the mount. Times are written lazily, since whatever is journaled while flushes fail ends the file system.
 */
const MOUNT_CACHED = [
  'lower=$(losetup -f --show "$1")',
  'upper=$(losetup -f --show "$lower") || { losetup -d "$lower"; exit 1; }',
  'losetup -d "$lower"',
  'status=0; mount -o lazytime,commit=600 "$upper" "$2" || status=$?',
  'losetup -d "$upper"',
  'exit $status',
].join('\n')

/**
 * A file system on a disk that is thinly provisioned, as virtual disks are: blocks that it was promised need not be
 * there when they are written. Its image is a sparse file in memory that has an end. Write-back then fails in the
 * kernel, long after the write call returned.
 */
export class ThinDisk {
  /** Where it is mounted. */
  readonly path: string
  readonly type: DiskType
  readonly #isCached: boolean
  readonly #memory: string
  readonly #image: string

  /**
   * @param base a folder of a `Scratch`
   * @param isCached the disk has a cache, and fails when that is flushed: EIO, where the thin one itself is out of space
   */
  constructor(base: string, type: DiskType, isCached: boolean) {
    this.type = type
    this.#isCached = isCached
    this.path = join(base, 'mount')
    this.#memory = join(base, 'memory')
    this.#image = join(this.#memory, 'image')
    mkdirSync(this.path, { recursive: true })
    mkdirSync(this.#memory)
    const bytes = LEAST_IMAGE_BYTES[type]
    mountMemory(bytes + SPARE_BYTES, this.#memory)
    run('truncate', '-s', `${bytes}`, this.#image)
    makeFileSystem(type, this.#image)
    // Read and written again where it stands: so every block is there, those of the journal and all inodes, too.
    run('dd', `if=${this.#image}`, `of=${this.#image}`, 'bs=1M', 'conv=notrunc')
    this.#mount()
  }

  #mount(): void {
    if (this.#isCached) run('sh', '-ec', MOUNT_CACHED, 'mount-cached', this.#image, this.path)
    else mountImage(this.type, this.#image, this.path)
    writeByPage(this.#image)
    // Else some blocks that are free cannot be had, and so not be taken away.
    if (this.type === 'xfs') run('xfs_io', '-x', '-c', 'resblks 0', this.path)
  }

  /** Takes the blocks of a file away, from this byte of it on. They read as zeros, as what stood there must be. */
  takeBlocksOf(path: string, fromByte = 0): void {
    const fromBlock = fromByte / BLOCK_BYTES
    for (const { logical, physical, count } of extentsOf(path)) {
      const skip = Math.max(0, fromBlock - logical)
      if (skip < count) this.#punch(physical + skip, count - skip)
    }
  }

  /** Takes away all blocks that no file has yet, but for a few. */
  takeFreeBlocks(): void {
    const hull = join(this.path, 'hull')
    mkdirSync(hull)
    const { bavail, bsize } = statfsSync(this.path)
    for (let bytes = bavail * bsize, number = 0; bytes >= BLOCK_BYTES; ) {
      const name = join(hull, `${number++}`)
      if (spawnSync('fallocate', ['-l', `${bytes}`, name]).status === 0) continue
      rmSync(name, { force: true })
      bytes = Math.floor(bytes / 2 / BLOCK_BYTES) * BLOCK_BYTES
    }
    run('sync', '-f', this.path)
    for (const name of readdirSync(hull)) this.takeBlocksOf(join(hull, name))
    rmSync(hull, { recursive: true })
    run('sync', '-f', this.path)
  }

  #punch(block: number, count: number): void {
    const range = ['-o', `${block * BLOCK_BYTES}`, '-l', `${count * BLOCK_BYTES}`]
    run('fallocate', '--punch-hole', ...range, this.#image)
  }

  /** From here on no block can be added to the image. */
  fill(): void {
    const { blocks, bfree, bsize } = statfsSync(this.#memory)
    this.#resize((blocks - bfree) * bsize)
  }

  /** There is space again. */
  free(): void {
    this.#resize(LEAST_IMAGE_BYTES[this.type] + SPARE_BYTES)
  }

  #resize(bytes: number): void {
    run('mount', '-o', `remount,size=${bytes}`, this.#memory)
  }

  /** Mounts it again: what was in the page cache only is gone. Nobody may have a file open on it. */
  dropCache(): void {
    unmountImage(this.#image, this.path)
    this.#mount()
  }

  remove(): void {
    unmountImage(this.#image, this.path)
    run('umount', this.#memory)
  }
}

/** In blocks: where in the file, where on the disk, how many. */
function extentsOf(path: string): { logical: number; physical: number; count: number }[] {
  const listing = run('filefrag', '-v', `-b${BLOCK_BYTES}`, path)
  const extents = listing.matchAll(/^ *\d+: +(\d+)\.\. +\d+: +(\d+)\.\. +\d+: +(\d+):/gm)
  const found = Array.from(extents, ([, logical, physical, count]) => ({
    logical: Number(logical),
    physical: Number(physical),
    count: Number(count),
  }))
  if (found.length === 0) throw new Error(`no extents of ${path} in: ${listing}`)
  return found
}
