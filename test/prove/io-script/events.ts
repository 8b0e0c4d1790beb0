/**
 * What a scripted run tells of its records, and what must hold for a log that is recovered from its files: by a
 * process that took no part in the run, at its end or at any moment of it.
 */

/** Told before the call, so that nothing can be recovered that was not told of. */
export interface Submitted {
  type: 'submitted'
  id: number
  producer: string
  /** Records with the same number were submitted together; 0: alone. */
  batch: number
  payloadBytes: number
}

export type ScriptEvent =
  | Submitted
  | { type: 'acknowledged'; id: number; lsn: number }
  | { type: 'failed'; id: number; outcome: 'not-written' | 'indeterminate'; lsn: number | undefined }
  /** append() returned this LSN. */
  | { type: 'appended'; id: number; lsn: number }
  /** resume() returned. */
  | { type: 'resumed' }
  /** truncateBefore() is about to be called. */
  | { type: 'truncating'; beforeLsn: number }
  /** Something else that must not happen, found by the run itself. */
  | { type: 'violation'; text: string }

/** The whole content of a record; begins with its id. */
export function payloadOf(id: number, bytes: number): string {
  const head = `${id}:`
  return head + String.fromCharCode(97 + (id % 26)).repeat(Math.max(0, bytes - head.length))
}

export interface RecoveredRecord {
  lsn: number
  payload: string
}

type State = 'open' | 'acknowledged' | 'not-written' | 'indeterminate' | 'fenced'

interface Known extends Submitted {
  state: State
  lsn: number | undefined
  order: number
}

/** What is known of the records of one run. */
export class Ledger {
  readonly #records = new Map<number, Known>()
  readonly #violations: string[] = []
  #truncatedBefore = 0
  #highestLsn = 0

  constructor(events: Iterable<ScriptEvent> = []) {
    for (const event of events) this.add(event)
  }

  add(event: ScriptEvent): void {
    if (event.type === 'submitted') {
      this.#records.set(event.id, { ...event, state: 'open', lsn: undefined, order: this.#records.size })
    } else if (event.type === 'resumed') {
      for (const record of this.#records.values()) {
        if (record.state === 'indeterminate') record.state = 'fenced'
      }
    } else if (event.type === 'truncating') {
      this.#truncatedBefore = Math.max(this.#truncatedBefore, event.beforeLsn)
    } else if (event.type === 'violation') {
      this.#violations.push(event.text)
    } else {
      this.#settle(event)
    }
  }

  /** The highest LSN that the run was told of: none up to it may be handed out again. */
  get highestLsn(): number {
    return this.#highestLsn
  }

  count(state: State): number {
    let count = 0
    for (const record of this.#records.values()) if (record.state === state) count++
    return count
  }

  /** What the run itself found wrong. */
  get violations(): readonly string[] {
    return this.#violations
  }

  /** Compares with what was recovered; returns what is wrong. */
  check(records: readonly RecoveredRecord[], nextLsn: number): string[] {
    const wrong: string[] = []
    const found = new Set<number>()
    const lastOrder = new Map<string, number>()
    let lastLsn = 0
    for (const { lsn, payload } of records) {
      if (lsn <= lastLsn) wrong.push(`LSN ${lsn} comes after ${lastLsn}`)
      lastLsn = lsn
      const id = Number(payload.slice(0, payload.indexOf(':')))
      const known = this.#records.get(id)
      if (known === undefined || payload !== payloadOf(id, known.payloadBytes)) {
        wrong.push(`LSN ${lsn} holds what was never submitted: ${payload.slice(0, 40)}`)
        continue
      }
      if (found.has(id)) wrong.push(`record ${id} was recovered twice`)
      found.add(id)
      wrong.push(...this.#checkOne(known, lsn))
      if (known.order < (lastOrder.get(known.producer) ?? -1)) {
        wrong.push(`record ${id} of producer ${known.producer} comes after a later one`)
      }
      lastOrder.set(known.producer, known.order)
    }
    if (nextLsn <= Math.max(lastLsn, this.#highestLsn)) {
      wrong.push(`the next LSN is ${nextLsn}, but ${Math.max(lastLsn, this.#highestLsn)} was handed out`)
    }
    return [...wrong, ...this.#checkMissing(found)]
  }

  #settle(event: Extract<ScriptEvent, { type: 'acknowledged' | 'failed' | 'appended' }>): void {
    const { id, lsn } = event
    const record = this.#records.get(id)
    if (record === undefined) throw new Error(`record ${id} was never submitted`)
    if (event.type !== 'appended' && record.state !== 'open') {
      this.#violations.push(`record ${id} was ${record.state} and then ${event.type}`)
    }
    if (lsn !== undefined) this.#noteLsn(record, lsn)
    if (event.type === 'acknowledged') record.state = 'acknowledged'
    else if (event.type === 'failed') record.state = event.outcome
  }

  #noteLsn(record: Known, lsn: number): void {
    if (record.lsn !== undefined && record.lsn !== lsn) {
      this.#violations.push(`record ${record.id} has LSN ${record.lsn} and LSN ${lsn}`)
    }
    for (const other of this.#records.values()) {
      if (other !== record && other.lsn === lsn) {
        this.#violations.push(`LSN ${lsn} was handed out for record ${other.id} and for record ${record.id}`)
      }
    }
    record.lsn = lsn
    this.#highestLsn = Math.max(this.#highestLsn, lsn)
  }

  #checkOne({ id, state, lsn: told }: Known, lsn: number): string[] {
    const wrong: string[] = []
    if (state === 'not-written')
      wrong.push(`record ${id} was told as not written, and is there as LSN ${lsn}`)
    if (state === 'fenced') wrong.push(`record ${id} failed before a resume(), and is there as LSN ${lsn}`)
    if (told !== undefined && told !== lsn)
      wrong.push(`record ${id} has LSN ${lsn}, its receipt said ${told}`)
    return wrong
  }

  #checkMissing(found: ReadonlySet<number>): string[] {
    const wrong: string[] = []
    const batches = new Map<number, number>()
    for (const { id, state, lsn, batch } of this.#records.values()) {
      const isTruncated = lsn !== undefined && lsn < this.#truncatedBefore
      if (state === 'acknowledged' && !found.has(id) && !isTruncated) {
        wrong.push(`record ${id} was acknowledged as LSN ${lsn}, and is not there`)
      }
      if (batch > 0 && !isTruncated) batches.set(batch, (batches.get(batch) ?? 0) + (found.has(id) ? 1 : 0))
    }
    for (const [batch, foundCount] of batches) {
      const size = [...this.#records.values()].filter((record) => record.batch === batch).length
      if (foundCount > 0 && foundCount < size)
        wrong.push(`of batch ${batch} ${foundCount} of ${size} are there`)
    }
    return wrong
  }
}
