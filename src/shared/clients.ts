import { add, clearBits, compareExchange, load, notify, setBits, store, type Words } from './atomics.ts'
import { ASYNC_MASK, ASYNC_MASK_WORDS, CLIENT_WORDS, CLIENTS, CLIENTS_USED } from './layout.ts'
import type { SharedMemory } from './memory.ts'

/**
 * A client is whoever takes part in the protocol: a producer, or one of the internal workers. Each has two lines:
 *
 * word | name         | changed by        | waited on by | invariant
 *   0  | THREAD       | client (CAS)      | -            | 0 free; > 0 OS thread id; < 0 -(worker thread id) - 1 where no OS id is known
 *   1  | START_TICKS  | client            | -            | start time of that OS thread, 0 unknown
 *   2  | KIND         | client            | -            | ClientKind
 *   3  | ACQUISITIONS | client            | -            | counts its locks, so that an owner word is never used twice in a row
 *   4  | PLACE        | client            | -            | four words: position, sequence, granules, records of its newest reservation
 *   8  | REPORTED_DEAD| opener            | -            | WORKER_ID of a thread that the opener saw exit, or gone; says nothing about a later owner of the line
 *   9  | WORKER_ID    | client            | -            | threadId of its worker thread, 0 in the main thread
 *  16  | WAKE         | completers        | the client   | a counter, waited on by waitAsync only
 *  17  | ARMED_LSN    | client            | -            | low half of the LSN at which it wants to be woken
 *  18  | ARMED_ANY    | client            | -            | 1: it wants to be woken by any publication (it waits for ring space)
 */
const THREAD = 0
const START_TICKS = 1
const KIND = 2
const ACQUISITIONS = 3
const PLACE = 4
const REPORTED_DEAD = 8
const WORKER_ID = 9
const WAKE = 16
const ARMED_LSN = 17
const ARMED_ANY = 18

export const CLIENT_PRODUCER = 1
export const CLIENT_COMMITTER = 2
export const CLIENT_KEEPER = 3
/** The host's side of an open log. */
export const CLIENT_OPENER = 4

/** Bits of an owner word that hold the client number; the rest counts acquisitions. */
export const OWNER_CLIENT_BITS = 10
const OWNER_CLIENT_MASK = (1 << OWNER_CLIENT_BITS) - 1

/** The client number in an owner word. */
export function ownerClient(owner: number): number {
  return owner & OWNER_CLIENT_MASK
}

const EVERYBODY = 0x7fffffff

/** Identity of an OS thread, as far as the platform tells. */
export interface ThreadIdentity {
  /** OS thread id, or -(worker thread id) - 1. */
  thread: number
  /** Start time in clock ticks, 0 when unknown. */
  startTicks: number
  /** `threadId` of node:worker_threads. */
  workerId: number
}

/** View on all client lines. */
export class ClientTable {
  private readonly words: Words
  readonly maxClients: number

  constructor(memory: SharedMemory) {
    this.words = memory.words
    this.maxClients = memory.layout.maxClients
  }

  private at(client: number): number {
    return CLIENTS + client * CLIENT_WORDS
  }

  /** Takes the line when its thread word is still `expectedThread`. */
  claimThisLine(client: number, expectedThread: number, identity: ThreadIdentity, kind: number): boolean {
    const at = this.at(client)
    if (load(this.words, at + THREAD) !== expectedThread) return false
    if (!compareExchange(this.words, at + THREAD, expectedThread, identity.thread)) return false
    store(this.words, at + START_TICKS, identity.startTicks)
    store(this.words, at + WORKER_ID, identity.workerId)
    store(this.words, at + KIND, kind)
    store(this.words, at + ARMED_ANY, 0)
    clearBits(this.words, ASYNC_MASK + (client >>> 5), 1 << (client & 31))
    for (;;) {
      const used = load(this.words, CLIENTS_USED)
      if (used >= client || compareExchange(this.words, CLIENTS_USED, used, client)) return true
    }
  }

  freeLine(client: number): void {
    const at = this.at(client)
    clearBits(this.words, ASYNC_MASK + (client >>> 5), 1 << (client & 31))
    store(this.words, at + KIND, 0)
    store(this.words, at + START_TICKS, 0)
    store(this.words, at + THREAD, 0)
  }

  /** How many lines of this kind are taken, by threads that are not known to be dead. */
  countKind(kind: number): number {
    let count = 0
    for (let client = 1; client <= this.usedCount(); client++) {
      if (this.threadOf(client) === 0 || this.kindOf(client) !== kind) continue
      if (!this.isReportedDead(client)) count++
    }
    return count
  }

  /** Highest client number ever used. */
  usedCount(): number {
    return load(this.words, CLIENTS_USED)
  }

  threadOf(client: number): number {
    return load(this.words, this.at(client) + THREAD)
  }

  startTicksOf(client: number): number {
    return load(this.words, this.at(client) + START_TICKS)
  }

  kindOf(client: number): number {
    return load(this.words, this.at(client) + KIND)
  }

  workerIdOf(client: number): number {
    return load(this.words, this.at(client) + WORKER_ID)
  }

  isReportedDead(client: number): boolean {
    const reported = load(this.words, this.at(client) + REPORTED_DEAD)
    return reported !== 0 && reported === load(this.words, this.at(client) + WORKER_ID)
  }

  reportDead(client: number, workerId: number): void {
    store(this.words, this.at(client) + REPORTED_DEAD, workerId)
  }

  /** A fresh owner word of this client: its number and a count. */
  nextOwner(client: number): number {
    const count = add(this.words, this.at(client) + ACQUISITIONS, 1) + 1
    return (count << OWNER_CLIENT_BITS) | client
  }

  /** Byte offset of the four PLACE words, for WideWords.reserve. */
  placeAt(client: number): number {
    return (this.at(client) + PLACE) * 4
  }

  placePosition(client: number): number {
    return this.words[this.at(client) + PLACE]
  }

  placeSequence(client: number): number {
    return this.words[this.at(client) + PLACE + 1]
  }

  placeGranules(client: number): number {
    return this.words[this.at(client) + PLACE + 2]
  }

  placeRecords(client: number): number {
    return this.words[this.at(client) + PLACE + 3]
  }

  /** Notes in `client`'s line the place that it takes over from `from`. The publication of a new owner code orders it. */
  copyPlace(from: number, client: number): void {
    const source = this.at(from) + PLACE
    this.words.copyWithin(this.at(client) + PLACE, source, source + 4)
  }

  // ---- asynchronous wake-ups: one word per client, never shared with Atomics.wait

  wakeIndex(client: number): number {
    return this.at(client) + WAKE
  }

  wakeValue(client: number): number {
    return load(this.words, this.at(client) + WAKE)
  }

  /** Asks to be woken when `lsn` is decided, or by any publication. Re-check after the call, then wait. */
  armClient(client: number, lsn: number, any: boolean): void {
    const at = this.at(client)
    store(this.words, at + ARMED_LSN, lsn | 0)
    store(this.words, at + ARMED_ANY, any ? 1 : 0)
    setBits(this.words, ASYNC_MASK + (client >>> 5), 1 << (client & 31))
  }

  /** Wakes the clients that wait for an LSN up to `durableLsn`. */
  wakeArmed(durableLsn: number): void {
    const durable = durableLsn | 0
    const last = this.usedCount() >>> 5
    for (let index = 0; index <= last; index++) {
      let bits = load(this.words, ASYNC_MASK + index)
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits)
        bits &= ~(1 << bit)
        const client = (index << 5) | bit
        const at = this.at(client)
        const reached = ((durable - load(this.words, at + ARMED_LSN)) | 0) >= 0
        if (reached || load(this.words, at + ARMED_ANY) === 1) this.wakeClient(client)
      }
    }
  }

  wakeClient(client: number): void {
    if (clearBits(this.words, ASYNC_MASK + (client >>> 5), 1 << (client & 31)) === 0) return
    add(this.words, this.at(client) + WAKE, 1)
    // All: a producer that was closed may have left a waitAsync of its own on the line that this one has now.
    notify(this.words, this.at(client) + WAKE, EVERYBODY)
  }

  /** Wakes every client that waits asynchronously, whatever for. */
  wakeAllArmed(): void {
    for (let client = 1; client <= this.usedCount(); client++) this.wakeClient(client)
  }
}

/** How many clients the asynchronous mask can hold, for layout checks. */
export const ASYNC_CLIENTS_LIMIT: number = ASYNC_MASK_WORDS * 32
