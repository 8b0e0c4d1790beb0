import type { GroupWalError } from '../../src/errors.ts'
import {
  VERDICT_ABANDONED,
  VERDICT_DURABLE,
  VERDICT_INDETERMINATE,
  VERDICT_PENDING,
} from '../../src/shared/phase.ts'
import type { Configuration } from './configuration.ts'
import { CELL_SYNCED, LSN_LIMIT, type Submitted } from './crash-states.ts'
import type { ModelDisk } from './disk.ts'
import { NOOP } from './frames.ts'
import type { Machine } from './machine.ts'
import type { Ledger } from './protocol-entry.ts'
import { Violation } from './scheduling.ts'
import { DEAD } from './threads.ts'

/** What stands in the shared memory of a run. */
export interface LogWords {
  durableLsn(): number
  /** The first LSN behind the newest resume. */
  resumedFrom(): number
  failures(): number
  recheckRescues(): number
  /** What the log says of a record now. */
  verdictOn(lsn: number): number
  /** What is still held or waits in the ring; '' when nothing does. */
  rest(hasDeath: boolean): string
}

/** Who submitted a record: thread and number. */
export function ownerCode(thread: number, record: number): number {
  return thread * 16 + record + 1
}

/** What the threads of a run were told, and whether all of it is true, at every instant and at the end. */
export class Promises implements Ledger, Submitted {
  private readonly configuration: Configuration
  private readonly machine: Machine
  private readonly disk: () => ModelDisk
  private readonly words: () => LogWords
  private readonly ownerByPayload: (payload: Uint8Array) => number
  private readonly maxOutstandingRecords: number
  private readonly batches: { first: number; count: number }[]
  private readonly submittedCount: number
  private readonly hasClose: boolean
  /** By LSN - firstLsn: owner code of the record that got it, 0 when nobody was told. */
  private readonly owners: Int32Array
  private readonly verdicts: Int8Array
  /** By LSN - firstLsn: 1 where a dead producer left a hole. */
  private readonly holes: Uint8Array
  private readonly lastLsn: Float64Array
  private readonly refusedOwners: number[]
  /** LSNs from the first one on: those that callers were told, and those that anything is known of. */
  private handedOut: number
  private knownCount: number
  private isClosed: boolean
  /** Instants at which a crash was looked at, in all runs. */
  crashPoints: number

  constructor(
    configuration: Configuration,
    machine: Machine,
    maxOutstandingRecords: number,
    outside: { disk(): ModelDisk; words(): LogWords; ownerOf(payload: Uint8Array): number },
  ) {
    this.configuration = configuration
    this.machine = machine
    this.maxOutstandingRecords = maxOutstandingRecords
    this.disk = outside.disk
    this.words = outside.words
    this.ownerByPayload = outside.ownerOf
    this.batches = []
    this.submittedCount = this.countRecords()
    this.hasClose = configuration.threads.some(({ tasks }) => tasks.some(({ kind }) => kind === 'close'))
    this.owners = new Int32Array(LSN_LIMIT)
    this.verdicts = new Int8Array(LSN_LIMIT)
    this.holes = new Uint8Array(LSN_LIMIT)
    this.lastLsn = new Float64Array(configuration.threads.length + 1)
    this.refusedOwners = []
    this.handedOut = 0
    this.knownCount = 0
    this.isClosed = false
    this.crashPoints = 0
  }

  private countRecords(): number {
    let count = 0
    for (const [thread, { tasks }] of this.configuration.threads.entries()) {
      for (const task of tasks) {
        if (task.kind === 'commit' || task.kind === 'append') count++
        if (task.kind !== 'batch') continue
        count += task.count
        this.batches.push({ first: ownerCode(thread, task.record), count: task.count })
      }
    }
    return count
  }

  /** Before a run. */
  reset(): void {
    this.owners.fill(0)
    this.verdicts.fill(0)
    this.holes.fill(0)
    this.lastLsn.fill(0)
    this.refusedOwners.length = 0
    this.handedOut = 0
    this.knownCount = 0
    this.isClosed = false
  }

  // ---- what was submitted

  ownerOf(payload: Uint8Array): number {
    return this.ownerByPayload(payload)
  }

  isWhole(owners: Int32Array): boolean {
    return this.batches.every(({ first, count }) => {
      const at = owners.indexOf(first)
      for (let index = 1; index < count; index++) {
        const isNext = at >= 0 ? owners[at + index] === first + index : !owners.includes(first + index)
        if (!isNext) return false
      }
      return true
    })
  }

  // ---- what the threads tell

  placed(thread: number, first: number, count: number, firstLsn: number): void {
    const at = firstLsn - this.configuration.firstLsn
    if (firstLsn <= this.lastLsn[thread]) {
      throw new Violation('P2', `T${thread} got LSN ${firstLsn} after ${this.lastLsn[thread]}`)
    }
    if (at < 0 || at + count > LSN_LIMIT) throw new Violation('P2', `LSN ${firstLsn} was never handed out`)
    this.lastLsn[thread] = firstLsn + count - 1
    for (let index = 0; index < count; index++) {
      if (this.owners[at + index] !== 0)
        throw new Violation('P2', `LSN ${firstLsn + index} was handed out twice`)
      this.owners[at + index] = ownerCode(thread, first + index)
    }
    this.handedOut = Math.max(this.handedOut, at + count)
    this.knownCount = Math.max(this.knownCount, at + count)
    this.checkBounds()
    this.checkCrash()
  }

  ownIs(lsn: number, thread: number, record: number): void {
    const at = lsn - this.configuration.firstLsn
    const owner = ownerCode(thread, record)
    if (at < 0 || at >= LSN_LIMIT) throw new Violation('P2', `LSN ${lsn} was never handed out`)
    if (this.owners[at] !== 0 && this.owners[at] !== owner)
      throw new Violation('P2', `T${thread} is told that LSN ${lsn} is that of its record ${record}`)
    this.owners[at] = owner
    this.handedOut = Math.max(this.handedOut, at + 1)
    this.knownCount = Math.max(this.knownCount, at + 1)
    this.checkBounds()
    this.checkCrash()
  }

  /** What recovery leaves out behind an unclean end rests on it. */
  private checkBounds(): void {
    const { firstLsn } = this.configuration
    const words = this.words()
    const settled = Math.max(firstLsn - 1, words.durableLsn(), words.resumedFrom() - 1)
    if (firstLsn + this.handedOut - 1 > settled + this.maxOutstandingRecords)
      throw new Violation('P9', 'more records are under way than ring and staging slots hold')
  }

  refused(thread: number, first: number, count: number, error: GroupWalError): void {
    const { outcome } = error as GroupWalError & { outcome?: string }
    if (outcome !== 'not-written') return
    for (let index = 0; index < count; index++) this.refusedOwners.push(ownerCode(thread, first + index))
  }

  decided(lsn: number, verdict: number): void {
    const at = lsn - this.configuration.firstLsn
    if (verdict === VERDICT_PENDING) throw new Violation('P5', `record ${lsn} has no verdict`)
    if (this.verdicts[at] !== 0 && !isSameVerdict(this.verdicts[at], verdict)) {
      throw new Violation('P5', `the verdict on record ${lsn} was ${this.verdicts[at]}, and is ${verdict}`)
    }
    this.verdicts[at] = verdict
    this.knownCount = Math.max(this.knownCount, at + 1)
    if (outcomeOf(verdict) === 'not-written') {
      const { touched, notWritten } = this.disk()
      if (touched[at] === 1) throw new Violation('P5', `record ${lsn} is told to be not written, and is`)
      notWritten[at] = 1
    }
    this.checkCrash()
  }

  resumed(): void {
    this.checkCrash()
  }

  closed(): void {
    this.isClosed = true
  }

  released(): void {
    this.disk().isReleased = true
  }

  hole(lsn: number): void {
    this.holes[lsn - this.configuration.firstLsn] = 1
  }

  // ---- what holds at every instant

  /** DURABLE_LSN was raised: at this very instant a crash must leave everything up to it. */
  checkDurable(lsn: number): void {
    if (this.disk().crash().lastLsn < lsn && lsn >= this.configuration.firstLsn)
      throw new Violation('P1', `record ${lsn} is called durable, and a crash now loses it`)
  }

  /** Whatever a crash leaves at this instant, the production code finds in it what was told. */
  checkCrash(): void {
    this.crashPoints++
    const { firstLsn } = this.configuration
    const { problem, certain, possible, nextLsn, lastLsn } = this.disk().crash()
    const { owners, verdicts, handedOut, knownCount } = this
    const fail = (promise: string, message: string): never => {
      throw this.machine.broken(promise, message)
    }
    if (problem !== undefined) fail(problem.promise, problem.message)
    if (handedOut > 0 && nextLsn < firstLsn + handedOut)
      fail('P2', `after a crash now LSN ${nextLsn} is handed out once more`)
    for (let at = 0; at < knownCount; at++) {
      const lsn = firstLsn + at
      const owner = owners[at]
      const verdict = verdicts[at]
      if (possible[at] !== 0 && owner !== 0 && possible[at] !== owner)
        fail('P2', `LSN ${lsn} is on the disk with another record`)
      if (verdict === 0) continue
      if (verdict === VERDICT_DURABLE) {
        // Of a call that was cut off nobody learned the LSN; a later flush may speak for it all the same.
        if (owner === 0 ? lastLsn < lsn : certain[at] !== owner)
          fail('P3', `record ${lsn} is acknowledged, and a crash now loses it`)
      } else if (possible[at] !== 0) {
        if (outcomeOf(verdict) === 'not-written')
          fail('P5', `record ${lsn}, told to be not written, is recovered`)
        if (lsn < this.words().resumedFrom())
          fail('P6', `record ${lsn} has failed, and is recovered although resume() has fenced it off`)
      }
    }
  }

  // ---- what must hold in the end

  checkEnd(): void {
    const { machine } = this
    const isClean = machine.faults === 0
    const words = this.words()
    this.checkCrash()
    this.checkVerdictsAreFinal(words)
    for (const owner of this.disk().crash().possible) {
      if (owner !== 0 && this.refusedOwners.includes(owner))
        throw new Violation('P5', 'a record was refused, and is on the disk')
    }
    if (!isClean) return
    if (words.failures() !== 0) throw new Violation('P6', 'the log failed, and the disk never did')
    // What slipped into the ring behind close() is refused and stays there.
    if (!this.isClosed && (machine.deaths > 0 || this.hasServer())) {
      const rest = words.rest(machine.deaths > 0)
      if (rest !== '') throw new Violation('P7', `all is quiet, and ${rest}`)
    }
    this.checkHoles()
    if (machine.deaths > 0) return
    if (!this.hasClose) this.checkComplete()
    if (machine.timeOuts === 0 && words.recheckRescues() !== 0)
      throw new Violation('P10', 'recheckRescues is not 0')
  }

  private hasServer(): boolean {
    const { threads } = this.configuration
    return threads.some(
      ({ tasks }, index) => tasks[0].kind === 'serve' && this.machine.threads.states[index] !== DEAD,
    )
  }

  /** The place that a dead producer left is a noop on the disk, and nothing else is. */
  private checkHoles(): void {
    for (const { frame, state } of this.disk().state.cells) {
      if (state !== CELL_SYNCED) continue
      for (const { lsn, owner, count } of frame.records) {
        for (let each = lsn; each < lsn + count; each++) {
          const isHole = this.holes[each - this.configuration.firstLsn] === 1
          if ((owner === NOOP) === isHole) continue
          throw new Violation(
            'P7',
            `LSN ${each}: ${isHole ? 'a hole, and no noop' : 'a noop, and no hole was left'}`,
          )
        }
      }
    }
  }

  /** When nothing went wrong, and nobody closed the log, every record that was submitted is on the disk. */
  private checkComplete(): void {
    const found = this.disk()
      .crash()
      .certain.reduce((count, owner) => (owner > 0 ? count + 1 : count), 0)
    if (found !== this.submittedCount)
      throw new Violation('P3', `${found} records are on the disk, ${this.submittedCount} were submitted`)
  }

  private checkVerdictsAreFinal(words: LogWords): void {
    const { verdicts } = this
    for (let at = 0; at < this.knownCount; at++) {
      if (verdicts[at] === 0) continue
      const lsn = this.configuration.firstLsn + at
      const now = words.verdictOn(lsn)
      // Between a resume that failed and the next one nothing is told.
      if (!isSameVerdict(verdicts[at], now) && now !== VERDICT_PENDING)
        throw new Violation('P5', `the verdict on record ${lsn} was ${verdicts[at]}, now it is ${now}`)
      if (outcomeOf(now) === 'not-written' && this.disk().touched[at] === 1)
        throw new Violation('P5', `record ${lsn} is told to be not written, and is`)
    }
  }
}

/** Of a record that close() gave up on, and of no other, more may be known later. */
function isSameVerdict(told: number, now: number): boolean {
  return told === VERDICT_ABANDONED || outcomeOf(told) === outcomeOf(now)
}

/** What a verdict says of the record; why it is so may be told in two ways. */
function outcomeOf(verdict: number): 'durable' | 'indeterminate' | 'not-written' | 'pending' {
  if (verdict === VERDICT_DURABLE) return 'durable'
  if (verdict === VERDICT_INDETERMINATE || verdict === VERDICT_ABANDONED) return 'indeterminate'
  return verdict === VERDICT_PENDING ? 'pending' : 'not-written'
}
