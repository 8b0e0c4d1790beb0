import { crc32 } from 'node:zlib'
import { type CrashChoice, keepAll } from './crash-choice.ts'

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
  /** Of what is cached and durable; -1: not computed yet. */
  hash: number
}

export const CLEAN_ZEROS: Page = newPage(ZERO_PAGE, ZERO_PAGE, 0, 0)

export function newPage(cached: Uint8Array, durable: Uint8Array, dirty: number, doubtful: number): Page {
  return { cached, durable, dirty, doubtful, differs: -1, hash: -1 }
}

/** A page with some bytes replaced. Zeros share one buffer: most of a new segment is nothing else. */
export function overlay(page: Uint8Array, from: number, bytes: Uint8Array): Uint8Array {
  if (bytes.length === PAGE_BYTES && Buffer.compare(bytes, ZERO_PAGE) === 0) return ZERO_PAGE
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
  if (sectors === 0 || page.cached === page.durable) return tear(page, sectors, choice)
  if (page.differs === -1) page.differs = compare(page)
  let merged: Uint8Array | undefined
  let chosen = 0
  for (let sector = 0; sector < PAGE_SECTORS; sector++) {
    if ((sectors & (1 << sector)) === 0) continue
    const fate = choice.sector((page.differs & (1 << sector)) !== 0)
    if (fate === false) continue
    merged ??= page.durable.slice()
    const at = sector * SECTOR_BYTES
    merged.set(fate === true ? page.cached.subarray(at, at + SECTOR_BYTES) : fate, at)
    if (fate === true) chosen++
  }
  return chosen === PAGE_SECTORS ? page.cached : (merged ?? page.durable)
}

/** Where all sectors were written with what stood there, only a torn one makes a difference. */
function tear(page: Page, sectors: number, choice: CrashChoice): Uint8Array {
  let torn: Uint8Array | undefined
  for (let sector = 0; sectors >> sector !== 0; sector++) {
    const fate = (sectors & (1 << sector)) === 0 ? false : choice.sector(false)
    if (typeof fate === 'boolean') continue
    torn ??= page.durable.slice()
    torn.set(fate, sector * SECTOR_BYTES)
  }
  return torn ?? page.durable
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

export function clip(page: Uint8Array, length: number): Uint8Array {
  return length >= PAGE_BYTES ? page : overlay(page, length, ZERO_PAGE.subarray(length))
}

/** Of what is cached and what is durable. */
export function hashOf({ cached, durable }: Page): number {
  const hash = crc32(cached)
  return cached === durable ? hash : (hash ^ mix(crc32(durable), 0x9e3779b1)) >>> 0
}

/** A number that depends on both, every bit on all bits. */
export function mix(value: number, salt: number): number {
  let mixed = Math.imul(value ^ salt, 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13) ^ Math.imul(salt, 0xc2b2ae35), 0x27d4eb2f)
  return mixed ^ (mixed >>> 16)
}
