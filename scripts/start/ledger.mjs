// What was acknowledged, and whether the log still has it. Each record names its producer (vshardId) and its number
// among that producer's records (tenantId), so that each one is known by what it must say.

import { hashOf } from './acks.mjs'
import { lineOf } from './corpus.mjs'

/** Numbers by index, as many as there may be. */
class Column {
  #values
  #none

  /** @param none what stands where nothing was set */
  constructor(Type, none) {
    this.#values = new Type(1024)
    this.#none = none
  }

  get(index) {
    return index < this.#values.length ? this.#values[index] : this.#none
  }

  set(index, value) {
    if (index >= this.#values.length) {
      const larger = new this.#values.constructor(Math.max(this.#values.length * 2, index + 1))
      larger.set(this.#values)
      this.#values = larger
    }
    this.#values[index] = value
  }
}

class ProducerLedger {
  /** How many of its records were acknowledged: a producer is acknowledged in the order of its commits. */
  acknowledged = 0
  recovered = 0
  /** By record number: LSN and hash as they were acknowledged, 0 when only counted. */
  lsns = new Column(Float64Array, 0)
  hashes = new Column(BigUint64Array, 0n)
  /** By record number: 1 when the log has it. */
  seen = new Column(Uint8Array, 0)
}

/** Compares record by record. */
export class Ledger {
  #corpus
  #producers
  #lastLsn = 0
  /** Recovered, but not acknowledged when the host was killed: they were under way. */
  more = 0
  /** Sentences about what must not be. */
  faults = []

  constructor(corpus, producerCount) {
    this.#corpus = corpus
    this.#producers = Array.from({ length: producerCount }, () => new ProducerLedger())
  }

  /** So many of its first records were acknowledged. */
  noteCount(producer, count) {
    const ledger = this.#producers[producer]
    ledger.acknowledged = Math.max(ledger.acknowledged, count)
  }

  /** The next record of this producer was acknowledged. */
  noteAck(producer, lsn, hash) {
    const ledger = this.#producers[producer]
    ledger.lsns.set(ledger.acknowledged, lsn)
    ledger.hashes.set(ledger.acknowledged, hash.readBigUInt64LE())
    ledger.acknowledged++
  }

  get acknowledged() {
    return this.#producers.reduce((sum, { acknowledged }) => sum + acknowledged, 0)
  }

  /** Acknowledged records that the log has, unchanged. */
  get recovered() {
    return this.#producers.reduce((sum, { recovered }) => sum + recovered, 0)
  }

  get lost() {
    return this.acknowledged - this.recovered
  }

  /** A record that the log has, in the order in which it returns them. */
  noteRecovered({ lsn, vshardId: producer, tenantId: number, payload }) {
    if (lsn <= this.#lastLsn) this.#fault(`LSN ${lsn} comes after ${this.#lastLsn}`)
    this.#lastLsn = lsn
    const ledger = this.#producers[producer]
    if (ledger === undefined) return this.#fault(`LSN ${lsn} is from a producer that is none`)
    if (ledger.seen.get(number) === 1)
      return this.#fault(`record ${number} of producer ${producer} came twice`)
    ledger.seen.set(number, 1)
    const line = lineOf(this.#corpus, producer, this.#producers.length, number)
    if (Buffer.compare(payload, line) !== 0) return this.#fault(`LSN ${lsn} is not what was committed`)
    if (number >= ledger.acknowledged) {
      this.more++
      return
    }
    const ackLsn = ledger.lsns.get(number)
    if (ackLsn !== 0 && ackLsn !== lsn) return this.#fault(`LSN ${lsn} was acknowledged as ${ackLsn}`)
    if (ackLsn !== 0 && hashOf(payload).readBigUInt64LE() !== ledger.hashes.get(number)) {
      return this.#fault(`LSN ${lsn} has another hash than when it was acknowledged`)
    }
    ledger.recovered++
  }

  #fault(what) {
    this.faults.push(what)
  }
}
