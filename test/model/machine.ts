/**
 * Runs a few model threads, each a generator made from production code, one operation at a time. Before each
 * operation a thread asks `step` whether it goes on; it only yields when another one is to run. So a schedule is
 * nothing but the answers that were not the usual one, and can be written down in a few words.
 */

export const READY = 0
/** Waits for a word to be notified. */
export const BLOCKED = 1
/** Looks again later: a timer of the host, which asks every few milliseconds. */
export const PAUSED = 2
export const DONE = 3
export const DEAD = 4

/** Answers to `step` beside "run thread n". */
export const GO_ON = -1
export const KILL = 100
/** + n: the timed wait of thread n ends, although nobody woke it. */
export const TIME_OUT = 200
/** + n: the n-th outcome of a call to the disk. */
export const OUTCOME = 300

/** Something that must not happen; `promise` names what was broken. */
export class Violation extends Error {
  override name = 'Violation'
  readonly promise: string

  constructor(promise: string, message: string) {
    super(`${promise}: ${message}`)
    this.promise = promise
  }
}

/** Says which thread runs next and what fails. Each answer is one of the codes above. */
export interface Chooser {
  /** Thread `machine.current` is about to do an operation. GO_ON, another ready thread, KILL, or TIME_OUT + n. */
  onStep(machine: Machine, mayDie: boolean, isShared: boolean): number
  /** The current thread cannot go on: which one does? Only called when there are two or more. */
  onSwitch(machine: Machine): number
  /** How does the disk answer? 0 is the usual answer. Only called while faults are left. */
  onOutcome(machine: Machine, outcomes: number): number
  /** A thread became ready, or a new run begins. */
  onReady(machine: Machine, thread: number): void
}

/** How many of each a run may see. */
export interface Limits {
  deaths: number
  /** Writes and syncs that fail. */
  faults: number
  /** Timed waits that end early. */
  timeOuts: number
}

export const THREAD_LIMIT = 8
const STEP_LIMIT = 20_000
const TIME_OUT_LIMIT = 60
/** Waits as long as this are re-checks that must never be needed; others are timers. */
const RECHECK_MS = 20

/** Anything a generator function of the model returns. */
export type ModelGenerator = Generator<undefined, unknown, undefined>

const NOBODY: Chooser = { onStep: () => GO_ON, onSwitch: () => 0, onOutcome: () => 0, onReady: () => {} }

export class Machine {
  chooser: Chooser
  threadCount: number
  limits: Limits
  /** Bit n: thread n may be killed. */
  mortal: number
  /** Bit n: the run is over only when thread n has ended. */
  mandatory: number
  current: number
  readyCount: number
  readonly states: Uint8Array
  /** The word that a blocked thread waits on. */
  readonly waitsOn: Int32Array
  readonly waitOrder: Int32Array
  readonly waitMs: Float64Array
  readonly wasWoken: Uint8Array
  private readonly generators: (ModelGenerator | undefined)[]
  private readonly ownTurns: Int32Array
  /** Of a thread that polls: the turns of others when it last began to look. */
  private readonly lookedAt: Int32Array
  private waitCount: number
  /** Operations so far. */
  steps: number
  private violation: Violation | undefined
  /** How often some thread was given its turn. */
  private turns: number
  /** Questions to the chooser so far: what a written schedule counts by. */
  questions: number
  deaths: number
  faults: number
  timeOuts: number
  /** The clock of the model: only waits that time out move it. */
  nowMs: number
  /** Timed waits that had to end because nothing else could go on. */
  rechecks: number
  private next: number
  /** Question and answer, for every answer that was not the usual one. */
  readonly schedule: number[]
  onKill: (thread: number) => void
  /** DURABLE_LSN was raised. */
  onDurable: (lsn: number) => void
  onTrace: ((line: string) => void) | undefined
  onSite: ((site: number) => void) | undefined
  /** The explorer itself calls functions of the model: nobody else runs meanwhile. */
  private isQuiet: boolean

  constructor() {
    this.chooser = NOBODY
    this.threadCount = 0
    this.limits = { deaths: 0, faults: 0, timeOuts: 0 }
    this.mortal = 0
    this.mandatory = 0
    this.current = 0
    this.readyCount = 0
    this.states = new Uint8Array(THREAD_LIMIT)
    this.waitsOn = new Int32Array(THREAD_LIMIT)
    this.waitOrder = new Int32Array(THREAD_LIMIT)
    this.waitMs = new Float64Array(THREAD_LIMIT)
    this.wasWoken = new Uint8Array(THREAD_LIMIT)
    this.generators = new Array(THREAD_LIMIT).fill(undefined)
    this.ownTurns = new Int32Array(THREAD_LIMIT)
    this.lookedAt = new Int32Array(THREAD_LIMIT)
    this.waitCount = 0
    this.violation = undefined
    this.steps = 0
    this.turns = 0
    this.questions = 0
    this.deaths = 0
    this.faults = 0
    this.timeOuts = 0
    this.nowMs = 0
    this.rechecks = 0
    this.next = 0
    this.schedule = []
    this.onKill = () => {}
    this.onDurable = () => {}
    this.onTrace = undefined
    this.onSite = undefined
    this.isQuiet = false
  }

  /** Another configuration: the same machine serves all of them, so that its code is compiled once. */
  configure(chooser: Chooser, threadCount: number, limits: Limits, mortal: number, mandatory: number): void {
    this.chooser = chooser
    this.threadCount = threadCount
    this.limits = limits
    this.mortal = mortal
    this.mandatory = mandatory
    this.onKill = () => {}
    this.onDurable = () => {}
    this.onTrace = undefined
    this.onSite = undefined
    this.reset()
  }

  /** Before a run. Threads that are not started count as done. */
  reset(): void {
    this.states.fill(DONE)
    this.ownTurns.fill(0)
    this.lookedAt.fill(-1)
    this.readyCount = 0
    this.waitCount = 0
    this.violation = undefined
    this.steps = 0
    this.turns = 0
    this.questions = 0
    this.deaths = 0
    this.faults = 0
    this.timeOuts = 0
    this.nowMs = 0
    this.rechecks = 0
    this.schedule.length = 0
    this.current = -1
  }

  start(thread: number, generator: ModelGenerator): void {
    this.generators[thread] = generator
    this.states[thread] = READY
    this.readyCount++
    this.chooser.onReady(this, thread)
  }

  /** Runs until nothing can go on; throws a Violation. */
  run(): void {
    this.current = -1
    for (let thread = this.pickNext(); thread >= 0; thread = this.pickNext()) {
      while (thread >= 0) thread = this.resume(thread)
    }
  }

  /** Lets a thread run until it yields; returns the one to run next, or -1 when somebody has to be picked. */
  private resume(thread: number): number {
    this.current = thread
    this.turns++
    this.ownTurns[thread]++
    if (this.states[thread] === PAUSED) {
      this.lookedAt[thread] = this.turns - this.ownTurns[thread]
      this.states[thread] = READY
      this.readyCount++
    }
    this.next = -1
    const result = this.generators[thread]!.next()
    if (this.violation !== undefined) throw this.violation
    if (result.done === true) {
      this.states[thread] = DONE
      this.readyCount--
      if (this.onTrace !== undefined) this.onTrace(`T${thread} ends`)
      return -1
    }
    return this.next
  }

  /** Calls a function of the model from outside of every thread. */
  callQuietly<T>(generator: Generator<undefined, T, undefined>): T {
    this.isQuiet = true
    const result = generator.next()
    this.isQuiet = false
    if (result.done !== true) throw new Error('a quiet call may not wait')
    return result.value
  }

  // ---- called from inside the threads

  /** Before each operation: true when the thread must yield. */
  step(site: number): boolean {
    return this.ask(site, true, true)
  }

  /** As step, before an operation upon a word that its lock or owner keeps from everybody else. */
  stepData(site: number): boolean {
    return this.ask(site, true, false)
  }

  /** As step, where a thread cannot be stopped for good: between the exchange and the store of a reservation. */
  stepUnstoppable(site: number): boolean {
    return this.ask(site, false, true)
  }

  private ask(site: number, mayDie: boolean, isShared: boolean): boolean {
    if (this.isQuiet) return false
    if (this.onSite !== undefined) this.onSite(site)
    if (++this.steps > STEP_LIMIT) throw new Violation('P10', `no end after ${STEP_LIMIT} steps: a livelock`)
    const answer = this.chooser.onStep(this, mayDie, isShared)
    this.questions++
    if (answer === GO_ON) return false
    this.schedule.push(this.questions - 1, answer)
    this.obey(answer)
    return true
  }

  private obey(answer: number): void {
    const thread = this.current
    if (answer < KILL) {
      if (this.onTrace !== undefined) this.onTrace(`-- T${answer} instead of T${thread}`)
      this.next = answer
    } else if (answer === KILL) {
      this.deaths++
      this.states[thread] = DEAD
      this.readyCount--
      // Dropped, never ended by `return`: no `finally` runs in a thread that is gone.
      this.generators[thread] = undefined
      if (this.onTrace !== undefined) this.onTrace(`-- T${thread} dies`)
      this.onKill(thread)
    } else {
      const late = answer - TIME_OUT
      if (this.onTrace !== undefined) this.onTrace(`-- T${late}: its wait times out`)
      this.timeOuts++
      this.wake(late, false)
      this.next = late
    }
  }

  /** Of an operation, in a build that traces. */
  show(text: string): void {
    if (this.onTrace !== undefined) this.onTrace(`     ${text}`)
  }

  /** The current thread waits on a word; it must yield now. */
  block(word: number, timeoutMs: number): void {
    const thread = this.current
    this.states[thread] = BLOCKED
    this.readyCount--
    this.waitsOn[thread] = word
    this.waitOrder[thread] = this.waitCount++
    this.waitMs[thread] = timeoutMs
  }

  /** After block and yield: false when the time ran out. */
  wokenByNotify(): boolean {
    return this.wasWoken[this.current] === 1
  }

  /** The current thread looks again later; it must yield now. */
  pause(): void {
    this.states[this.current] = PAUSED
    this.readyCount--
  }

  /** Wakes up to `count` threads, those first that wait longest. */
  notify(word: number, count: number): number {
    let woken = 0
    while (woken < count) {
      let first = -1
      for (let thread = 0; thread < this.threadCount; thread++) {
        if (this.states[thread] !== BLOCKED || this.waitsOn[thread] !== word) continue
        if (first < 0 || this.waitOrder[thread] < this.waitOrder[first]) first = thread
      }
      if (first < 0) break
      this.wake(first, true)
      woken++
    }
    return woken
  }

  private wake(thread: number, byNotify: boolean): void {
    this.states[thread] = READY
    this.readyCount++
    this.wasWoken[thread] = byNotify ? 1 : 0
    if (!byNotify) this.nowMs += this.waitMs[thread]
    this.chooser.onReady(this, thread)
  }

  /** The disk asks how a call ends: 0 as it should. */
  outcome(outcomes: number): number {
    if (this.faults >= this.limits.faults) return 0
    const answer = this.chooser.onOutcome(this, outcomes)
    this.questions++
    if (answer === 0) return 0
    this.faults++
    this.schedule.push(this.questions - 1, OUTCOME + answer)
    return answer
  }

  /** What the disk finds broken: the code above it catches every error of a call, so it is noted as well as thrown. */
  broken(promise: string, message: string): Violation {
    this.violation ??= new Violation(promise, message)
    return this.violation
  }

  // ---- who runs

  isDead(thread: number): boolean {
    return this.states[thread] === DEAD
  }

  /** May run next: ready, or paused and somebody else did something since it began to look. */
  canRun(thread: number): boolean {
    const state = this.states[thread]
    return (
      state === READY || (state === PAUSED && this.lookedAt[thread] !== this.turns - this.ownTurns[thread])
    )
  }

  private pickNext(): number {
    let count = 0
    let only = -1
    for (let thread = this.threadCount - 1; thread >= 0; thread--) {
      if (!this.canRun(thread)) continue
      count++
      only = thread
    }
    if (count === 0) return this.endWait()
    if (count === 1) return only
    const answer = this.chooser.onSwitch(this)
    this.questions++
    if (answer !== only) this.schedule.push(this.questions - 1, answer)
    if (this.onTrace !== undefined) this.onTrace(`-- T${answer} goes on`)
    return answer
  }

  /** Nothing can go on: either all is done, or a wait has to time out. */
  private endWait(): number {
    if (!this.isAnybodyWaiting()) return -1
    let oldest = -1
    for (let thread = 0; thread < this.threadCount; thread++) {
      if (this.states[thread] !== BLOCKED || this.waitMs[thread] === Number.POSITIVE_INFINITY) continue
      if (oldest < 0 || this.waitOrder[thread] < this.waitOrder[oldest]) oldest = thread
    }
    if (oldest < 0) throw new Violation('P10', `a deadlock: ${this.describeWaits()}`)
    if (this.waitMs[oldest] === RECHECK_MS) {
      if (this.deaths === 0 && this.faults === 0) {
        throw new Violation('P10', `a lost wake-up, only a timer helps: ${this.describeWaits()}`)
      }
      if (++this.rechecks > TIME_OUT_LIMIT) {
        throw new Violation('P7', `no progress after ${TIME_OUT_LIMIT} re-checks: ${this.describeWaits()}`)
      }
    }
    if (this.onTrace !== undefined)
      this.onTrace(`-- nothing else can go on: the wait of T${oldest} times out`)
    this.wake(oldest, false)
    return oldest
  }

  private isAnybodyWaiting(): boolean {
    for (let thread = 0; thread < this.threadCount; thread++) {
      if ((this.mandatory & (1 << thread)) !== 0 && this.states[thread] < DONE) return true
    }
    return false
  }

  private describeWaits(): string {
    const parts: string[] = []
    for (let thread = 0; thread < this.threadCount; thread++) {
      if (this.states[thread] === BLOCKED) parts.push(`T${thread} waits on word ${this.waitsOn[thread]}`)
      if (this.states[thread] === PAUSED) parts.push(`T${thread} polls`)
      if (this.states[thread] === DEAD) parts.push(`T${thread} is dead`)
    }
    return parts.join(', ')
  }
}
