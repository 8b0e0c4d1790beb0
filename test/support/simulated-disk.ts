import { constants } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { FileSystem } from '../../src/storage/file-system.ts'
import { type CrashChoice, loseAll } from './crash-choice.ts'
import { SimulatedTree } from './simulated-directory.ts'
import { type Fault, FaultPlan, failure, SimulatedCrash } from './simulated-faults.ts'
import { SimulatedFile } from './simulated-file.ts'
import { SECTOR_BYTES } from './simulated-page.ts'

export { type CrashChoice, keepAll, loseAll, randomChoice } from './crash-choice.ts'
export { type Fault, SimulatedCrash } from './simulated-faults.ts'

interface OpenFile {
  file: number
  flags: number
}

const ACCESS_MODE = 3

/**
 * A disk in memory, with a page cache and what is durable told apart by sectors of 512 bytes and by directory
 * operations. `fork` and `powerCut` give new disks and leave this one as it is; they share unchanged pages, so both
 * cost microseconds.
 *
 * - a process that dies: `killProcess()`, or `fork()` to go on in several ways
 * - a power cut: `powerCut(choice)`, of the unsynced a subset survives
 * - the calls at which either can happen: run with `crashAtCall` = 1, 2, … until a run ends without SimulatedCrash
 */
export class SimulatedDisk implements FileSystem {
  /** The n-th changing call takes effect in the page cache only and then throws SimulatedCrash. */
  crashAtCall: number | undefined
  /** No block is free: writes work only where the file has one. */
  isFull = false
  /** Called by each changing call when it took effect in the page cache only: what a crash there leaves. */
  onChange: (() => void) | undefined
  /** Called by each `open` before it does anything. */
  onOpen: ((path: string, flags: number) => void) | undefined
  /** How many changing calls were made. */
  callCount = 0
  /** Set to an array, it collects the changing calls, for a message. */
  trace: string[] | undefined
  #isDead = false
  #faults: FaultPlan | undefined
  readonly #files: Map<number, SimulatedFile>
  readonly #tree: SimulatedTree
  readonly #open: Map<number, OpenFile> = new Map()
  #nextFile: number
  #nextFd = 3
  /** Changes with each fork, so that neither side changes what both hold. */
  #owner: object = {}

  constructor(
    tree: SimulatedTree = SimulatedTree.empty(),
    files: Map<number, SimulatedFile> = new Map(),
    nextFile = 1,
  ) {
    this.#tree = tree
    this.#files = files
    this.#nextFile = nextFile
  }

  /** Upon this tree and these files, which others may go on using. */
  static of(tree: SimulatedTree, files: ReadonlyMap<number, SimulatedFile>): SimulatedDisk {
    return new SimulatedDisk(tree, new Map(files), Math.max(0, ...files.keys()) + 1)
  }

  get faults(): FaultPlan {
    this.#faults ??= new FaultPlan()
    return this.#faults
  }

  /** The same disk for another process: with the page cache, without open files, crash point and faults. */
  fork(): SimulatedDisk {
    this.#owner = {}
    return new SimulatedDisk(this.#tree.copy(), new Map(this.#files), this.#nextFile)
  }

  /** The disk after a power cut. */
  powerCut(choice: CrashChoice): SimulatedDisk {
    // Synced files are shared.
    this.#owner = {}
    const tree = this.#tree.afterPowerCut(choice)
    const files = new Map<number, SimulatedFile>()
    const after = new SimulatedDisk(tree, files, this.#nextFile)
    for (const directory of tree.directories()) {
      for (const id of directory.entries.values()) {
        const file = this.#files.get(id)
        if (file === undefined || files.has(id)) continue
        if (file.isSynced && file.linkCount === 1) {
          files.set(id, file)
          continue
        }
        const copy = file.afterPowerCut(after.#owner, choice)
        copy.linkCount = 1
        files.set(id, copy)
      }
    }
    return after
  }

  /** Settles what of failed calls may or may not have reached the disk. */
  settleDoubts(choice: CrashChoice): void {
    for (const [id, file] of this.#files) if (file.hasDoubts) this.#writable(id).settleDoubts(choice)
  }

  /** Of all names and contents, on the disk and in the page cache: the same for the same, hardly ever for others. */
  contentHash(): number {
    return this.#tree.contentHash((id) => this.#files.get(id)?.contentHash() ?? 0)
  }

  /** Of all names, and of these files what the page cache holds: all that a process sees that opens no others. */
  cachedHash(isOpened: (name: string) => boolean): number {
    return this.#tree.cachedHash((name, id) =>
      isOpened(name) ? (this.#files.get(id)?.cachedHash() ?? 0) : 0,
    )
  }

  /** The process dies, the machine goes on: its files are closed, nothing else changes. */
  killProcess(): void {
    this.#open.clear()
  }

  /** How many files are open. */
  get openCount(): number {
    return this.#open.size
  }

  open(path: string, flags: number, _mode: number): number {
    this.onOpen?.(path, flags)
    const directory = this.#tree.parentOf(path)
    const name = basename(path)
    let id = directory.entries.get(name)
    const creates = (flags & constants.O_CREAT) !== 0 && id === undefined
    const empties = (flags & constants.O_TRUNC) !== 0 && id !== undefined
    if (!creates && !empties) {
      this.#passFaults('open')
      return this.#opened(id, path, flags)
    }
    if (!creates && (flags & constants.O_EXCL) !== 0) throw failure('EEXIST', path)
    return this.#change(
      'open',
      () => `create ${name}`,
      () => {
        if (creates) {
          id = this.#nextFile++
          const file = new SimulatedFile(this.#owner)
          file.linkCount = 1
          this.#files.set(id, file)
          directory.link(name, id)
        } else {
          this.#writable(id!).truncate(0)
        }
        return this.#opened(id, path, flags)
      },
    )
  }

  #opened(file: number | undefined, path: string, flags: number): number {
    if (file === undefined) throw failure('ENOENT', path)
    if (!this.#files.has(file)) throw failure('EISDIR', path)
    this.#open.set(this.#nextFd, { file, flags })
    return this.#nextFd++
  }

  close(fd: number): void {
    if (this.#isDead) throw new SimulatedCrash('after the crash')
    if (!this.#open.delete(fd)) throw failure('EBADF', String(fd))
    this.#passFaults('close')
  }

  write(fd: number, bytes: Uint8Array, offset: number, length: number, position: number): number {
    const { file, flags } = this.#fd(fd)
    if ((flags & ACCESS_MODE) === constants.O_RDONLY) throw failure('EBADF', 'open for reading only')
    this.#checkAlignment(flags, bytes, offset, length, position)
    if (this.isFull && !this.#files.get(file)!.hasPages(position, length))
      throw failure('ENOSPC', 'disk full')
    let count = length
    const isSynced = (flags & constants.O_DSYNC) !== 0
    return this.#change(
      'write',
      () => `write ${this.#tree.nameOf(file)} at ${position}, ${length} bytes`,
      () => {
        this.#writable(file).write(bytes.subarray(offset, offset + count), position)
        return count
      },
      (fault) => {
        if (fault.written !== undefined) {
          this.#writable(file).write(bytes.subarray(offset, offset + length), position)
          this.#writable(file).failSync(fault.written)
        }
        if ((fault.writtenBytes ?? 0) === 0) throw failure(fault.code, 'injected')
        count = Math.min(length, fault.writtenBytes!)
        this.faults.add({ method: 'write', call: 1, code: fault.code })
      },
      () => isSynced && count > 0 && this.#writable(file).syncRange(position, count),
    )
  }

  read(fd: number, bytes: Uint8Array, offset: number, length: number, position: number): number {
    const { file, flags } = this.#fd(fd)
    this.#checkAlignment(flags, bytes, offset, length, position)
    this.#passFaults('read')
    const direct = (flags & constants.O_DIRECT) !== 0
    return this.#files.get(file)!.read(bytes.subarray(offset, offset + length), position, direct)
  }

  dataSync(fd: number): void {
    this.#syncFile('dataSync', this.#fd(fd).file)
  }

  fullSync(fd: number): void {
    this.#syncFile('fullSync', this.#fd(fd).file)
  }

  truncate(fd: number, length: number): void {
    const { file } = this.#fd(fd)
    this.#change(
      'truncate',
      () => `truncate ${this.#tree.nameOf(file)} to ${length}`,
      () => this.#writable(file).truncate(length),
    )
  }

  fileSize(fd: number): number {
    const { file } = this.#fd(fd)
    this.#passFaults('fileSize')
    return this.#files.get(file)!.size
  }

  linkCount(fd: number): number {
    return this.#files.get(this.#fd(fd).file)!.linkCount
  }

  rename(from: string, to: string): void {
    const directory = this.#tree.parentOf(from)
    if (dirname(from) !== dirname(to)) throw failure('EXDEV', to)
    if (!directory.entries.has(basename(from))) throw failure('ENOENT', from)
    this.#change(
      'rename',
      () => `rename ${basename(from)} to ${basename(to)}`,
      () => {
        const replaced = directory.entries.get(basename(to))
        if (replaced !== undefined) this.#writable(replaced).linkCount = 0
        directory.rename(basename(from), basename(to))
      },
    )
  }

  unlink(path: string): void {
    const directory = this.#tree.parentOf(path)
    const file = directory.entries.get(basename(path))
    if (file === undefined) throw failure('ENOENT', path)
    this.#change(
      'unlink',
      () => `unlink ${basename(path)}`,
      () => {
        this.#writable(file).linkCount = 0
        directory.unlink(basename(path))
      },
    )
  }

  list(directory: string): string[] {
    this.#passFaults('list')
    return [...this.#tree.get(directory).entries.keys()]
  }

  makeDirectory(path: string, _mode: number): void {
    if (this.#tree.parentOf(path).entries.has(basename(path))) throw failure('EEXIST', path)
    this.#change(
      'makeDirectory',
      () => `mkdir ${path}`,
      () => this.#tree.add(path, this.#nextFile++),
    )
  }

  syncDirectory(path: string): void {
    const directory = this.#tree.get(path)
    this.#change(
      'syncDirectory',
      () => `sync ${path}`,
      undefined,
      undefined,
      () => directory.sync(),
    )
  }

  #syncFile(method: keyof FileSystem, file: number): void {
    this.#change(
      method,
      () => `${method} ${this.#tree.nameOf(file)}`,
      undefined,
      (fault) => {
        this.#writable(file).failSync(fault.written ?? loseAll)
        throw failure(fault.code, 'injected')
      },
      () => this.#writable(file).sync(),
    )
  }

  /**
   * One changing call: it may fail, else it takes effect in the page cache, then the machine may stop, and last the
   * effect becomes durable.
   */
  #change<T>(
    method: keyof FileSystem,
    describe: () => string,
    effect?: () => T,
    onFault?: (fault: Fault) => void,
    makeDurable?: () => unknown,
  ): T {
    this.#passFaults(method, onFault)
    this.callCount++
    this.trace?.push(describe())
    const result = effect?.() as T
    this.onChange?.()
    if (this.callCount === this.crashAtCall) {
      this.#isDead = true
      throw new SimulatedCrash(`at call ${this.callCount}: ${describe()}`)
    }
    makeDurable?.()
    return result
  }

  #passFaults(method: keyof FileSystem, onFault?: (fault: Fault) => void): void {
    if (this.#isDead) throw new SimulatedCrash('after the crash')
    const fault = this.#faults?.next(method)
    if (fault === undefined) return
    if (onFault === undefined) throw failure(fault.code, 'injected')
    onFault(fault)
  }

  #checkAlignment(flags: number, bytes: Uint8Array, offset: number, length: number, position: number): void {
    if ((flags & constants.O_DIRECT) === 0) return
    const address = bytes.byteOffset + offset
    if (address % SECTOR_BYTES === 0 && length % SECTOR_BYTES === 0 && position % SECTOR_BYTES === 0) return
    throw failure('EINVAL', `direct ${address}, ${length}, ${position}`)
  }

  #fd(fd: number): OpenFile {
    const open = this.#open.get(fd)
    if (open === undefined) throw failure('EBADF', String(fd))
    return open
  }

  #writable(id: number): SimulatedFile {
    const file = this.#files.get(id)!
    if (file.owner === this.#owner) return file
    const copy = file.copyFor(this.#owner)
    this.#files.set(id, copy)
    return copy
  }
}
