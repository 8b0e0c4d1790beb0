import { assert } from '../assert.ts'
import { RecordEncoder, type RecordFields } from '../format/record-encoder.ts'
import { GRANULE_SHIFT } from '../shared/layout.ts'
import { PHASE_OPEN } from '../shared/phase.ts'
import type { CommitContext } from './context.ts'
import type { Leader } from './leader.ts'
import { granulesOfRecord } from './prefix.ts'
import { RECHECK_MS, type Watch } from './watch.ts'

/** A place was reserved; its first LSN is `firstLsn`. */
export const APPEND_RESERVED = 0
/** The ring is full. */
export const APPEND_FULL = 1
/** The log is failed, closing or closed. */
export const APPEND_REFUSED = 2
/** The deadline passed while the ring was full. */
export const APPEND_TIMED_OUT = 3

/** The last LSN that is handed out: far enough below 2^53 that everything in flight stays exact. */
export const LSN_LIMIT: number = Number.MAX_SAFE_INTEGER - 2 ** 28

/** One record, ready to be encoded. Reused by the producer. */
export interface EncodableRecord extends RecordFields {
  payload: Uint8Array
  /** Where in `payload` the bytes are. */
  from: number
  length: number
}

/** Reserves places in the ring, encodes records there, and publishes them. */
export class Appender {
  private readonly context: CommitContext
  private readonly leader: Leader
  private readonly watch: Watch
  private readonly encoder: RecordEncoder
  private position: number
  private granulesLeft: number
  private nextPosition: number
  /** Of the newest reservation. */
  firstLsn: number

  constructor(context: CommitContext, leader: Leader, watch: Watch) {
    this.context = context
    this.leader = leader
    this.watch = watch
    this.encoder = new RecordEncoder(context.memory.words, context.memory.bytes)
    this.position = 0
    this.granulesLeft = 0
    this.nextPosition = 0
    this.firstLsn = 0
  }

  /** Reserves `granules` for `recordCount` records, without waiting. Encode and publish must follow. */
  tryReserve(granules: number, recordCount: number): number {
    const { ring, clients, client, control, phases } = this.context
    if (phases.phase() !== PHASE_OPEN) return APPEND_REFUSED
    if (!ring.reservePlace(clients, client, granules, recordCount)) return APPEND_FULL
    this.position = clients.placePosition(client)
    this.nextPosition = this.position
    this.granulesLeft = granules
    // The sequence is the low half of the LSN. Whatever is staged meanwhile, the LSN at the head does not pass this
    // place before it is published, and is less than 2^31 below it, so it tells the rest. (The durable LSN of a new
    // log does not: it is 0, wherever its LSNs begin.)
    const headLsn = control.headLsn()
    this.firstLsn = headLsn + ((clients.placeSequence(client) - headLsn) | 0)
    assert(this.firstLsn >= headLsn, 'an LSN is handed out before it is staged')
    return APPEND_RESERVED
  }

  /** After APPEND_FULL: waits for ring space, leading itself if nobody else does. */
  reserveWhenFree(granules: number, recordCount: number, deadlineMs: number): number {
    const { control, counters } = this.context
    counters.count('fullRings', 1)
    for (;;) {
      const value = control.spaceValue()
      const result = this.tryReserve(granules, recordCount)
      if (result !== APPEND_FULL) return result
      if (this.leader.tryLead()) continue
      // Said before the last look: whoever frees space after that look sees that it is wanted.
      control.wantSpace()
      const again = this.tryReserve(granules, recordCount)
      if (again !== APPEND_FULL) return again
      const timeoutMs = Math.min(RECHECK_MS, deadlineMs - this.context.clock.monotonicMs())
      if (timeoutMs <= 0) return APPEND_TIMED_OUT
      if (!control.waitForSpace(value, timeoutMs)) this.watch.lookForDead()
    }
  }

  /** Encodes the next record of the reservation. Its `lsn` must be firstLsn plus its place in the batch. */
  encodeNext(record: EncodableRecord): void {
    const granules = granulesOfRecord(record.length)
    assert(granules <= this.granulesLeft, 'a record fits into its reservation')
    const at =
      this.context.ring.wordIndexOf(this.position) +
      ((this.nextPosition - this.position) << (GRANULE_SHIFT - 2))
    this.encoder.encodeRecord(at, granules, record, record.payload, record.from, record.length)
    this.nextPosition = (this.nextPosition + granules) | 0
    this.granulesLeft -= granules
  }

  /** Makes all records of the reservation visible at once. */
  publish(): void {
    assert(this.granulesLeft === 0, 'a reservation is filled before it is published')
    const { ring, client } = this.context
    const published = ring.publishPlace(client, this.position)
    assert(published, 'nobody takes the place of a thread that lives')
  }

  /** After publish: does the ring begin with this record? Then others may wait behind the hole that it was. */
  isFirstInRing(): boolean {
    return this.context.ring.head() === this.position
  }

  /** Gives a reservation back as a noop: its LSNs stand for nothing. */
  publishNoop(recordCount: number, granules: number): void {
    const { ring, client } = this.context
    this.encoder.encodeNoop(ring.wordIndexOf(this.position), granules, this.firstLsn, recordCount)
    ring.publishPlace(client, this.position)
  }
}
