import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { compileC } from '../../support/compile-c.ts'
import { run } from '../support/scratch.ts'

export type DiskType = 'ext4' | 'xfs'

/**
 * What a power cut takes away.
 *
 * - `none`: what the file system has not sent to its disk yet. The disk itself keeps everything that it was sent.
 * - `volatile`: also what the disk was sent and not told to flush. The disk is a file on a second file system, and the
 *   cut goes through that one: what stands in the page cache there is gone, but for a share that was written back, as
 *   disks do on their own, in any order.
 */
export type DiskCache = 'none' | 'volatile'

/** mkfs.xfs makes none that is smaller than 300 MB. */
const IMAGE_BYTES = { ext4: 64 << 20, xfs: 320 << 20 }
const OUTER_SPARE_BYTES = 48 << 20
const BUSY_MS = 10_000

/** A file system upon a loop device whose power can be cut again and again. */
export class CutDisk {
  /** Where it is mounted. */
  readonly path: string
  readonly type: DiskType
  readonly cache: DiskCache
  /** On memory: no real disk is waited for, and none gets the wear. */
  readonly #base: string
  readonly #image: string
  readonly #shutDown: string
  #cutter: ChildProcess | undefined

  /** @param base an empty folder of a `Scratch` */
  constructor(base: string, type: DiskType, cache: DiskCache) {
    this.type = type
    this.cache = cache
    this.#base = base
    this.path = join(base, 'mount')
    this.#shutDown = compileC('test/prove/power-cuts/shut-down.c')
    for (const name of ['memory', 'outer', 'mount']) mkdirSync(join(base, name), { recursive: true })
    const bytes = IMAGE_BYTES[type]
    run(
      'mount',
      '-t',
      'tmpfs',
      '-o',
      `size=${2 * (bytes + OUTER_SPARE_BYTES)}`,
      'tmpfs',
      join(base, 'memory'),
    )
    if (cache === 'none') {
      this.#image = join(base, 'memory', 'image')
      run('truncate', '-s', `${bytes}`, this.#image)
    } else {
      this.#image = join(base, 'outer', 'image')
      this.#makeOuter(bytes)
    }
    this.#makeFileSystem(type, this.#image)
    if (cache === 'volatile') run('sync', '-f', this.#image)
    this.#mount(this.#image, this.path)
  }

  /** Full of zeros, so that only its content can be lost, as with a disk. */
  #makeOuter(bytes: number): void {
    run('truncate', '-s', `${bytes + OUTER_SPARE_BYTES}`, this.#outerImage)
    this.#makeFileSystem('ext4', this.#outerImage)
    this.#mount(this.#outerImage, this.#outer)
    run('dd', 'if=/dev/zero', `of=${this.#image}`, 'bs=1M', `count=${bytes >> 20}`, 'conv=fsync')
  }

  get #outer(): string {
    return join(this.#base, 'outer')
  }

  get #outerImage(): string {
    return join(this.#base, 'memory', 'outer-image')
  }

  #makeFileSystem(type: DiskType, image: string): void {
    const eager = 'lazy_itable_init=0,lazy_journal_init=0'
    if (type === 'ext4') run('mkfs.ext4', '-q', '-F', '-m', '0', '-b', '4096', '-E', eager, image)
    else run('mkfs.xfs', '-q', '-f', image)
  }

  #mount(image: string, path: string): void {
    // The loop device goes away with the mount. A journal is not written out by a timer: only syncs count here.
    const isExt4 = path === this.#outer || this.type === 'ext4'
    run('mount', '-o', isExt4 ? 'loop,commit=600' : 'loop', image, path)
  }

  /**
   * Makes ready for `cut`, which then has no program to start.
   *
   * @param writeBack of a volatile cache: which share of it, in thousandths, is written back before the cut, and a seed
   */
  async arm(writeBack = { perMille: 0, seed: 0 }): Promise<void> {
    const { perMille, seed } = writeBack
    const args = this.cache === 'none' ? [this.path] : [this.#outer, this.#image, `${perMille}`, `${seed}`]
    this.#cutter = spawn(this.#shutDown, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    await this.#answer('r')
  }

  /** From here on nothing reaches the disk any more. */
  async cut(): Promise<void> {
    this.#cutter!.stdin!.write('c')
    await this.#answer('d')
    if (this.#cutter!.exitCode === null) await once(this.#cutter!, 'exit')
    this.#cutter = undefined
  }

  async #answer(byte: string): Promise<void> {
    const answer = await new Promise((resolve) => {
      this.#cutter!.stdout!.once('data', (data) => resolve(String(data)))
      this.#cutter!.once('exit', (code) => resolve(`exit code ${code}`))
    })
    if (answer !== byte) throw new Error(`shut-down answered ${answer} in place of ${byte}`)
  }

  /** Power is back: mounted again from what the disk holds. Nobody may have a file open on it. */
  restore(): void {
    this.unmount()
    if (this.cache === 'volatile') this.#mount(this.#outerImage, this.#outer)
    this.#mount(this.#image, this.path)
  }

  /** Nothing stays in any cache: file systems, page caches and loop devices are gone. */
  unmount(): void {
    unmountWhenIdle(this.path)
    waitUntilDetached(this.#image)
    if (this.cache === 'none') return
    unmountWhenIdle(this.#outer)
    waitUntilDetached(this.#outerImage)
  }
}

/** A process that was killed, or a loop device, may take a moment to let go. */
function unmountWhenIdle(path: string): void {
  waitUntil(`${path} can be unmounted`, () => spawnSync('umount', [path]).status === 0)
}

/** Else the next mount might get the old device, and what its cache holds. */
function waitUntilDetached(image: string): void {
  waitUntil(`no loop device holds ${image}`, () => !backingFiles().some((file) => file.startsWith(image)))
}

function backingFiles(): string[] {
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .map((name) => {
      try {
        return readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8')
      } catch {
        return ''
      }
    })
}

function waitUntil(what: string, condition: () => boolean): void {
  const deadlineMs = performance.now() + BUSY_MS
  const word = new Int32Array(new SharedArrayBuffer(4))
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`waited in vain until ${what}`)
    Atomics.wait(word, 0, 0, 5)
  }
}
