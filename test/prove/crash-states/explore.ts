import { createRandom, type Random } from '../../support/random.ts'
import type { SimulatedDisk } from '../../support/simulated-disk.ts'
import { type Choice, GivenChoice, nextDigits, RandomChoice, UniformChoice } from './choices.ts'
import { BrokenPromise } from './knowledge.ts'
import type { RecordedRun } from './recorded-run.ts'
import { type Expectation, expectKnown, expectSame, Recoverer, UNOPENED_READS } from './recovery-check.ts'
import { type CrashPoint, type LeftOut, Replay } from './replay.ts'

/** One crash: where it happened, and what of the unsynced it left. */
export interface CrashStep {
  /** Of the run: how many events had happened. Of a recovery: how many changing calls; -1 when it was complete. */
  at: number
  /** `kill`: the process died and the machine went on. */
  kind: 'cut' | 'kill'
  digits: number[]
  tears: boolean
}

export interface CrashFailure {
  message: string
  /** None when the run itself has broken a promise. */
  steps: CrashStep[]
}

/** What was gone through. */
export interface Tally {
  /** Distinct ones: names, sizes and bytes on the disk, and what users had been told. */
  states: number
  /** Of these: left by a crash of a recovery, or behind one. */
  recoveryStates: number
  /** Of these: with sectors torn into zeros or garbage. */
  tornStates: number
  /** Of these: the process died, the machine did not. */
  killStates: number
  /** Moments of runs at which the machine may stop. */
  points: number
  /** Those of which every subset of what was unsynced was gone through. */
  exhaustedPoints: number
  recoveryPoints: number
  exhaustedRecoveryPoints: number
  /** Met again, and not counted. */
  repeats: number
  /** Disks that recoveries have left in which a reader sees different things: each was read back. */
  readBacks: number
  /** The time ran out. */
  isCutShort: boolean
}

export function emptyTally(): Tally {
  return {
    states: 0,
    recoveryStates: 0,
    tornStates: 0,
    killStates: 0,
    points: 0,
    exhaustedPoints: 0,
    recoveryPoints: 0,
    exhaustedRecoveryPoints: 0,
    repeats: 0,
    readBacks: 0,
    isCutShort: false,
  }
}

export interface ExploreOptions {
  seed: number
  /** How many states, about. */
  budget: number
  deadlineMs: number
  leftOut?: LeftOut
}

/** Half of the states are of the run itself, half of recoveries. */
const RECOVERY_SHARE = 0.5
/** States of one crash point of a recovery. */
const RECOVERY_CAP = 24
const MAX_DEPTH = 3
const TORN_SHARE = 0.25
/** So often in a row nothing new: the rest of a point is known. */
const MAX_REPEATS = 24

/** Goes through the disks that a crash at any moment of a run can leave, and recovers the log from each. */
export class Explorer {
  readonly tally: Tally = emptyTally()
  failure: CrashFailure | undefined
  readonly #run: RecordedRun
  readonly #options: ExploreOptions
  readonly #random: Random
  readonly #recoverer: Recoverer
  /** By the key of the expectation: hashes of the disks that were met. */
  readonly #seen: Map<number, Set<number>> = new Map()
  #recoveryTarget = 0

  constructor(run: RecordedRun, options: ExploreOptions) {
    this.#run = run
    this.#options = options
    this.#random = createRandom(options.seed)
    this.#recoverer = new Recoverer(run, options.seed)
  }

  explore(): void {
    try {
      this.#explorePoints()
    } catch (error) {
      if (!(error instanceof BrokenPromise)) throw error
      this.failure = { message: error.message, steps: [] }
    }
    this.tally.readBacks = this.#recoverer.readBackCount
  }

  #explorePoints(): void {
    const { budget } = this.#options
    const questions: number[] = []
    this.#newReplay().forEachPoint(({ disk }) => questions.push(questionsOf(disk)))
    const cap = capFor(questions, budget * (1 - RECOVERY_SHARE))
    let done = 0
    this.#newReplay().forEachPoint((point) => {
      if (this.#isOver()) return
      this.#recoveryTarget = (++done / questions.length) * budget * RECOVERY_SHARE
      this.#explorePoint(point, cap)
    })
  }

  #newReplay(): Replay {
    return new Replay(this.#run.numbers, this.#options.leftOut)
  }

  /** Goes through one history again. */
  replay(steps: readonly CrashStep[]): void {
    const [first, ...rest] = steps
    this.#newReplay().forEachPoint(({ eventCount, disk, knowledge }) => {
      if (eventCount !== first.at) return
      let expectation = expectKnown(knowledge)
      let image = imageOf(disk, first.kind, new GivenChoice(first.digits, first.tears))
      for (const [depth, step] of rest.entries()) {
        const { snapshots, settled } = this.#recoverInSteps(image, depth)
        if (step.at === -1) expectation = settled()
        const stopped = step.at === -1 ? snapshots.at(-1) : snapshots[step.at - 1]
        image = imageOf(stopped as SimulatedDisk, step.kind, new GivenChoice(step.digits, step.tears))
      }
      this.#verify(image, expectation, [...steps])
    })
  }

  #explorePoint({ eventCount, disk, knowledge }: CrashPoint, cap: number): void {
    this.tally.points++
    const isExhausted = this.#exploreCrash(disk, expectKnown(knowledge), [], eventCount, cap)
    if (isExhausted) this.tally.exhaustedPoints++
  }

  /** What a crash at this moment can leave. True when all of it was gone through, but for tears within sectors. */
  #exploreCrash(
    disk: SimulatedDisk,
    expectation: Expectation,
    before: readonly CrashStep[],
    at: number,
    cap: number,
  ): boolean {
    const visit = (kind: CrashStep['kind'], choice: Choice): boolean => {
      const image = imageOf(disk, kind, choice)
      return this.#visit(image, expectation, [
        ...before,
        { at, kind, digits: choice.digits, tears: choice.tears },
      ])
    }
    for (const isKept of [false, true]) {
      const choice = new UniformChoice(isKept, -1)
      visit('kill', choice)
      if (choice.digits.length === 0) break
    }
    const questions = questionsOf(disk)
    const isExhausted = 2 ** questions <= cap && this.#exhaust(2 * cap, visit)
    if (!isExhausted) this.#sample(questions, cap, visit)
    if (questions > 0) this.#sampleTears(Math.ceil(Math.min(cap, 4 ** questions) * TORN_SHARE), visit)
    return isExhausted
  }

  /** Goes through all answers. False when they are more than the limit. */
  #exhaust(limit: number, visit: (kind: 'cut', choice: Choice) => boolean): boolean {
    let digits: number[] | undefined = []
    for (let count = 0; digits !== undefined; count++) {
      if (count === limit || this.#isOver()) return false
      const choice = new GivenChoice(digits, false)
      visit('cut', choice)
      digits = nextDigits(choice.digits)
    }
    return true
  }

  #sample(questions: number, cap: number, visit: (kind: 'cut', choice: Choice) => boolean): void {
    let left = cap
    for (const isKept of [false, true]) {
      visit('cut', new UniformChoice(isKept, -1))
      for (let thing = 0; thing < questions && thing < cap / 4; thing++) {
        visit('cut', new UniformChoice(isKept, thing))
        left--
      }
    }
    this.#untilKnown(left - 2, () => visit('cut', new RandomChoice(this.#random, false)))
  }

  #sampleTears(count: number, visit: (kind: 'cut', choice: Choice) => boolean): void {
    this.#untilKnown(count, () => visit('cut', new RandomChoice(this.#random, true)))
  }

  #untilKnown(count: number, visit: () => boolean): void {
    let repeats = 0
    for (let done = 0; done < count && repeats < MAX_REPEATS; done++) {
      if (this.#isOver()) return
      repeats = visit() ? 0 : repeats + 1
    }
  }

  /** False when this state was met before. */
  #visit(image: SimulatedDisk, expectation: Expectation, steps: CrashStep[]): boolean {
    if (this.#isOver()) return false
    const hash = image.contentHash()
    let seen = this.#seen.get(expectation.key)
    if (seen === undefined) {
      seen = new Set()
      this.#seen.set(expectation.key, seen)
    }
    if (seen.has(hash)) {
      this.tally.repeats++
      return false
    }
    seen.add(hash)
    this.#count(steps)
    const wantsRecoveries =
      steps.length <= MAX_DEPTH &&
      this.tally.recoveryStates < this.#recoveryTarget &&
      this.#random.chance(steps.length === 1 ? 0.2 : 0.02)
    const base = wantsRecoveries ? image.fork() : undefined
    this.#verify(image, expectation, steps, hash % UNOPENED_READS === 0)
    if (base !== undefined && this.failure === undefined) this.#exploreRecovery(base, expectation, steps)
    return true
  }

  #verify(image: SimulatedDisk, expectation: Expectation, steps: CrashStep[], readsUnopened = true): void {
    try {
      if (readsUnopened) expectation.checkRecords(this.#recoverer.read(image, undefined))
      const opened = this.#recoverer.recover(image, steps.length)
      const readBack = this.#recoverer.readBack(image, opened)
      if (readBack.checkedFor !== expectation.key) expectation.checkRecords(readBack.records)
      readBack.checkedFor = expectation.key
      expectation.checkNextLsn(readBack.records, opened.nextLsn)
    } catch (error) {
      const { name, message } = error as Error
      // The log cannot be opened: what a crash leaves was taken for damage, or worse.
      this.failure = { message: error instanceof BrokenPromise ? message : `P12: ${name}: ${message}`, steps }
    }
  }

  /** Stops the machine at each changing call of a recovery, and behind it. */
  #exploreRecovery(base: SimulatedDisk, expectation: Expectation, steps: CrashStep[]): void {
    const { snapshots, settled } = this.#recoverInSteps(base, steps.length)
    for (const [index, snapshot] of snapshots.entries()) {
      if (this.#isOver()) return
      const isEnd = index === snapshots.length - 1
      const demanded = isEnd ? settled() : expectation
      this.tally.recoveryPoints++
      const at = isEnd ? -1 : index + 1
      if (this.#exploreCrash(snapshot, demanded, steps, at, RECOVERY_CAP))
        this.tally.exhaustedRecoveryPoints++
    }
  }

  /** The disk at each changing call of a recovery, and last when it is complete. */
  #recoverInSteps(
    base: SimulatedDisk,
    depth: number,
  ): { snapshots: SimulatedDisk[]; settled: () => Expectation } {
    const snapshots: SimulatedDisk[] = []
    base.onChange = () => snapshots.push(base.fork())
    const opened = this.#recoverer.recover(base, depth)
    base.onChange = undefined
    snapshots.push(base.fork())
    const settled = (): Expectation => {
      const records = this.#recoverer.read(base, undefined)
      return expectSame(records, opened, opened.nextLsn + this.#recoverer.maxOutstandingRecords - 1)
    }
    return { snapshots, settled }
  }

  #count(steps: readonly CrashStep[]): void {
    const { tally } = this
    const last = steps[steps.length - 1]
    tally.states++
    if (steps.length > 1) tally.recoveryStates++
    if (last.kind === 'kill') tally.killStates++
    if (steps.some(({ tears, digits }) => tears && digits.some((digit) => digit > 1))) tally.tornStates++
  }

  #isOver(): boolean {
    this.tally.isCutShort ||= Date.now() > this.#options.deadlineMs
    return this.tally.isCutShort || this.failure !== undefined
  }
}

function imageOf(disk: SimulatedDisk, kind: CrashStep['kind'], choice: Choice): SimulatedDisk {
  if (kind === 'cut') return disk.powerCut(choice)
  const image = disk.fork()
  image.settleDoubts(choice)
  return image
}

/** How many things a power cut asks, about: it depends on the answers. */
function questionsOf(disk: SimulatedDisk): number {
  const counts = [true, false].map((isKept) => {
    const choice = new UniformChoice(isKept, -1)
    disk.powerCut(choice)
    return choice.digits.length
  })
  return Math.max(...counts)
}

/** How many states a point may have, so that all points together come to about this many. */
function capFor(questions: readonly number[], budget: number): number {
  let cap = 4
  const total = (limit: number): number =>
    questions.reduce((sum, count) => sum + (1 + TORN_SHARE) * Math.min(2 ** count, limit), 0)
  while (cap < 2 ** 22 && total(cap * 1.25) < budget) cap *= 1.25
  return cap
}
