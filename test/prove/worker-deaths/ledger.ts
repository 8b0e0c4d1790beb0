import { createHash } from 'node:crypto'
import type { Place } from './memory.ts'

/** Stands for a payload, which may be long. */
export function fingerprintOf(payload: string): string {
  const digest = createHash('sha1').update(payload).digest('base64')
  return `${payload.slice(0, 40).replace(/\.+$/, '').trimEnd()} (${digest})`
}

export function fingerprintsOf(content: ReadonlyMap<number, string>): Map<number, string> {
  return new Map(Array.from(content, ([lsn, payload]) => [lsn, fingerprintOf(payload)]))
}

/** What a log must hold in the end, and what it held. */
export class Ledger {
  readonly #acknowledged: Map<number, string>
  readonly #expected: { payload: string; isThere: boolean }[]
  readonly #failures: string[]
  holes: number
  /** Records that the dead had published, and that others committed in their place. */
  inherited: number
  #holeRecords: number

  constructor() {
    this.#acknowledged = new Map()
    this.#expected = []
    this.#failures = []
    this.holes = 0
    this.inherited = 0
    this.#holeRecords = 0
  }

  get acknowledgedCount(): number {
    return this.#acknowledged.size
  }

  /** @param receipt as commitSync or commitBatchSync returns it */
  acknowledge(receipt: { lsn?: number; firstLsn?: number }, payloads: readonly string[]): void {
    for (const [index, payload] of payloads.entries()) {
      const lsn = (receipt.lsn ?? receipt.firstLsn!) + index
      if (this.#acknowledged.has(lsn)) this.#failures.push(`LSN ${lsn} was handed out twice`)
      this.#acknowledged.set(lsn, fingerprintOf(payload))
    }
  }

  /** Nobody was told what became of these: it is told by how far they had come. */
  noteDeath(place: Place, payloads: readonly string[]): void {
    for (const payload of payloads) {
      this.#expected.push({ payload: fingerprintOf(payload), isThere: place === 'published' })
    }
    if (place === 'published') this.inherited += payloads.length
    if (place !== 'reserved') return
    this.holes++
    this.#holeRecords += payloads.length
  }

  /**
   * Compares with what the log holds, everything in it being durable.
   *
   * @param content fingerprints by LSN
   * @param firstLsn of what is left of the log
   * @returns what is wrong
   */
  check(content: ReadonlyMap<number, string>, firstLsn: number, durableLsn: number, noops: number): string[] {
    const failures = [...this.#failures]
    const times = new Map<string, number>()
    for (const payload of content.values()) times.set(payload, (times.get(payload) ?? 0) + 1)
    for (const [payload, count] of times) {
      if (count > 1) failures.push(`${payload} is there ${count} times`)
    }
    const known = new Set<string>()
    for (const [lsn, payload] of this.#acknowledged) {
      known.add(payload)
      if (lsn >= firstLsn && content.get(lsn) !== payload) {
        failures.push(`LSN ${lsn}: ${payload} was acknowledged, ${content.get(lsn)} is there`)
      }
    }
    for (const { payload, isThere } of this.#expected) {
      known.add(payload)
      if (isThere && firstLsn === 1 && !times.has(payload))
        failures.push(`${payload} was published, and is gone`)
      if (!isThere && times.has(payload)) failures.push(`${payload} was never published, and is there`)
    }
    for (const payload of times.keys()) {
      if (!known.has(payload)) failures.push(`${payload} is there, and nobody wrote it`)
    }
    if (noops !== this.holes) failures.push(`${this.holes} holes were left, ${noops} noops are counted`)
    const missing = durableLsn - firstLsn + 1 - content.size
    if (firstLsn === 1 && missing !== this.#holeRecords) {
      failures.push(`${this.#holeRecords} LSNs were left in holes, ${missing} stand for nothing`)
    }
    return failures
  }
}
