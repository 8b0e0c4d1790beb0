import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { compileC } from '../../support/compile-c.ts'
import {
  type DiskType,
  LEAST_IMAGE_BYTES,
  makeFileSystem,
  mountImage,
  mountMemory,
  unmountImage,
} from '../support/loop-mount.ts'
import { run } from '../support/scratch.ts'

/**
 * What a power cut takes away.
 *
 * - `none`: what the file system has not sent to its disk yet. The disk itself keeps everything that it was sent.
 * - `volatile`: also what the disk was sent and not told to flush. The disk is a file on a second file system, and the
 *   cut goes through that one: what stands in the page cache there is gone, but for a share that was written back, as
 *   disks do on their own, in any order.
 */
export type DiskCache = 'none' | 'volatile'

const OUTER_SPARE_BYTES = 48 << 20

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
    const bytes = LEAST_IMAGE_BYTES[type]
    mountMemory(2 * (bytes + OUTER_SPARE_BYTES), join(base, 'memory'))
    if (cache === 'none') {
      this.#image = join(base, 'memory', 'image')
      run('truncate', '-s', `${bytes}`, this.#image)
    } else {
      this.#image = join(base, 'outer', 'image')
      this.#makeOuter(bytes)
    }
    makeFileSystem(type, this.#image)
    if (cache === 'volatile') run('sync', '-f', this.#image)
    mountImage(this.type, this.#image, this.path)
  }

  /** Full of zeros, so that only its content can be lost, as with a disk. */
  #makeOuter(bytes: number): void {
    run('truncate', '-s', `${bytes + OUTER_SPARE_BYTES}`, this.#outerImage)
    makeFileSystem('ext4', this.#outerImage)
    mountImage('ext4', this.#outerImage, this.#outer)
    run('dd', 'if=/dev/zero', `of=${this.#image}`, 'bs=1M', `count=${bytes >> 20}`, 'conv=fsync')
  }

  get #outer(): string {
    return join(this.#base, 'outer')
  }

  get #outerImage(): string {
    return join(this.#base, 'memory', 'outer-image')
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
    unmountImage(this.#image, this.path)
    if (this.cache === 'volatile') unmountImage(this.#outerImage, this.#outer)
    if (this.cache === 'volatile') mountImage('ext4', this.#outerImage, this.#outer)
    mountImage(this.type, this.#image, this.path)
  }
}
