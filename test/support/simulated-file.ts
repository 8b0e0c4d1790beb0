import type { CrashChoice } from './crash-choice.ts'
import {
  afterPowerCut,
  CLEAN_ZEROS,
  cachedHashOf,
  clipPage,
  hashOf,
  highOf,
  joinHash,
  lowOf,
  merge,
  mix,
  newPage,
  overlay,
  PAGE_BYTES,
  type Page,
  SECTOR_BYTES,
  written,
  ZERO_PAGE,
} from './simulated-page.ts'

/** What is unsynced in a file at some moment: what a sync that begins then makes durable. */
export interface UnsyncedPart {
  size: number
  durableSize: number
  pages: Map<number, Page>
}

/** The content of one file: what the page cache holds, and what of it has reached the disk. */
export class SimulatedFile {
  /** The disk that may change this object; others copy it first. */
  owner: object
  size = 0
  linkCount = 0
  #durableSize = 0
  #pages: Map<number, Page> = new Map()
  /** Pages that differ between cache and disk, or may. */
  #unsynced: Set<number> = new Set()

  constructor(owner: object) {
    this.owner = owner
  }

  copyFor(owner: object): SimulatedFile {
    const copy = new SimulatedFile(owner)
    copy.size = this.size
    copy.linkCount = this.linkCount
    copy.#durableSize = this.#durableSize
    copy.#pages = new Map(this.#pages)
    copy.#unsynced = new Set(this.#unsynced)
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
      else bytes.set((direct ? written(page) : page.cached).subarray(inPage, inPage + count), done)
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
    for (const index of this.#unsynced) this.#syncPage(index, this.#pages.get(index)!)
    this.#durableSize = this.size
  }

  /** What an O_DSYNC write makes durable: its pages, and the size. */
  syncRange(position: number, length: number): void {
    for (const index of this.#unsyncedIn(position, length)) this.#syncPage(index, this.#pages.get(index)!)
    this.#durableSize = this.size
  }

  /** What is not durable now, for `syncPart` and `doubtPart`. */
  unsynced(): UnsyncedPart {
    const pages = new Map<number, Page>()
    for (const index of this.#unsynced) pages.set(index, this.#pages.get(index)!)
    return { size: this.size, durableSize: this.#durableSize, pages }
  }

  /** A sync that began earlier has ended: what was unsynced then is durable, what was written meanwhile is not. */
  syncPart({ size, durableSize, pages }: UnsyncedPart): void {
    for (const [index, page] of pages) this.#syncPage(index, page)
    // Else another sync has ended meanwhile, which knew better.
    if (this.#durableSize === durableSize) this.#durableSize = size
  }

  /** A sync that began earlier has failed: what it was to write may be on the disk, and no later sync writes it. */
  doubtPart({ pages }: UnsyncedPart): void {
    for (const [index, page] of pages) if (this.#pages.get(index) === page) this.#doubtPage(index, page)
  }

  /** A write of this range has failed: any of it may be on the disk. */
  doubtRange(position: number, length: number): void {
    for (const index of this.#unsyncedIn(position, length)) this.#doubtPage(index, this.#pages.get(index)!)
  }

  #doubtPage(index: number, { cached, durable, dirty, doubtful }: Page): void {
    this.#store(index, newPage(cached, durable, 0, dirty | doubtful))
  }

  get hasDoubts(): boolean {
    for (const index of this.#unsynced) if (this.#pages.get(index)!.doubtful !== 0) return true
    return false
  }

  /** Settles what is doubtful. The page cache stays as it is. */
  settleDoubts(choice: CrashChoice): void {
    for (const index of [...this.#unsynced]) {
      const page = this.#pages.get(index)!
      if (page.doubtful === 0) continue
      this.#store(index, newPage(page.cached, merge(page, page.doubtful, choice), page.dirty, 0))
    }
  }

  /** As on Linux: some of it is on the disk, all of it still stands in the page cache, and no later sync tries again. */
  failSync(choice: CrashChoice): void {
    for (const index of [...this.#unsynced]) {
      const page = this.#pages.get(index)!
      this.#store(index, newPage(page.cached, merge(page, page.dirty, choice), 0, page.doubtful))
    }
  }

  /** Does a power cut leave it as it is? */
  get isSynced(): boolean {
    return this.#unsynced.size === 0 && this.size === this.#durableSize
  }

  /** The file after a power cut. */
  afterPowerCut(owner: object, choice: CrashChoice): SimulatedFile {
    const after = new SimulatedFile(owner)
    after.size = this.size !== this.#durableSize && choice.fileSize() ? this.size : this.#durableSize
    after.#durableSize = after.size
    for (const [index, page] of this.#pages) {
      const bytesLeft = after.size - index * PAGE_BYTES
      if (bytesLeft <= 0) continue
      const isLeft = page.cached === page.durable && bytesLeft >= PAGE_BYTES
      if (isLeft && page.dirty === 0 && page.doubtful === 0) after.#pages.set(index, page)
      else after.#pages.set(index, clipPage(afterPowerCut(page, choice), bytesLeft))
    }
    return after
  }

  /** Of size and content, cached and durable: the same for the same, and hardly ever for others. 53 bits. */
  contentHash(): number {
    let low = mix(this.size, 0x5bd1e995)
    let high = mix(this.#durableSize, 0x1b873593)
    for (const [index, page] of this.#pages) {
      if (page.cached === ZERO_PAGE && page.durable === ZERO_PAGE) continue
      const hash = hashOf(page)
      low = (low + mix(lowOf(hash), index + 1)) | 0
      high = (high + mix(highOf(hash), ~index)) | 0
    }
    return joinHash(low, high)
  }

  /** The same of what a process sees: size and content in the page cache. */
  cachedHash(): number {
    let low = mix(this.size, 0x5bd1e995)
    let high = mix(this.size, 0x1b873593)
    for (const [index, page] of this.#pages) {
      if (page.cached === ZERO_PAGE) continue
      const hash = cachedHashOf(page)
      low = (low + mix(lowOf(hash), index + 1)) | 0
      high = (high + mix(highOf(hash), ~index)) | 0
    }
    return joinHash(low, high)
  }

  #writePage(index: number, from: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return
    const page = this.#pages.get(index) ?? CLEAN_ZEROS
    const firstSector = Math.floor(from / SECTOR_BYTES)
    const lastSector = Math.floor((from + bytes.length - 1) / SECTOR_BYTES)
    const touched = ((2 << (lastSector - firstSector)) - 1) << firstSector
    const cached = overlay(page.cached, from, bytes)
    this.#store(index, newPage(cached, page.durable, page.dirty | touched, page.doubtful & ~touched))
  }

  /** What was dirty in this page, as it was then, is on the disk. */
  #syncPage(index: number, page: Page): void {
    const current = this.#pages.get(index)
    if (current === undefined || page.dirty === 0) return
    let durable = written(page)
    if (Buffer.compare(durable, page.cached) === 0) durable = page.cached
    if (current === page) this.#store(index, newPage(page.cached, durable, 0, page.doubtful))
    else this.#store(index, newPage(current.cached, durable, current.dirty, current.doubtful))
  }

  #store(index: number, page: Page): void {
    this.#pages.set(index, page)
    if (page.dirty === 0 && page.doubtful === 0 && page.cached === page.durable) this.#unsynced.delete(index)
    else this.#unsynced.add(index)
  }

  #unsyncedIn(position: number, length: number): number[] {
    const end = Math.floor((position + length - 1) / PAGE_BYTES)
    const found: number[] = []
    for (let index = Math.floor(position / PAGE_BYTES); index <= end; index++) {
      if (this.#unsynced.has(index)) found.push(index)
    }
    return found
  }
}
