import { setTimeout as delay } from 'node:timers/promises'
import { parentPort } from 'node:worker_threads'
import { WaitGivenUpError } from '../../errors.ts'
import { connect } from '../../host/connect.ts'
import type { LogHandle } from '../../host/handle.ts'
import type { Producer } from '../../host/producer.ts'
import type { RecordInput } from '../../host/record-input.ts'
import type { Words } from '../../shared/atomics.ts'
import { microsSince } from '../latency.ts'
import { PAUSE, RUN, StressControl } from './control.ts'
import { LedgerWriter, TOLD_DURABLE, TOLD_INDETERMINATE, TOLD_NOT_WRITTEN, TOLD_NOTHING } from './ledger.ts'
import { mix, type PlanSpec, StressPlan } from './plan.ts'

/** What one incarnation of a producer is to do. */
export interface ProducerTask {
  handle: LogHandle
  words: Words
  plan: PlanSpec
  producer: number
  incarnation: number
  /** Directory of the ledgers. */
  ledgers: string
  canFail: boolean
  /** After this time it ends in one of these ways, amid whatever is under way. */
  death: { afterMs: number; way: 'exit' | 'throw' } | undefined
}

/** Thrown by a producer that is to die by an exception. */
export const DEATH_MESSAGE = 'this producer was to die'

/** Promises that one producer has pending, and records that it appends before it flushes. */
const WINDOW = 64
const PAUSE_MS = 5
const GIVE_UP_EVERY = 200
const SAMPLE_EVERY = 4

/** An operation: records that stand or fall together. */
interface Operation {
  firstIndex: number
  recordCount: number
  /** Undefined while it is under way. */
  told: number | undefined
  firstLsn: number
}

export function runStressProducer(task: ProducerTask): void {
  const producer = new StressProducer(task)
  producer.run().catch((error: Error) => {
    if (error.message === DEATH_MESSAGE) throw error
    parentPort!.postMessage({ violation: `${producer.name}: ${error.stack}` })
  })
}

/** Commits until it is stopped, and notes down what it was told. */
class StressProducer {
  readonly name: string
  private readonly task: ProducerTask
  private readonly plan: StressPlan
  private readonly control: StressControl
  private readonly producer: Producer
  private readonly ledger: LedgerWriter
  private readonly startMs: number
  private nextIndex: number
  private operations: number
  /** In the order of their calls; those at the front that have ended are noted down. */
  private readonly underWay: Operation[]
  private isFlushPlanned: boolean

  constructor(task: ProducerTask) {
    this.task = task
    this.plan = new StressPlan(task.plan)
    this.name = `producer ${task.incarnation} (${this.plan.modeOf(task.incarnation)})`
    this.control = new StressControl(task.words)
    this.producer = connect(task.handle)
    this.ledger = new LedgerWriter(task.ledgers, task.incarnation)
    this.startMs = performance.now()
    this.nextIndex = 0
    this.operations = 0
    this.underWay = []
    this.isFlushPlanned = false
  }

  async run(): Promise<void> {
    this.tryTooLarge()
    const mode = this.plan.modeOf(this.task.incarnation)
    if (mode === 'promise') await Promise.all(Array.from({ length: WINDOW }, () => this.commitOneByOne()))
    while (await this.mayGoOn()) {
      if (mode === 'sync') this.commitBlocking()
      else if (mode === 'batch') await this.commitTogether()
      else await this.appendWindow()
    }
    this.producer.close()
    this.ledger.close()
  }

  /** False when it is time to end. */
  private async mayGoOn(): Promise<boolean> {
    while (this.control.state() === PAUSE) await delay(PAUSE_MS)
    return this.control.state() === RUN
  }

  private tryTooLarge(): void {
    const payload = new Uint8Array(this.plan.maxPayloadBytes + 1)
    try {
      this.producer.tryAppend({ payload })
    } catch (error) {
      if (error instanceof RangeError) return
    }
    throw new Error(`a record of ${payload.length} bytes was not refused`)
  }

  private begin(): Operation {
    const { death } = this.task
    if (death !== undefined && performance.now() - this.startMs >= death.afterMs) this.die(death.way)
    this.operations++
    const firstIndex = this.nextIndex
    const recordCount = this.plan.batchLength(this.task.incarnation, firstIndex)
    this.nextIndex += recordCount
    const operation = { firstIndex, recordCount, told: undefined, firstLsn: 0 }
    this.underWay.push(operation)
    return operation
  }

  private die(way: 'exit' | 'throw'): never {
    if (way === 'exit') process.exit(0)
    throw new Error(DEATH_MESSAGE)
  }

  private recordsOf({ firstIndex, recordCount }: Operation): RecordInput[] {
    const { incarnation } = this.task
    return Array.from({ length: recordCount }, (_, offset) =>
      this.plan.recordOf({ incarnation, index: firstIndex + offset }),
    )
  }

  private commitBlocking(): void {
    const operation = this.begin()
    const startMs = performance.now()
    try {
      const [record] = this.recordsOf(operation)
      const { lsn, durable } = this.isGivenUp(operation)
        ? this.producer.commitSync(record!, { timeoutMs: 1 })
        : this.producer.commitSync(record!)
      this.acknowledge(operation, lsn, lsn, durable, startMs)
    } catch (error) {
      this.fail(operation, error)
      this.control.pause(PAUSE_MS)
    }
  }

  /** A batch, blocking or not. */
  private async commitTogether(): Promise<void> {
    const operation = this.begin()
    const startMs = performance.now()
    const records = this.recordsOf(operation)
    try {
      const { firstLsn, lastLsn, durable } =
        mix(operation.firstIndex, this.task.incarnation, 7) % 2 === 0
          ? this.producer.commitBatchSync(records)
          : await this.producer.commitBatch(records)
      this.acknowledge(operation, firstLsn, lastLsn, durable, startMs)
    } catch (error) {
      this.fail(operation, error)
      await delay(PAUSE_MS)
    }
  }

  /** One of many that are pending. */
  private async commitOneByOne(): Promise<void> {
    while (await this.mayGoOn()) {
      const operation = this.begin()
      const startMs = performance.now()
      const options = this.isGivenUp(operation) ? { timeoutMs: 1 } : undefined
      const records = this.recordsOf(operation)
      try {
        if (records.length === 1) {
          const { lsn, durable } = await this.producer.commit(records[0]!, options)
          this.acknowledge(operation, lsn, lsn, durable, startMs)
        } else {
          const { firstLsn, lastLsn, durable } = await this.producer.commitBatch(records, options)
          this.acknowledge(operation, firstLsn, lastLsn, durable, startMs)
        }
      } catch (error) {
        this.fail(operation, error)
        await delay(PAUSE_MS)
      }
    }
  }

  /** Appends some records, then learns of all of them at once. */
  private async appendWindow(): Promise<void> {
    const appended: Operation[] = []
    const count = 1 + (mix(this.nextIndex, this.task.incarnation, 11) % WINDOW)
    const startMs = performance.now()
    let refused: unknown
    let unplaced: Operation | undefined
    while (appended.length < count && unplaced === undefined) {
      const operation = this.begin()
      try {
        const [record] = this.recordsOf(operation)
        const isPatient = mix(operation.firstIndex, this.task.incarnation, 13) % 4 !== 0
        const lsn = isPatient ? undefined : this.producer.tryAppend(record!)
        operation.firstLsn = lsn ?? this.producer.append(record!)
        appended.push(operation)
      } catch (error) {
        unplaced = operation
        refused = error
      }
    }
    await this.flushWindow(appended, startMs)
    if (unplaced === undefined) return
    this.fail(unplaced, refused)
    await delay(PAUSE_MS)
  }

  private async flushWindow(appended: Operation[], startMs: number): Promise<void> {
    if (appended.length === 0) return
    try {
      if (appended.length % 2 === 0) this.producer.flushSync()
      else await this.producer.flush()
    } catch (error) {
      this.checkExpected(error)
      // Which of them failed is not said.
      for (const operation of appended) this.end(operation, TOLD_NOTHING, operation.firstLsn)
      await delay(PAUSE_MS)
      return
    }
    for (const operation of appended) {
      this.acknowledge(operation, operation.firstLsn, operation.firstLsn, true, startMs)
    }
  }

  private isGivenUp({ firstIndex }: Operation): boolean {
    return mix(firstIndex, this.task.incarnation, 5) % GIVE_UP_EVERY === 0
  }

  private acknowledge(
    operation: Operation,
    firstLsn: number,
    lastLsn: number,
    durable: boolean,
    startMs: number,
  ): void {
    const isSound = durable && lastLsn - firstLsn + 1 === operation.recordCount
    if (!isSound)
      throw new Error(`a receipt of LSN ${firstLsn} to ${lastLsn} for ${operation.recordCount} records`)
    const { durableLsn } = this.producer
    if (durableLsn < lastLsn)
      throw new Error(`LSN ${lastLsn} was acknowledged, the durable LSN is ${durableLsn}`)
    if (this.operations % SAMPLE_EVERY === 0) this.control.recordLatency(microsSince(startMs))
    this.end(operation, TOLD_DURABLE, firstLsn)
  }

  private fail(operation: Operation, error: unknown): void {
    this.checkExpected(error)
    const { outcome, lsn } = error as { outcome?: string; lsn?: number }
    const told = error instanceof WaitGivenUpError ? TOLD_NOTHING : TOLD_INDETERMINATE
    // Of a batch it is some one.
    const firstLsn = lsn === undefined || operation.recordCount > 1 ? 0 : lsn
    this.end(operation, outcome === 'not-written' ? TOLD_NOT_WRITTEN : told, firstLsn)
  }

  /** Anything else than what this run brings about is a bug. */
  private checkExpected(error: unknown): void {
    const { code } = error as { code?: string }
    if (code === 'GROUPWAL_COMMIT_FAILED' && this.task.canFail) return
    if (code === 'GROUPWAL_TIMEOUT') return
    throw error
  }

  /** What ended is noted down in the order of the calls. */
  private end(operation: Operation, told: number, firstLsn: number): void {
    operation.told = told
    operation.firstLsn = firstLsn
    this.control.countOperation(this.task.producer, told === TOLD_DURABLE ? operation.recordCount : 0)
    let ended = 0
    for (const each of this.underWay) {
      if (each.told === undefined) break
      this.noteDown(each)
      ended++
    }
    this.underWay.splice(0, ended)
    if (this.underWay.length === 0) this.ledger.flush()
    else this.planFlush()
  }

  private noteDown({ told, firstLsn, recordCount }: Operation): void {
    for (let offset = 0; offset < recordCount; offset++) {
      this.ledger.add(told!, firstLsn === 0 ? 0 : firstLsn + offset)
    }
  }

  /** Behind all promises that are settled in this turn. */
  private planFlush(): void {
    if (this.isFlushPlanned) return
    this.isFlushPlanned = true
    process.nextTick(() => {
      this.isFlushPlanned = false
      this.ledger.flush()
    })
  }
}
