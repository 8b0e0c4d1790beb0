import { closeSync, existsSync, openSync, readdirSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** What a producer was told about a record. */
export const TOLD_DURABLE = 0
/** It failed: it is not in the log and never will be. */
export const TOLD_NOT_WRITTEN = 1
/** It failed: it may be recovered after a crash, until resume() returned. */
export const TOLD_INDETERMINATE = 2
/** The wait was given up, or the call told of several records at once. */
export const TOLD_NOTHING = 3

export interface LedgerEntry {
  told: number
  /** 0 when it is not known. */
  lsn: number
}

const KINDS = 4
const BUFFER_BYTES = 4096
/** The most that one entry takes: 53 bits and the kind, 7 bits per byte. */
const ENTRY_BYTES = 8

/**
 * What one incarnation of a producer was told, record by record in the order of its calls. A file of its own, written
 * at once and never synced: it outlives the process, though not the machine. An entry takes one or two bytes.
 */
export class LedgerWriter {
  /** LSN of the newest entry that has one. */
  lastLsn: number
  private readonly fd: number
  private readonly bytes: Uint8Array
  private length: number

  constructor(directory: string, incarnation: number) {
    this.lastLsn = 0
    this.fd = openSync(join(directory, String(incarnation)), 'ax')
    this.bytes = new Uint8Array(BUFFER_BYTES)
    this.length = 0
  }

  /** @throws Error when the LSN is not above the one before */
  add(told: number, lsn: number): void {
    if (lsn !== 0 && lsn <= this.lastLsn) {
      throw new Error(`a producer got LSN ${lsn} after ${this.lastLsn}`)
    }
    if (this.length + ENTRY_BYTES > BUFFER_BYTES) this.flush()
    let value = (lsn === 0 ? 0 : lsn - this.lastLsn) * KINDS + told
    for (; value >= 0x80; value = Math.floor(value / 0x80)) this.bytes[this.length++] = (value % 0x80) + 0x80
    this.bytes[this.length++] = value
    if (lsn !== 0) this.lastLsn = lsn
  }

  /** What was added survives the end of this process from now on. */
  flush(): void {
    for (let at = 0; at < this.length; ) at += writeSync(this.fd, this.bytes, at, this.length - at)
    this.length = 0
  }

  close(): void {
    this.flush()
    closeSync(this.fd)
  }
}

/** Reads a ledger while it may still be written. An entry that was cut off by a death does not count. */
export class LedgerReader {
  private readonly path: string
  private readonly bytes: Uint8Array
  private fileOffset: number
  private from: number
  private to: number
  private lastLsn: number
  private entry: LedgerEntry | undefined

  constructor(directory: string, incarnation: number) {
    this.path = join(directory, String(incarnation))
    this.bytes = new Uint8Array(BUFFER_BYTES)
    this.fileOffset = 0
    this.from = 0
    this.to = 0
    this.lastLsn = 0
    this.entry = undefined
  }

  /** The next entry, or undefined when there is none yet. */
  peek(): LedgerEntry | undefined {
    this.entry ??= this.decode() ?? (this.refill() ? this.decode() : undefined)
    return this.entry
  }

  /** Goes on behind the entry that was peeked at. */
  skip(): void {
    this.entry = undefined
  }

  private decode(): LedgerEntry | undefined {
    let value = 0
    let scale = 1
    for (let at = this.from; at < this.to; at++, scale *= 0x80) {
      const byte = this.bytes[at]!
      value += (byte & 0x7f) * scale
      if (byte >= 0x80) continue
      this.from = at + 1
      const delta = Math.floor(value / KINDS)
      this.lastLsn += delta
      return { told: value % KINDS, lsn: delta === 0 ? 0 : this.lastLsn }
    }
    return undefined
  }

  private refill(): boolean {
    this.bytes.copyWithin(0, this.from, this.to)
    this.to -= this.from
    this.from = 0
    if (!existsSync(this.path)) return false
    // Opened each time: there may be thousands of them.
    const fd = openSync(this.path, 'r')
    try {
      const count = readSync(fd, this.bytes, this.to, BUFFER_BYTES - this.to, this.fileOffset)
      this.to += count
      this.fileOffset += count
      return count > 0
    } finally {
      closeSync(fd)
    }
  }
}

/** The incarnations that have a ledger. */
export function listLedgers(directory: string): number[] {
  return readdirSync(directory).map(Number)
}
