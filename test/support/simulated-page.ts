import { type CrashChoice, keepAll, type SectorFate } from './crash-choice.ts'

export const SECTOR_BYTES = 512
export const PAGE_BYTES = 4096
export const PAGE_SECTORS: number = PAGE_BYTES / SECTOR_BYTES
export const ZERO_PAGE: Uint8Array = new Uint8Array(PAGE_BYTES)

/** Pages and their buffers are never written to once they are stored here, so forks share them. */
export interface Page {
  /** What buffered reads see. */
  cached: Uint8Array
  /** What is on the disk for good. */
  durable: Uint8Array
  /** Bit mask of the sectors that the next sync writes. A sector may differ without: a failed sync has dropped it. */
  dirty: number
  /** Those that may or may not have reached the disk, and that no sync will write: left by a call that failed. */
  doubtful: number
  /** Of the dirty and doubtful ones those in which cache and disk differ; -1: not compared yet. */
  differs: number
  /** Of what is cached, and of what is durable; -1: not computed yet. */
  cachedHash: number
  durableHash: number
  /** What power cuts have left of this page, by the fates of its sectors. */
  remains: Map<number, Page> | undefined
}

export const CLEAN_ZEROS: Page = newPage(ZERO_PAGE, ZERO_PAGE, 0, 0)

export function newPage(cached: Uint8Array, durable: Uint8Array, dirty: number, doubtful: number): Page {
  return {
    cached,
    durable,
    dirty,
    doubtful,
    differs: -1,
    cachedHash: -1,
    durableHash: -1,
    remains: undefined,
  }
}

/** A page with some bytes replaced. Zeros share one buffer: most of a new segment is nothing else. */
export function overlay(page: Uint8Array, from: number, bytes: Uint8Array): Uint8Array {
  if (bytes.length === PAGE_BYTES) return Buffer.compare(bytes, ZERO_PAGE) === 0 ? ZERO_PAGE : bytes.slice()
  const copy = page.slice()
  copy.set(bytes, from)
  return copy
}

/** The disk's page after what is dirty was written. */
export function written(page: Page): Uint8Array {
  return page.dirty === 0 ? page.durable : merge(page, page.dirty, keepAll)
}

/** The disk's page after the chosen ones of these sectors were written. */
export function merge(page: Page, sectors: number, choice: CrashChoice): Uint8Array {
  if (sectors === 0) return page.durable
  chooseFates(page, sectors, choice)
  return mergeChosen(page)
}

/** The page after a power cut, clean. The same for the same choice, most of the time. */
export function afterPowerCut(page: Page, choice: CrashChoice): Page {
  const key = chooseFates(page, page.dirty | page.doubtful, choice)
  const known = page.remains?.get(key)
  if (known !== undefined) return known
  const durable = mergeChosen(page)
  const after = newPage(durable, durable, 0, 0)
  if (key >= 0) {
    page.remains ??= new Map()
    if (page.remains.size < MAX_REMAINS) page.remains.set(key, after)
  }
  return after
}

/** Of the sectors of the page that is being merged. */
const fates: SectorFate[] = new Array(PAGE_SECTORS).fill(false)
/** What torn sectors hold, each with its number in the keys; 0 and 1 are those that are lost and kept. */
const tornNumbers = new Map<Uint8Array, number>()
const FATE_NUMBERS = 16
const MAX_REMAINS = 256

/** Asks for the fate of each of these sectors. Returns a number for these fates, -1 when they have none. */
function chooseFates(page: Page, sectors: number, choice: CrashChoice): number {
  if (page.differs === -1) page.differs = page.cached === page.durable ? 0 : compare(page)
  let key = 0
  for (let sector = 0; sector < PAGE_SECTORS; sector++) {
    const isOpen = (sectors & (1 << sector)) !== 0
    const fate = isOpen && choice.sector((page.differs & (1 << sector)) !== 0)
    fates[sector] = fate
    if (key >= 0) {
      const number = typeof fate === 'boolean' ? Number(fate) : tornNumber(fate)
      key = number === -1 ? -1 : key * FATE_NUMBERS + number
    }
  }
  return key
}

function tornNumber(bytes: Uint8Array): number {
  const known = tornNumbers.get(bytes)
  if (known !== undefined) return known
  if (tornNumbers.size === FATE_NUMBERS - 2) return -1
  tornNumbers.set(bytes, tornNumbers.size + 2)
  return tornNumbers.size + 1
}

function mergeChosen(page: Page): Uint8Array {
  let merged: Uint8Array | undefined
  let kept = 0
  for (let sector = 0; sector < PAGE_SECTORS; sector++) {
    const fate = fates[sector]
    if (fate === true) kept++
    // Where nothing differs, only a torn one makes a difference.
    if (fate === false || (fate === true && page.cached === page.durable)) continue
    merged ??= page.durable.slice()
    const at = sector * SECTOR_BYTES
    merged.set(fate === true ? page.cached.subarray(at, at + SECTOR_BYTES) : fate, at)
  }
  return kept === PAGE_SECTORS ? page.cached : (merged ?? page.durable)
}

function compare({ cached, durable, dirty, doubtful }: Page): number {
  let differs = 0
  for (let sector = 0; sector < PAGE_SECTORS; sector++) {
    if (((dirty | doubtful) & (1 << sector)) === 0) continue
    const from = sector * SECTOR_BYTES
    const to = from + SECTOR_BYTES
    if (Buffer.compare(cached.subarray(from, to), durable.subarray(from, to)) !== 0) differs |= 1 << sector
  }
  return differs
}

/** A clean page of a file that ends so many bytes behind its beginning. */
export function clipPage(page: Page, length: number): Page {
  if (length >= PAGE_BYTES) return page
  const bytes = overlay(page.durable, length, ZERO_PAGE.subarray(length))
  return newPage(bytes, bytes, 0, 0)
}

/** Of what is cached and what is durable, 53 bits. */
export function hashOf(page: Page): number {
  const hash = cachedHashOf(page)
  if (page.cached === page.durable) return hash
  if (page.durableHash === -1) page.durableHash = hashBytes(page.durable)
  const { durableHash } = page
  return joinHash(
    mix(lowOf(hash), lowOf(durableHash)),
    mix(highOf(hash), mix(highOf(durableHash), 0x9e3779b1)),
  )
}

/** Of what is cached, 53 bits. */
export function cachedHashOf(page: Page): number {
  if (page.cachedHash === -1) page.cachedHash = hashBytes(page.cached)
  return page.cachedHash
}

/**
 * No CRC, which would be faster: headers carry one of their own, and behind that the checksum is the same whatever
 * they say.
 */
function hashBytes(bytes: Uint8Array): number {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  let low = 0x2545f491
  let high = 0x7f4a7c15
  for (const word of words) {
    low = Math.imul(low ^ word, 0x9e3779b1)
    low ^= low >>> 15
    high = Math.imul((high << 13) | (high >>> 19), 0x85ebca6b) + Math.imul(word, 0xc2b2ae35)
  }
  return joinHash(mix(low, high), mix(high, low))
}

/** 53 bits of 64. */
export function joinHash(low: number, high: number): number {
  return (low >>> 0) + (high >>> 11) * 2 ** 32
}

/** The lower 32 bits of a hash. */
export function lowOf(hash: number): number {
  return hash | 0
}

/** The upper 32 bits of a hash. */
export function highOf(hash: number): number {
  return Math.floor(hash / 2 ** 21) | 0
}

/** A number that depends on both, every bit on all bits. */
export function mix(value: number, salt: number): number {
  let mixed = Math.imul(value ^ salt, 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13) ^ Math.imul(salt, 0xc2b2ae35), 0x27d4eb2f)
  return mixed ^ (mixed >>> 16)
}
