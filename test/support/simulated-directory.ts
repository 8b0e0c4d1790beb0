import { basename, dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import type { CrashChoice } from './crash-choice.ts'
import { failure } from './simulated-faults.ts'
import { mix } from './simulated-page.ts'

/** A change of names that is not durable yet. */
interface Operation {
  number: number
  /** The names it touches, and the file: a later operation on any of them cannot reach the disk before it. */
  touches: (string | number)[]
  apply(entries: Map<string, number>): void
}

/** The names in one directory, and which changes of them have reached the disk. */
export class SimulatedDirectory {
  readonly entries: Map<string, number>
  #durable: ReadonlyMap<string, number>
  #pending: Operation[]
  #operationCount = 0

  private constructor(
    entries: Map<string, number>,
    durable: ReadonlyMap<string, number>,
    pending: Operation[],
  ) {
    this.entries = entries
    this.#durable = durable
    this.#pending = pending
  }

  static empty(): SimulatedDirectory {
    return new SimulatedDirectory(new Map(), new Map(), [])
  }

  copy(): SimulatedDirectory {
    const copy = new SimulatedDirectory(new Map(this.entries), this.#durable, [...this.#pending])
    copy.#operationCount = this.#operationCount
    return copy
  }

  link(name: string, file: number): void {
    this.#do([name, file], (entries) => entries.set(name, file))
  }

  unlink(name: string): void {
    this.#do([name, this.entries.get(name)!], (entries) => entries.delete(name))
  }

  /** Atomic, as on every journaling file system: after a crash the file has one of both names. */
  rename(from: string, to: string): void {
    const file = this.entries.get(from)!
    this.#do([from, to, file], (entries) => {
      entries.delete(from)
      entries.set(to, file)
    })
  }

  sync(): void {
    if (this.#pending.length === 0) return
    this.#durable = new Map(this.entries)
    this.#pending = []
  }

  /** How many operations there were so far, for `syncUpTo`. */
  get operationCount(): number {
    return this.#operationCount
  }

  /** A sync that began earlier has ended: the operations up to then are durable. */
  syncUpTo(operationCount: number): void {
    const durable = new Map(this.#durable)
    for (const { number, apply } of this.#pending) if (number <= operationCount) apply(durable)
    this.#durable = durable
    this.#pending = this.#pending.filter(({ number }) => number > operationCount)
  }

  /** Is all of it durable? */
  get isSynced(): boolean {
    return this.#pending.length === 0
  }

  /** Of the names, those on the disk too, with the content of their files. */
  contentHash(hashOfFile: (file: number) => number): number {
    let hash = 0
    for (const [name, file] of this.entries) hash += entryHash(name, hashOfFile(file))
    if (this.#pending.length === 0) return hash % 2 ** 53
    for (const [name, file] of this.#durable) hash += entryHash(`durable ${name}`, file)
    return hash % 2 ** 53
  }

  /** Of the names as they are, with the content of their files. */
  cachedHash(hashOfFile: (name: string, file: number) => number): number {
    let hash = 0
    for (const [name, file] of this.entries) hash += entryHash(name, hashOfFile(name, file))
    return hash % 2 ** 53
  }

  /** The directory after a power cut. */
  afterPowerCut(choice: CrashChoice): SimulatedDirectory {
    if (this.#pending.length === 0) return this.copy()
    const entries = new Map(this.#durable)
    const held = new Set<string | number>()
    for (const { touches, apply } of this.#pending) {
      const isHeld = touches.some((thing) => held.has(thing))
      if (!isHeld && choice.directoryOperation()) apply(entries)
      else for (const thing of touches) held.add(thing)
    }
    return new SimulatedDirectory(entries, new Map(entries), [])
  }

  #do(touches: (string | number)[], apply: (entries: Map<string, number>) => void): void {
    apply(this.entries)
    this.#pending.push({ number: ++this.#operationCount, touches, apply })
  }
}

const nameHashes = new Map<string, number>()

/** 51 bits, so that sums of some stay exact. */
function entryHash(name: string, file: number): number {
  const nameHash = nameHashes.get(name) ?? crc32(name)
  nameHashes.set(name, nameHash)
  const low = mix(file, nameHash)
  const high = mix(Math.floor(file / 2 ** 21), nameHash ^ low)
  return (low >>> 0) + (high >>> 13) * 2 ** 32
}

/** All directories of a disk, by path. */
export class SimulatedTree {
  readonly #directories: Map<string, SimulatedDirectory>

  private constructor(directories: Map<string, SimulatedDirectory>) {
    this.#directories = directories
  }

  static empty(): SimulatedTree {
    return new SimulatedTree(new Map([['/', SimulatedDirectory.empty()]]))
  }

  copy(): SimulatedTree {
    const copies = new Map<string, SimulatedDirectory>()
    for (const [path, directory] of this.#directories) copies.set(path, directory.copy())
    return new SimulatedTree(copies)
  }

  /** The tree after a power cut. A folder whose own name is lost is lost with its content. */
  afterPowerCut(choice: CrashChoice): SimulatedTree {
    const after = new Map<string, SimulatedDirectory>()
    for (const [path, directory] of this.#directories) {
      const parent = after.get(dirname(path))
      if (path === '/' || parent?.entries.has(basename(path)) === true) {
        after.set(path, directory.afterPowerCut(choice))
      }
    }
    return new SimulatedTree(after)
  }

  get(path: string): SimulatedDirectory {
    const directory = this.#directories.get(path)
    if (directory !== undefined) return directory
    const isFile = this.#directories.get(dirname(path))?.entries.has(basename(path)) === true
    throw failure(isFile ? 'ENOTDIR' : 'ENOENT', path)
  }

  /** The directory that holds the last part of the path. */
  parentOf(path: string): SimulatedDirectory {
    return this.get(dirname(path))
  }

  add(path: string, id: number): void {
    this.parentOf(path).link(basename(path), id)
    this.#directories.set(path, SimulatedDirectory.empty())
  }

  directories(): IterableIterator<SimulatedDirectory> {
    return this.#directories.values()
  }

  contentHash(hashOfFile: (file: number) => number): number {
    let hash = 0
    for (const directory of this.#directories.values())
      hash = (hash + directory.contentHash(hashOfFile)) % 2 ** 53
    return hash
  }

  cachedHash(hashOfFile: (name: string, file: number) => number): number {
    let hash = 0
    for (const directory of this.#directories.values())
      hash = (hash + directory.cachedHash(hashOfFile)) % 2 ** 53
    return hash
  }

  nameOf(id: number): string {
    for (const { entries } of this.#directories.values()) {
      for (const [name, file] of entries) if (file === id) return name
    }
    return `removed file ${id}`
  }
}
