import { assert } from '../assert.ts'
import {
  APPEND_FULL,
  APPEND_REFUSED,
  APPEND_RESERVED,
  APPEND_TIMED_OUT,
  Appender,
  type EncodableRecord,
  LSN_LIMIT,
} from '../commit/appender.ts'
import type { CommitContext } from '../commit/context.ts'
import type { Follower } from '../commit/follower.ts'
import type { Leader } from '../commit/leader.ts'
import type { Watch } from '../commit/watch.ts'
import { GroupWalError, LogClosedError, WaitGivenUpError } from '../errors.ts'
import { PHASE_CLOSED, PHASE_SEALING, VERDICT_DURABLE } from '../shared/phase.ts'
import type { Batch } from './batch.ts'
import { refusalError, verdictError } from './failure.ts'

/** Calls deeper than the protocol's own: a stack too short for it overflows here, before anything is taken. */
const STACK_PROBE_DEPTH = 48

/**
 * Puts a producer's records into the ring: enters and leaves the protocol, turns refusals into errors. `enter`
 * comes first, `leave` last; in between nothing of the caller's runs.
 */
export class Placer {
  private readonly context: CommitContext
  private readonly appender: Appender
  private readonly follower: Follower
  private readonly watch: Watch
  /** A call is on the stack; if one is found here on entering, it was cut off. */
  private isInside: boolean
  private isClosed: boolean
  /** LSN of the newest record, 0 when there is none. */
  lastLsn: number

  constructor(context: CommitContext, leader: Leader, watch: Watch, follower: Follower) {
    this.context = context
    this.appender = new Appender(context, leader, watch)
    this.follower = follower
    this.watch = watch
    this.isInside = false
    this.isClosed = false
    this.lastLsn = 0
  }

  /** Before anything is taken: heals what a call that was cut off left behind. */
  enter(): void {
    if (this.isClosed) throw new LogClosedError('this producer is closed', { outcome: 'not-written' })
    if (this.isInside) this.heal()
    this.isInside = true
  }

  /** It may lead: a write that the stack does not suffice for would pass for one that failed. */
  private heal(): void {
    descend(STACK_PROBE_DEPTH)
    this.watch.healOwn()
  }

  /** As enter, for calls that wait and may lead: makes sure that the stack suffices. */
  enterBlocking(): void {
    descend(STACK_PROBE_DEPTH)
    this.enter()
  }

  /** Nothing was taken yet: a stack that is too short leaves nothing behind. */
  private probeStack(): void {
    this.isInside = false
    descend(STACK_PROBE_DEPTH)
    this.isInside = true
  }

  leave(): void {
    this.isInside = false
  }

  /** No more calls. What one that was cut off left behind is healed first: the line may be given to another. */
  close(): void {
    if (this.isInside) this.heal()
    this.isInside = false
    this.isClosed = true
  }

  /** For those who publish and do not lead: wakes one who may wait behind the place that was a hole until now. */
  wakeBehindHole(): void {
    const { control } = this.context
    if (this.appender.isFirstInRing()) control.wakeHeir(control.stagedCount())
  }

  /** First LSN of the newest reservation. */
  get reservedLsn(): number {
    return this.appender.firstLsn
  }

  /** Reserves without waiting; false when the ring is full. */
  tryReserve(granules: number, recordCount: number): boolean {
    const result = this.appender.tryReserve(granules, recordCount)
    if (result === APPEND_REFUSED) this.refuse(refusalError(this.context.phases))
    return result === APPEND_RESERVED && this.checkLimit(granules, recordCount)
  }

  /** Reserves, waiting for ring space: then it may lead, too, so it first makes sure that the stack suffices. */
  reserve(granules: number, recordCount: number, deadlineMs: number): void {
    let result = this.appender.tryReserve(granules, recordCount)
    if (result === APPEND_FULL) {
      this.probeStack()
      result = this.appender.reserveWhenFree(granules, recordCount, deadlineMs)
    }
    assert(result !== APPEND_FULL, 'a blocking reservation waits')
    if (result === APPEND_REFUSED) this.refuse(refusalError(this.context.phases))
    if (result === APPEND_TIMED_OUT) {
      const message = 'the ring was full until timeoutMs passed: the record was not written'
      this.refuse(new WaitGivenUpError('GROUPWAL_TIMEOUT', message, { outcome: 'not-written' }))
    }
    this.checkLimit(granules, recordCount)
  }

  /** Fills and publishes a reservation for one record; returns its LSN. */
  publishOne(record: EncodableRecord): number {
    const lsn = this.appender.firstLsn
    record.lsn = lsn
    this.appender.encodeNext(record)
    this.publish(lsn)
    return lsn
  }

  /** Fills and publishes a reservation for a batch; returns its first LSN. */
  publishBatch(batch: Batch): number {
    const firstLsn = this.appender.firstLsn
    const last = batch.records.length - 1
    for (let index = 0; index <= last; index++) {
      const record = batch.records[index]
      record.lsn = firstLsn + index
      record.continues = index < last
      this.appender.encodeNext(record)
    }
    this.publish(firstLsn + last)
    return firstLsn
  }

  /** An LSN that close() did not see any more is not handed out. */
  private publish(lastLsn: number): void {
    const { phases } = this.context
    this.appender.publish()
    const phase = phases.phase()
    if (phase === PHASE_SEALING || phase === PHASE_CLOSED) {
      const verdict = this.follower.awaitVerdict(lastLsn, Number.POSITIVE_INFINITY)
      if (verdict !== VERDICT_DURABLE) this.refuse(verdictError(verdict, undefined, phases))
    }
    this.lastLsn = lastLsn
  }

  private checkLimit(granules: number, recordCount: number): boolean {
    if (this.appender.firstLsn + recordCount <= LSN_LIMIT) return true
    this.appender.publishNoop(recordCount, granules)
    const message = `the log has reached its last LSN, ${LSN_LIMIT}; begin a new one`
    return this.refuse(new GroupWalError('GROUPWAL_LSN_EXHAUSTED', message))
  }

  private refuse(error: Error): never {
    this.isInside = false
    throw error
  }
}

function descend(depth: number): number {
  return depth === 0 ? 0 : descend(depth - 1) + 1
}
