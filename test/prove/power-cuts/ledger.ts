import type { LogRecord } from '../../../src/index.ts'
import { nameOf, payloadOf, type RecordName } from '../../crash/kill-records.ts'
import { MOST_UNACKNOWLEDGED } from './host-spec.ts'

/** What a comparison found. */
export interface Settlement {
  recovered: number
  /** Acknowledged, and not there. */
  lost: number
  /** Everything that must not be, as sentences; losses included. */
  violations: string[]
}

/** What the users of one log know, over all its lives: what was acknowledged, and what each recovery returned. */
export class Ledger {
  /** Records below were dropped on purpose, and may be missing. */
  #keptFromLsn = 1
  #highestLsn = 0
  #run = 0
  #acknowledgedCount = 0
  /** By run: the highest LSN known to have been handed out before it. */
  readonly #usedLsn = new Map<number, number>()
  /** Who was told of an LSN, also if it is not durable: nobody else ever gets it. */
  readonly #holders = new Map<number, string>()
  readonly #acknowledged = new Map<number, string>()
  /** By producer and run: the last index that was acknowledged or handed an LSN. */
  readonly #lastIndex = new Map<string, number>()
  /** What the last comparison returned, and up to which run it speaks: nothing else of those comes back. */
  #returned = new Map<number, string>()
  #settledRun = -1
  #violations: string[] = []

  get acknowledgedCount(): number {
    return this.#acknowledgedCount
  }

  beginLife(run: number): void {
    this.#run = run
    this.#usedLsn.set(run, this.#highestLsn)
  }

  handOut(producer: number, index: number, lsn: number): void {
    this.#claim(lsn, keyOf({ run: this.#run, producer, index }))
    this.#raiseIndex(producer, index)
  }

  acknowledge(producer: number, index: number, count: number, firstLsn: number): void {
    this.#acknowledgedCount += count
    for (let offset = 0; offset < count; offset++) {
      const key = keyOf({ run: this.#run, producer, index: index + offset })
      this.#claim(firstLsn + offset, key)
      this.#acknowledged.set(firstLsn + offset, key)
    }
    this.#raiseIndex(producer, index + count - 1)
  }

  keepFrom(lsn: number): void {
    this.#keptFromLsn = Math.max(this.#keptFromLsn, lsn)
  }

  /** Compares with what a recovery returns; from then on exactly that is to be returned. */
  settle(records: Iterable<LogRecord>): Settlement {
    const returned = new Map<number, string>()
    const next = new Map<string, RecordName>()
    let lastLsn = 0
    for (const { lsn, payload } of records) {
      if (lsn <= lastLsn) this.#violate(`LSN ${lsn} is returned after ${lastLsn}`)
      lastLsn = lsn
      const text = Buffer.from(payload).toString()
      const name = nameOf(text)
      if (name === undefined || payloadOf(name) !== text) {
        this.#violate(`record ${lsn} was never written: ${text.slice(0, 100)}`)
        continue
      }
      returned.set(lsn, keyOf(name))
      this.#checkIdentity(lsn, name)
      this.#checkOrder(name, next)
    }
    for (const name of next.values()) {
      if (isInBatch(name)) this.#violate(`the last batch of ${producerOf(name)} is not whole`)
    }
    const lost = this.#countLost(returned)
    this.#returned = returned
    this.#settledRun = this.#run
    this.#highestLsn = Math.max(this.#highestLsn, lastLsn)
    // What was promised and dropped on purpose meanwhile is nobody's business any more.
    for (const lsn of this.#acknowledged.keys()) if (!returned.has(lsn)) this.#acknowledged.delete(lsn)
    const violations = this.#violations
    this.#violations = []
    return { recovered: returned.size, lost, violations }
  }

  #claim(lsn: number, key: string): void {
    const holder = this.#holders.get(lsn)
    if (holder !== undefined && holder !== key) this.#violate(`LSN ${lsn} of ${holder} goes to ${key}, too`)
    if (holder === undefined) this.#checkUnused(lsn, key, this.#run)
    this.#holders.set(lsn, key)
    this.#highestLsn = Math.max(this.#highestLsn, lsn)
  }

  #checkUnused(lsn: number, key: string, run: number): void {
    const used = this.#usedLsn.get(run) ?? 0
    if (lsn <= used) this.#violate(`LSN ${lsn} goes to ${key}, but LSNs up to ${used} were used before`)
  }

  #raiseIndex(producer: number, index: number): void {
    const key = producerOf({ run: this.#run, producer })
    this.#lastIndex.set(key, Math.max(this.#lastIndex.get(key) ?? -1, index))
  }

  /** Submitted, by whom the LSN says, and no ghost that an earlier recovery did not return. */
  #checkIdentity(lsn: number, name: RecordName): void {
    const key = keyOf(name)
    const holder = this.#holders.get(lsn)
    if (holder !== undefined && holder !== key) this.#violate(`LSN ${lsn} of ${holder} returns ${key}`)
    if (name.run <= this.#settledRun) {
      if (this.#returned.get(lsn) !== key) this.#violate(`record ${key} (LSN ${lsn}) is back from the dead`)
      return
    }
    const submitted = (this.#lastIndex.get(producerOf(name)) ?? -1) + MOST_UNACKNOWLEDGED
    if (name.run > this.#run || name.index > submitted) this.#violate(`record ${key} was not submitted`)
    if (holder === undefined) this.#checkUnused(lsn, key, name.run)
    this.#holders.set(lsn, key)
  }

  /** In the order of its producer's calls, without holes or repetitions, and in whole batches. */
  #checkOrder(name: RecordName, next: Map<string, RecordName>): void {
    const producer = producerOf(name)
    const before = next.get(producer)
    next.set(producer, name)
    const { index, batchFirst } = name
    if (before === undefined) {
      // Whole segments are dropped, so a batch goes as a whole, too.
      if (index !== batchFirst) this.#violate(`record ${keyOf(name)} stands without the head of its batch`)
      if (index > 0 && this.#keptFromLsn === 1) this.#violate(`the records before ${keyOf(name)} are missing`)
      return
    }
    if (index !== before.index + 1) this.#violate(`record ${keyOf(name)} comes after ${keyOf(before)}`)
    const isContinued = isInBatch(before)
    if (isContinued !== index > batchFirst || (isContinued && before.batchFirst !== batchFirst)) {
      this.#violate(`the batch before ${keyOf(name)} is not whole`)
    }
  }

  #countLost(returned: Map<number, string>): number {
    let lost = 0
    // What a recovery returned it has made durable: it counts as acknowledged.
    for (const promised of [this.#acknowledged, this.#returned]) {
      for (const [lsn, key] of promised) {
        if (lsn < this.#keptFromLsn || returned.get(lsn) === key) continue
        if (promised === this.#returned && this.#acknowledged.has(lsn)) continue
        lost++
        if (lost === 1) this.#violate(`record ${key} (LSN ${lsn}) was promised and is lost`)
      }
    }
    return lost
  }

  #violate(sentence: string): void {
    this.#violations.push(sentence)
  }
}

function keyOf({ run, producer, index }: { run: number; producer: number; index: number }): string {
  return `${run}:${producer}:${index}`
}

function producerOf({ run, producer }: { run: number; producer: number }): string {
  return `${run}:${producer}`
}

/** More of its batch must follow. */
function isInBatch({ index, batchFirst, batchCount }: RecordName): boolean {
  return index < batchFirst + batchCount - 1
}
