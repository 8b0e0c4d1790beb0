// A thread that does not block: a producer of the production code, its promises, and what they tell. Part of the explored
// build, see protocol-entry.ts.

import type { EncodableRecord } from '../../src/commit/appender.ts'
import type { CommitContext } from '../../src/commit/context.ts'
import { GroupWalError } from '../../src/errors.ts'
import { Producer } from '../../src/host/producer.ts'
import type { RecordInput } from '../../src/host/record-input.ts'
import {
  VERDICT_ABANDONED,
  VERDICT_CLOSED,
  VERDICT_DURABLE,
  VERDICT_INDETERMINATE,
  VERDICT_NOT_WRITTEN,
} from '../../src/shared/phase.ts'
import type { EventLoop, ModelPromise } from './event-loop.ts'
import type { Ledger, Task } from './protocol-entry.ts'
import { Violation } from './scheduling.ts'

/** What the error of a promise says. */
interface Told {
  outcome?: string
  lsn?: number
  code?: string
}

export class PromiseClient {
  private readonly number: number
  private readonly producer: Producer
  private readonly loop: EventLoop
  private readonly inputs: RecordInput[]
  private readonly ledger: Ledger
  /** Promises that the application holds, and that are not settled. */
  private waitingCount: number
  /** Of its commits in the order of the calls, as far as they are known: of one that waited for ring space afterwards. */
  private readonly lsns: (number | undefined)[]

  constructor(
    number: number,
    context: CommitContext,
    loop: EventLoop,
    records: readonly EncodableRecord[],
    ledger: Ledger,
    leadsItself: boolean,
  ) {
    this.number = number
    this.producer = new Producer(context, leadsItself ? Number.POSITIVE_INFINITY : 0)
    this.loop = loop
    this.inputs = records.map(({ payload }) => ({ payload }))
    this.ledger = ledger
    this.waitingCount = 0
    this.lsns = []
  }

  /** A part of a turn of the event loop, or the wait for other turns. */
  runTask(task: Task): void {
    if (task.kind === 'turn') this.loop.goRound()
    else if (task.kind === 'settle') this.awaitAll()
    else if (task.kind === 'append') this.append(task.record)
    else if (task.kind === 'flush') this.flush()
    else if (task.kind === 'commit') this.commit(task.record, 1)
    else if (task.kind === 'batch') this.commit(task.record, task.count)
    else throw new Error(`no task of a thread with an event loop: ${task.kind}`)
  }

  /** Until every promise is settled. What keeps the thread alive till then is the timer of AsyncCommits, and nothing else. */
  awaitAll(): void {
    const isAlive = this.loop.runUntil(() => this.waitingCount === 0)
    if (!isAlive) throw new Violation('P10', `T${this.number} ends, and its promises were never settled`)
  }

  private commit(first: number, count: number): void {
    const { producer, inputs, ledger, number, lsns } = this
    const before = producer.lastLsn
    const promise: unknown =
      count === 1 ? producer.commit(inputs[first]) : producer.commitBatch(inputs.slice(first, first + count))
    const call = lsns.push(undefined) - 1
    if (producer.lastLsn !== before) {
      const lsn = producer.lastLsn - count + 1
      this.noteLsn(call, lsn)
      ledger.placed(number, first, count, lsn)
    }
    this.follow(promise as ModelPromise, (value, error) => {
      if (error === undefined)
        this.tellDurable(call, first, count, value as { lsn: number; firstLsn: number })
      else this.tellFailed(call, first, count, error)
    })
  }

  private noteLsn(call: number, lsn: number): void {
    const { lsns, number } = this
    lsns[call] = lsn
    for (const [other, known] of lsns.entries()) {
      if (known !== undefined && other !== call && known < lsn !== other < call)
        throw new Violation(
          'P2',
          `T${number} got LSN ${lsn} by its call ${call}, and ${known} by call ${other}`,
        )
    }
  }

  private tellLsn(call: number, first: number, count: number, lsn: number): void {
    this.noteLsn(call, lsn)
    for (let index = 0; index < count; index++) this.ledger.ownIs(lsn + index, this.number, first + index)
  }

  private tellDurable(
    call: number,
    first: number,
    count: number,
    { lsn, firstLsn }: { lsn: number; firstLsn: number },
  ): void {
    const from = count === 1 ? lsn : firstLsn
    this.tellLsn(call, first, count, from)
    for (let index = 0; index < count; index++) this.ledger.decided(from + index, VERDICT_DURABLE)
  }

  private tellFailed(call: number, first: number, count: number, error: Error): void {
    const { outcome, lsn, code } = error as Error & Told
    // The production code takes every error for the end of a stack: it may be one of the model.
    const thrown = code === 'GROUPWAL_ABORTED' ? ((error.cause ?? error) as Error) : error
    if (!(thrown instanceof GroupWalError) && thrown.name !== 'StackOverflow') throw thrown
    if (!(error instanceof GroupWalError)) {
      // It never got a place: so it says of itself.
      Object.assign(error, { outcome: 'not-written' })
    }
    if (lsn === undefined) {
      if (this.lsns[call] !== undefined)
        throw new Violation('P2', `T${this.number} had a place, and is told of none: ${error.message}`)
      this.ledger.refused(this.number, first, count, error as GroupWalError)
      return
    }
    this.tellLsn(call, first, count, lsn)
    // Cut off: nobody says what became of it.
    if (code === 'GROUPWAL_ABORTED') return
    const isDoubtful = outcome === 'indeterminate'
    const failed = isDoubtful ? VERDICT_INDETERMINATE : VERDICT_NOT_WRITTEN
    const closed = isDoubtful ? VERDICT_ABANDONED : VERDICT_CLOSED
    const verdict = code === 'GROUPWAL_CLOSED' ? closed : failed
    for (let index = 0; index < count; index++) this.ledger.decided(lsn + index, verdict)
  }

  private append(record: number): void {
    const { producer, ledger, number } = this
    try {
      ledger.placed(number, record, 1, producer.append(this.inputs[record]))
    } catch (error) {
      if (!(error instanceof GroupWalError)) throw error
      ledger.refused(number, record, 1, error)
    }
  }

  private flush(): void {
    const target = this.producer.lastLsn
    // Of what waits for ring space it speaks as well, and of no LSN that is known by now.
    const isBehindQueued = this.lsns.includes(undefined)
    this.follow(this.producer.flush() as unknown as ModelPromise, (_, error) => {
      if (error === undefined && target > 0 && !isBehindQueued) this.ledger.decided(target, VERDICT_DURABLE)
    })
  }

  private follow(promise: ModelPromise, told: (value: unknown, error: Error | undefined) => void): void {
    this.waitingCount++
    promise.then(() => {
      this.waitingCount--
      if (promise.isRejected) told(undefined, promise.value as Error)
      else told(promise.value, undefined)
    })
  }
}
