import type { LogRecord } from '../../../src/read/reader.ts'
import { idOf, payloadOf, type TraceEvent, USER_EVENTS } from './trace.ts'

const OPEN = 0
const ACKED = 1
/** Told to be not written, or fenced off, or not returned by a recovery that was completed. */
const GONE = 2

interface Submitted {
  id: number
  operation: number
  producer: number
  payload: Uint8Array
  batchFirst: number
  batchCount: number
  /** As its user was told, 0 before. */
  lsn: number
  status: number
  /** Failed, and it is not known how. */
  isIndeterminate: boolean
}

/** What is known, without the payloads: they follow from id and length. */
export interface KnowledgeJson {
  handedOut: number
  keptFromLsn: number
  openFaults: number
  records: (Omit<Submitted, 'payload'> & { payloadBytes: number })[]
}

/** Thrown where a recovery breaks a promise. */
export class BrokenPromise extends Error {
  override name = 'BrokenPromise'
}

/** What the users of a log know at some moment: what they handed in, what they were promised, what is gone for good. */
export class Knowledge {
  /** The highest LSN that anybody was told. */
  handedOut = 0
  /** Records below may be missing, as they were given up for truncation. */
  keptFromLsn = 1
  /** Changes whenever more is demanded of a recovery. */
  version = 0
  readonly #records: Map<number, Submitted> = new Map()
  readonly #byOperation: Map<number, Submitted[]> = new Map()
  /** Those that must be returned. */
  #ackedCount = 0
  /** Faults whose log was not resumed yet. */
  #openFaults = 0

  get ackedCount(): number {
    return this.#ackedCount
  }

  noteFault(): void {
    this.#openFaults++
  }

  apply({ kind, numbers, bytes }: TraceEvent): void {
    if (kind === USER_EVENTS.submit) this.#submit(numbers)
    else if (kind === USER_EVENTS.acked) this.#acknowledge(numbers[0], numbers[1])
    else if (kind === USER_EVENTS.failed) this.#fail(numbers[0], numbers[1] === 1, numbers[2])
    else if (kind === USER_EVENTS.placed) this.#place(this.#byOperation.get(numbers[0])![0]!, numbers[1])
    else if (kind === USER_EVENTS.flushed) this.#flush(numbers[0])
    else if (kind === USER_EVENTS.truncateBefore) this.keptFromLsn = Math.max(this.keptFromLsn, numbers[0])
    else if (kind === USER_EVENTS.resumed) this.#resume()
    else if (kind === USER_EVENTS.recovered) this.#settle(numbers)
    else if (kind === USER_EVENTS.knowledge) this.#load(JSON.parse(Buffer.from(bytes).toString()))
  }

  /**
   * Checks what is read from a recovered log.
   *
   * @throws BrokenPromise
   */
  checkRecords(records: readonly LogRecord[]): void {
    const seen = new Set<number>()
    const lastOf = new Map<number, number>()
    let previous: Submitted | undefined
    let previousLsn = 0
    let firstLsn = 0
    for (const { lsn, payload } of records) {
      const record = this.#identify(lsn, payload, previousLsn)
      if (seen.has(record.id)) throw new BrokenPromise(`P3: record ${record.id} is returned twice`)
      seen.add(record.id)
      if ((lastOf.get(record.producer) ?? -1) > record.id) {
        throw new BrokenPromise(
          `P2: record ${record.id} of producer ${record.producer} has changed its place`,
        )
      }
      lastOf.set(record.producer, record.id)
      checkBatch(previous, record, lsn - previousLsn)
      if (firstLsn === 0) firstLsn = lsn
      previous = record
      previousLsn = lsn
    }
    checkBatch(previous, undefined, 0)
    this.#checkAcked(seen, firstLsn)
  }

  /**
   * Checks the LSN that a recovery hands out next, given the records.
   *
   * @throws BrokenPromise
   */
  checkNextLsn(records: readonly LogRecord[], nextLsn: number): void {
    const highest = Math.max(this.handedOut, records.at(-1)?.lsn ?? 0)
    if (nextLsn > highest) return
    throw new BrokenPromise(`P2: LSN ${nextLsn} would be handed out again, ${highest} was`)
  }

  /** For a run that goes on where this one was cut off. */
  toJson(): KnowledgeJson {
    const { handedOut, keptFromLsn } = this
    const records = Array.from(this.#records.values(), ({ payload, ...rest }) => ({
      ...rest,
      payloadBytes: payload.length,
    }))
    return { handedOut, keptFromLsn, openFaults: this.#openFaults, records }
  }

  #load(from: KnowledgeJson): void {
    this.handedOut = from.handedOut
    this.keptFromLsn = from.keptFromLsn
    this.#openFaults = from.openFaults
    for (const { payloadBytes, ...record } of from.records) {
      this.#add({ ...record, payload: payloadOf(record.id, payloadBytes) })
      if (record.status === ACKED) this.#ackedCount++
    }
  }

  #identify(lsn: number, payload: Uint8Array, previousLsn: number): Submitted {
    if (lsn <= previousLsn) throw new BrokenPromise(`P3: LSN ${lsn} is returned after ${previousLsn}`)
    const record = payload.length < 4 ? undefined : this.#records.get(idOf(payload))
    if (record === undefined) throw new BrokenPromise(`P3: LSN ${lsn} was never submitted`)
    if (Buffer.compare(payload, record.payload) !== 0) {
      throw new BrokenPromise(`P3: record ${record.id} is returned with other bytes`)
    }
    if (record.lsn !== 0 && record.lsn !== lsn) {
      throw new BrokenPromise(`P2: record ${record.id} was told LSN ${record.lsn} and has ${lsn}`)
    }
    if (record.status === GONE) throw new BrokenPromise(`P5: record ${record.id} is back from the dead`)
    return record
  }

  /** Dropped is a prefix, and only of what may be. */
  #checkAcked(seen: ReadonlySet<number>, firstLsn: number): void {
    let found = 0
    for (const id of seen) if (this.#records.get(id)!.status === ACKED) found++
    if (found === this.#ackedCount) return
    for (const { id, lsn, status } of this.#records.values()) {
      if (status !== ACKED || seen.has(id)) continue
      const isDropped = lsn < this.keptFromLsn && (firstLsn === 0 || lsn < firstLsn)
      if (!isDropped) throw new BrokenPromise(`P3: the acknowledged record ${id} with LSN ${lsn} is lost`)
    }
  }

  #submit([operation, producer, isBatch, firstId, ...sizes]: Float64Array): void {
    for (const [index, payloadBytes] of sizes.entries()) {
      this.#add({
        id: firstId + index,
        operation,
        producer,
        payload: payloadOf(firstId + index, payloadBytes),
        batchFirst: isBatch === 1 ? firstId : firstId + index,
        batchCount: isBatch === 1 ? sizes.length : 1,
        lsn: 0,
        status: OPEN,
        isIndeterminate: false,
      })
    }
  }

  #add(record: Submitted): void {
    this.#records.set(record.id, record)
    const others = this.#byOperation.get(record.operation)
    if (others === undefined) this.#byOperation.set(record.operation, [record])
    else others.push(record)
  }

  #acknowledge(operation: number, firstLsn: number): void {
    for (const [index, record] of this.#byOperation.get(operation)!.entries()) {
      this.#place(record, firstLsn + index)
      this.#ack(record)
    }
  }

  #ack(record: Submitted): void {
    if (record.status !== OPEN) return
    record.status = ACKED
    this.#ackedCount++
    this.version++
  }

  #place(record: Submitted, lsn: number): void {
    record.lsn = lsn
    this.handedOut = Math.max(this.handedOut, lsn)
    this.version++
  }

  #flush(producer: number): void {
    for (const record of this.#records.values()) {
      if (record.producer === producer && record.lsn > 0 && !record.isIndeterminate) this.#ack(record)
    }
  }

  #fail(operation: number, isNotWritten: boolean, lsn: number): void {
    for (const record of this.#byOperation.get(operation)!) {
      if (isNotWritten || this.#openFaults === 0) record.status = GONE
      else record.isIndeterminate = true
    }
    if (lsn > 0) this.handedOut = Math.max(this.handedOut, lsn)
    this.version++
  }

  #resume(): void {
    this.#openFaults = 0
    for (const record of this.#records.values()) {
      if (record.isIndeterminate && record.status === OPEN) record.status = GONE
    }
    this.version++
  }

  /** The log was opened: what it returned stays, all else is gone. */
  #settle(pairs: Float64Array): void {
    const returned = new Map<number, number>()
    for (let at = 0; at < pairs.length; at += 2) returned.set(pairs[at + 1], pairs[at])
    this.#openFaults = 0
    for (const record of this.#records.values()) {
      const lsn = returned.get(record.id)
      if (lsn === undefined && record.status === ACKED && record.lsn >= this.keptFromLsn) {
        throw new BrokenPromise(`P3: the acknowledged record ${record.id} is lost in the run itself`)
      }
      if (lsn !== undefined && record.status === GONE) {
        throw new BrokenPromise(`P5: record ${record.id} is back from the dead in the run itself`)
      }
      if (record.status === ACKED) this.#ackedCount--
      record.status = lsn === undefined ? GONE : ACKED
      if (lsn === undefined) continue
      this.#ackedCount++
      record.lsn = lsn
    }
    this.version++
  }
}

/** A batch is returned in one piece, as a whole or not at all. */
function checkBatch(previous: Submitted | undefined, next: Submitted | undefined, lsnStep: number): void {
  const isNextOf = previous !== undefined && previous.id + 1 < previous.batchFirst + previous.batchCount
  if (isNextOf && (next?.id !== previous.id + 1 || lsnStep !== 1)) {
    throw new BrokenPromise(`P11: the batch of record ${previous.batchFirst} is returned in part`)
  }
  if (!isNextOf && next !== undefined && next.id !== next.batchFirst) {
    throw new BrokenPromise(`P11: the batch of record ${next.batchFirst} is returned in part`)
  }
}
