import type { Random } from './random.ts'

export const SECTOR_BYTES = 512
const PAGE_BYTES = 4096
const PAGE_SECTORS: number = PAGE_BYTES / SECTOR_BYTES
const ZERO_PAGE: Uint8Array = new Uint8Array(PAGE_BYTES)

/** Chooses what a power cut leaves of the things that were not synced. */
export interface CrashChoice {
  /** Did this unsynced sector reach the disk? */
  sector(): boolean
  /** Did the unsynced size of a file? */
  fileSize(): boolean
  /** Did this unsynced directory operation? Those that depend on one that did not are not asked for. */
  directoryOperation(): boolean
}

/** Nothing that was not synced survives. */
export const loseAll: CrashChoice = {
  sector: () => false,
  fileSize: () => false,
  directoryOperation: () => false,
}
/** Everything has just reached the disk. */
export const keepAll: CrashChoice = {
  sector: () => true,
  fileSize: () => true,
  directoryOperation: () => true,
}

/** A random subset, with a random leaning so that near-complete and near-empty states are met too. */
export function randomChoice(random: Random): CrashChoice {
  const [sector, fileSize, operation] = [0, 0, 0].map(() => [0.05, 0.5, 0.5, 0.95][random.int(4)]!)
  return {
    sector: () => random.chance(sector!),
    fileSize: () => random.chance(fileSize!),
    directoryOperation: () => random.chance(operation!),
  }
}

/** Buffers are never written to once they are stored here, so forks share them. */
interface Page {
  /** What buffered reads see. */
  cached: Uint8Array
  /** What is on the disk for good. */
  durable: Uint8Array
  /** Bit mask of the sectors that the next sync writes. A sector may differ without: a failed sync has dropped it. */
  dirty: number
}

/** The content of one file: what the page cache holds, and what of it has reached the disk. */
export class SimulatedFile {
  /** The disk that may change this object; others copy it first. */
  owner: object
  size = 0
  linkCount = 0
  #durableSize = 0
  #pages: Map<number, Page> = new Map()
  #dirtyPages: Set<number> = new Set()

  constructor(owner: object) {
    this.owner = owner
  }

  copyFor(owner: object): SimulatedFile {
    const copy = new SimulatedFile(owner)
    copy.size = this.size
    copy.linkCount = this.linkCount
    copy.#durableSize = this.#durableSize
    copy.#pages = new Map(this.#pages)
    copy.#dirtyPages = new Set(this.#dirtyPages)
    return copy
  }

  write(bytes: Uint8Array, position: number): void {
    for (let done = 0; done < bytes.length; ) {
      const at = position + done
      const inPage = at % PAGE_BYTES
      const count = Math.min(PAGE_BYTES - inPage, bytes.length - done)
      this.#writePage(Math.floor(at / PAGE_BYTES), inPage, bytes.subarray(done, done + count))
      done += count
    }
    this.size = Math.max(this.size, position + bytes.length)
  }

  /** @param direct past the page cache: what a failed sync has dropped is not seen */
  read(bytes: Uint8Array, position: number, direct: boolean): number {
    const length = Math.max(0, Math.min(bytes.length, this.size - position))
    for (let done = 0; done < length; ) {
      const at = position + done
      const inPage = at % PAGE_BYTES
      const count = Math.min(PAGE_BYTES - inPage, length - done)
      const page = this.#pages.get(Math.floor(at / PAGE_BYTES))
      if (page === undefined) bytes.fill(0, done, done + count)
      // The kernel writes dirty pages out before it reads past them.
      else bytes.set((direct ? merge(page, () => true) : page.cached).subarray(inPage, inPage + count), done)
      done += count
    }
    return length
  }

  /** Does the range have blocks already? */
  hasPages(position: number, length: number): boolean {
    const end = Math.floor((position + length - 1) / PAGE_BYTES)
    for (let index = Math.floor(position / PAGE_BYTES); index <= end; index++) {
      if (!this.#pages.has(index)) return false
    }
    return true
  }

  truncate(size: number): void {
    const lastPage = Math.floor((this.size - 1) / PAGE_BYTES)
    for (let page = Math.floor(size / PAGE_BYTES); page <= lastPage; page++) {
      const from = Math.max(0, size - page * PAGE_BYTES)
      if (this.#pages.has(page)) this.#writePage(page, from, ZERO_PAGE.subarray(from))
    }
    this.size = size
  }

  /** Everything becomes durable. */
  sync(): void {
    for (const index of this.#dirtyPages) this.#syncPage(index)
    this.#dirtyPages.clear()
    this.#durableSize = this.size
  }

  /** What an O_DSYNC write makes durable: its pages, and the size. */
  syncRange(position: number, length: number): void {
    const end = Math.floor((position + length - 1) / PAGE_BYTES)
    for (let index = Math.floor(position / PAGE_BYTES); index <= end; index++) {
      if (this.#dirtyPages.delete(index)) this.#syncPage(index)
    }
    this.#durableSize = this.size
  }

  /** As on Linux: some of it is on the disk, all of it still stands in the page cache, and no later sync tries again. */
  failSync(choice: CrashChoice): void {
    for (const index of this.#dirtyPages) {
      const page = this.#pages.get(index)!
      this.#pages.set(index, { cached: page.cached, durable: merge(page, choice.sector), dirty: 0 })
    }
    this.#dirtyPages.clear()
  }

  /** The file after a power cut. */
  afterPowerCut(owner: object, choice: CrashChoice): SimulatedFile {
    const after = new SimulatedFile(owner)
    after.size = this.size !== this.#durableSize && choice.fileSize() ? this.size : this.#durableSize
    after.#durableSize = after.size
    for (const [index, page] of this.#pages) {
      if (index * PAGE_BYTES >= after.size) continue
      const durable = clip(merge(page, choice.sector), after.size - index * PAGE_BYTES)
      after.#pages.set(index, { cached: durable, durable, dirty: 0 })
    }
    return after
  }

  #writePage(index: number, from: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return
    const page = this.#pages.get(index) ?? { cached: ZERO_PAGE, durable: ZERO_PAGE, dirty: 0 }
    const firstSector = Math.floor(from / SECTOR_BYTES)
    const lastSector = Math.floor((from + bytes.length - 1) / SECTOR_BYTES)
    const written = ((2 << (lastSector - firstSector)) - 1) << firstSector
    this.#pages.set(index, {
      cached: overlay(page.cached, from, bytes),
      durable: page.durable,
      dirty: page.dirty | written,
    })
    this.#dirtyPages.add(index)
  }

  #syncPage(index: number): void {
    const page = this.#pages.get(index)!
    this.#pages.set(index, { cached: page.cached, durable: merge(page, () => true), dirty: 0 })
  }
}

/** A page with some bytes replaced. Zeros share one buffer: most of a new segment is nothing else. */
function overlay(page: Uint8Array, from: number, bytes: Uint8Array): Uint8Array {
  if (bytes.length === PAGE_BYTES && Buffer.compare(bytes, ZERO_PAGE) === 0) return ZERO_PAGE
  const copy = page.slice()
  copy.set(bytes, from)
  return copy
}

/** The disk's page after the chosen of its dirty sectors were written. */
function merge(page: Page, isWritten: () => boolean): Uint8Array {
  if (page.dirty === 0 || page.cached === page.durable) return page.durable
  let merged: Uint8Array | undefined
  let chosen = 0
  for (let sector = 0; sector < PAGE_SECTORS; sector++) {
    if ((page.dirty & (1 << sector)) === 0 || !isWritten()) continue
    merged ??= page.durable.slice()
    const at = sector * SECTOR_BYTES
    merged.set(page.cached.subarray(at, at + SECTOR_BYTES), at)
    chosen++
  }
  return chosen === PAGE_SECTORS ? page.cached : (merged ?? page.durable)
}

function clip(page: Uint8Array, length: number): Uint8Array {
  return length >= PAGE_BYTES ? page : overlay(page, length, ZERO_PAGE.subarray(length))
}
