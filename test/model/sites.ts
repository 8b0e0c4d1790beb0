import type { Watcher } from './machine.ts'
import { THREAD_LIMIT } from './threads.ts'

/**
 * What is known of the places in the explored build at which threads can be switched (transform.ts). Without knowledge
 * every one counts.
 */
export class SiteTable {
  private readonly shared: Uint8Array
  private readonly effects: Uint8Array

  constructor(siteCount: number) {
    this.shared = new Uint8Array(siteCount).fill(1)
    this.effects = new Uint8Array(siteCount).fill(1)
  }

  /** Does the order of this operation and those of other threads matter? */
  isShared(site: number): boolean {
    return site < 0 || this.shared[site] === 1
  }

  /** Can the operation, or what its thread does behind it, change anything? */
  hasEffect(site: number): boolean {
    return site < 0 || this.effects[site] === 1
  }

  /** Does this table count nothing that the other one does not? */
  isWithin(other: SiteTable): boolean {
    return (
      this.shared.every((counts, site) => counts <= other.shared[site]) &&
      this.effects.every((counts, site) => counts <= other.effects[site])
    )
  }

  set(site: number, isShared: boolean, hasEffect: boolean): void {
    this.shared[site] = isShared ? 1 : 0
    this.effects[site] = hasEffect ? 1 : 0
  }
}

/** Of a word that is not (yet) known to synchronize: who used it last, at which of its own times. */
interface DataWord {
  writer: number
  writtenAt: number
  readAt: Int32Array
}

interface SiteUse {
  words: Set<number>
  writes: boolean
  isRaw: boolean
}

/**
 * Tells the words that threads synchronize by from those that the others protect, by watching runs with a vector
 * clock for each thread, as a race detector does: two threads used a word, one of them to change it, and nothing
 * ordered the two. Words that are exchanged or waited on synchronize from the beginning, each other word from its
 * first race on.
 *
 * Switching threads only before operations upon words that synchronize loses nothing as long as no run shows a race
 * upon another word (Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007). Where bytes or words are used
 * without an operation, the operation before that counts as well.
 */
export class SiteWatch implements Watcher {
  /** Words that synchronize. */
  readonly sync: Set<number>
  private readonly uses: Map<number, SiteUse>
  private readonly clocks: Int32Array[]
  private readonly releases: Map<number, Int32Array>
  private readonly data: Map<number, DataWord>
  private hasFoundRace: boolean
  /** This run showed a word that synchronizes, or a site, or something about a site, that was not known. */
  hasLearned: boolean

  constructor(sync: Iterable<number> = []) {
    this.sync = new Set(sync)
    this.uses = new Map()
    this.clocks = Array.from({ length: THREAD_LIMIT }, () => new Int32Array(THREAD_LIMIT))
    this.releases = new Map()
    this.data = new Map()
    this.hasFoundRace = false
    this.hasLearned = false
  }

  /** Before each run. */
  begin(): void {
    for (const [thread, clock] of this.clocks.entries()) {
      clock.fill(0)
      clock[thread] = 1
    }
    this.releases.clear()
    this.data.clear()
    this.hasFoundRace = false
    this.hasLearned = false
  }

  touch(thread: number, word: number, isWrite: boolean, site: number, isExchange: boolean): void {
    this.noteUse(site, word, isWrite || isExchange)
    if (this.sync.has(word)) {
      this.synchronize(word, thread, isWrite, isExchange)
      return
    }
    // One race at a time: many are none any more when another word is known to synchronize.
    const isRace = this.isRace(word, thread, isWrite) && !this.hasFoundRace
    if (!isExchange && !isRace) return
    this.sync.add(word)
    this.hasFoundRace = true
    this.hasLearned = true
  }

  private noteUse(site: number, word: number, writes: boolean): void {
    const use = this.useOf(site)
    if (use.words.has(word) && (use.writes || !writes)) return
    use.words.add(word)
    use.writes ||= writes
    this.hasLearned = true
  }

  raw(site: number): void {
    const use = this.useOf(site)
    if (!use.isRaw) this.hasLearned = true
    use.isRaw = true
  }

  look(thread: number, other: number): void {
    join(this.clocks[thread], this.clocks[other])
  }

  private useOf(site: number): SiteUse {
    let use = this.uses.get(site)
    if (use === undefined) {
      use = { words: new Set(), writes: false, isRaw: false }
      this.uses.set(site, use)
    }
    return use
  }

  private synchronize(word: number, thread: number, isWrite: boolean, isExchange: boolean): void {
    const clock = this.clocks[thread]
    const released = this.releases.get(word)
    // A mere store sees nothing of what was there.
    if (released !== undefined && (isExchange || !isWrite)) join(clock, released)
    if (!isWrite) return
    this.releases.set(word, clock.slice())
    clock[thread]++
  }

  private isRace(word: number, thread: number, isWrite: boolean): boolean {
    const clock = this.clocks[thread]
    let used = this.data.get(word)
    if (used === undefined) {
      used = { writer: -1, writtenAt: 0, readAt: new Int32Array(THREAD_LIMIT) }
      this.data.set(word, used)
    }
    let isRace = used.writer >= 0 && used.writtenAt > clock[used.writer]
    if (!isWrite) {
      used.readAt[thread] = clock[thread]
      return isRace
    }
    for (let other = 0; other < THREAD_LIMIT; other++) {
      if (other !== thread && used.readAt[other] > clock[other]) isRace = true
    }
    used.writer = thread
    used.writtenAt = clock[thread]
    return isRace
  }

  /** What was learned. A site that no run came by counts in every way. */
  table(siteCount: number): SiteTable {
    const table = new SiteTable(siteCount)
    for (const [site, { words, writes, isRaw }] of this.uses) {
      // Calls to the disk, and copies of bytes, use no word: all of them count.
      if (site < 0 || words.size === 0) continue
      const isSync = [...words].some((word) => this.sync.has(word))
      table.set(site, isSync || isRaw, writes || isRaw)
    }
    return table
  }
}

function join(clock: Int32Array, other: Int32Array): void {
  for (let thread = 0; thread < clock.length; thread++) {
    if (other[thread] > clock[thread]) clock[thread] = other[thread]
  }
}
