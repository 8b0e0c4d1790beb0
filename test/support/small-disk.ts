import { spawn, spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { basename, join } from 'node:path'
import { allowLargeRequests } from './loop-device.ts'

/** What kind of file system, how large, and on what sectors. */
export interface DiskSpec {
  type: 'ext4' | 'xfs' | 'tmpfs'
  bytes: number
  /** Logical and physical sector of the loop device; not for tmpfs. */
  sectorBytes?: number
}

/** Why no file system can be mounted here, or undefined when it can. For `skipUnless`. */
export function whyNoMounts(spec: DiskSpec): string | undefined {
  if (process.platform !== 'linux') return 'mounting needs Linux'
  if (process.getuid?.() !== 0) return 'mounting needs root'
  try {
    new SmallDisk(spec).remove()
    return undefined
  } catch (error) {
    return `cannot mount ${spec.type}: ${(error as Error).message}`
  }
}

/**
 * A small file system of its own, really mounted. It goes away with `remove`, and however this process ends: a shell in
 * a session of its own holds the other end of a pipe and cleans up when that breaks.
 */
export class SmallDisk {
  /** Where it is mounted. */
  readonly path: string
  readonly #base: string
  readonly #cleaner: ReturnType<typeof spawn>
  #isRemoved: boolean

  constructor({ type, bytes, sectorBytes = 512 }: DiskSpec) {
    const parent = join(process.cwd(), '.cache', 'tmp')
    mkdirSync(parent, { recursive: true })
    this.#base = mkdtempSync(join(parent, 'disk-'))
    this.path = join(this.#base, 'mount')
    mkdirSync(this.path)
    this.#isRemoved = false
    this.#cleaner = spawn('sh', ['-c', CLEAN_UP, 'clean-up', this.#base], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    this.#cleaner.unref()
    ;(this.#cleaner.stdin as unknown as { unref(): void }).unref()
    try {
      if (type === 'tmpfs') run('mount', '-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', this.path)
      else this.#mountImage(type, bytes, sectorBytes)
    } catch (error) {
      this.remove()
      throw error
    }
  }

  #mountImage(type: string, bytes: number, sectorBytes: number): void {
    const image = join(this.#base, 'image')
    run('truncate', '-s', String(bytes), image)
    const device = run('losetup', '-f', '--show', '-b', String(sectorBytes), image).trim()
    allowLargeRequests(basename(device))
    if (type === 'ext4') run('mkfs.ext4', '-q', '-F', '-m', '0', '-b', '4096', device)
    else {
      const sizes = ['-s', `size=${sectorBytes}`, '-b', `size=${Math.max(4096, sectorBytes)}`]
      // Forced: what the loop device cached of a former image may look like a file system.
      run('mkfs.xfs', '-q', '-f', ...sizes, device)
    }
    run('mount', device, this.path)
    // From here on the device goes away with the mount.
    run('losetup', '-d', device)
  }

  /** Free for data, in bytes. */
  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path)
    return bavail * bsize
  }

  /** Takes the free space, but for about `butBytes`. */
  fill(butBytes = 0): void {
    const fd = openSync(join(this.path, 'ballast'), 'a')
    try {
      for (let chunk = Buffer.alloc(1 << 20, 'b'); chunk.length >= 512; ) {
        const length = Math.min(chunk.length, this.freeBytes - butBytes)
        if (length <= 0 && butBytes > 0) return
        try {
          writeSync(fd, chunk, 0, Math.max(length, 512))
        } catch (error) {
          if ((error as { code?: string }).code !== 'ENOSPC') throw error
          chunk = chunk.subarray(0, chunk.length / 2)
        }
      }
    } finally {
      closeSync(fd)
    }
  }

  /** Gives back what `fill` took. */
  free(): void {
    rmSync(join(this.path, 'ballast'), { force: true })
    run('sync', '-f', this.path)
  }

  remount(options: string): void {
    run('mount', '-o', `remount,${options}`, this.path)
  }

  remove(): void {
    if (this.#isRemoved) return
    this.#isRemoved = true
    spawnSync('sh', ['-c', CLEAN_UP, 'clean-up', this.#base], { input: '' })
    this.#cleaner.stdin!.end()
  }
}

/** Reads until its input ends, then unmounts, detaches and removes. Repeating it does no harm. */
const CLEAN_UP = [
  'cat > /dev/null',
  'umount -l "$1/mount" 2> /dev/null',
  'for device in $(losetup -n -O NAME -j "$1/image" 2> /dev/null); do losetup -d "$device"; done',
  'rm -rf --one-file-system "$1"',
].join('\n')

function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr.trim()}`)
  return stdout
}
