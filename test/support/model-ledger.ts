import type { LogRecord } from '../../src/read/reader.ts'

/** What the users of a log know: what they handed in, what they were promised, what they were told is gone. */
export class ModelLedger {
  /** The highest LSN that was handed out. */
  handedOut = 0
  /** Records below are dropped on purpose and may be missing. */
  keptFromLsn = 1
  readonly #payloads: Map<number, string> = new Map()
  /** Must be returned by every read from now on. */
  readonly #acknowledged: Set<number> = new Set()
  /** Were failed for good, or were missing in a read: must never be returned. */
  readonly #gone: Set<number> = new Set()

  copy(): ModelLedger {
    const copy = new ModelLedger()
    copy.handedOut = this.handedOut
    copy.keptFromLsn = this.keptFromLsn
    for (const [lsn, payload] of this.#payloads) copy.#payloads.set(lsn, payload)
    for (const lsn of this.#acknowledged) copy.#acknowledged.add(lsn)
    for (const lsn of this.#gone) copy.#gone.add(lsn)
    return copy
  }

  get acknowledgedCount(): number {
    return this.#acknowledged.size
  }

  handOut(lsn: number, payload: string): void {
    if (lsn <= this.handedOut) throw new Error(`LSN ${lsn} is handed out again, after ${this.handedOut}`)
    this.handedOut = lsn
    this.#payloads.set(lsn, payload)
  }

  acknowledge(firstLsn: number, lastLsn: number): void {
    for (let lsn = firstLsn; lsn <= lastLsn; lsn++) if (this.#payloads.has(lsn)) this.#acknowledged.add(lsn)
  }

  fail(firstLsn: number, lastLsn: number): void {
    for (let lsn = firstLsn; lsn <= lastLsn; lsn++) this.#gone.add(lsn)
  }

  /** Checks what a completed recovery returns, and from then on demands exactly that. */
  settle(records: Iterable<LogRecord>): void {
    const returned = new Set<number>()
    let previousLsn = 0
    for (const { lsn, payload } of records) {
      if (lsn <= previousLsn) throw new Error(`LSN ${lsn} is returned after ${previousLsn}`)
      previousLsn = lsn
      const expected = this.#payloads.get(lsn)
      if (expected === undefined) throw new Error(`LSN ${lsn} was never handed out`)
      const text = Buffer.from(payload).toString()
      if (text !== expected) throw new Error(`LSN ${lsn} returns ${text} instead of ${expected}`)
      if (this.#gone.has(lsn)) throw new Error(`LSN ${lsn} is back from the dead`)
      returned.add(lsn)
    }
    for (const lsn of this.#acknowledged) {
      if (lsn >= this.keptFromLsn && !returned.has(lsn)) throw new Error(`acknowledged LSN ${lsn} is lost`)
    }
    for (const lsn of this.#payloads.keys()) {
      if (returned.has(lsn)) this.#acknowledged.add(lsn)
      else if (lsn >= this.keptFromLsn) this.#gone.add(lsn)
    }
  }
}
