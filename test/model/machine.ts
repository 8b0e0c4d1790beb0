import type { EventLoop, NodeCalls } from './event-loop.ts'
import { type Chooser, KILL, type Limits, NEVER, NOBODY, OUTCOME, TIME_OUT, Violation } from './scheduling.ts'
import { DEAD, DONE, ModelThreads, PAUSED, READY, THREAD_LIMIT } from './threads.ts'

const TIME_OUT_LIMIT = 60
const NO_SITE = -1

/** Anything a generator function of the model returns. */
export type ModelGenerator = Generator<undefined, unknown, undefined>

/** Hears what the threads do, in a build that watches. */
export interface Watcher {
  /** An operation upon a word. */
  touch(thread: number, word: number, isWrite: boolean, site: number, isExchange: boolean): void
  /** Behind the operation at `site`, bytes or words are used without one. */
  raw(site: number): void
  /** A thread found out that another one is off its stack. */
  look(thread: number, other: number): void
}

/** As V8 throws it: nothing more can be called. */
export class StackOverflow extends RangeError {
  override name = 'StackOverflow'
  constructor() {
    super('Maximum call stack size exceeded')
  }
}

/** What a configuration makes of the machine. Bit n of a mask is thread n. */
export interface MachineSetup {
  chooser: Chooser
  threadCount: number
  limits: Limits
  /** Threads that may be killed. */
  mortal: number
  /** Of them those that go on with their next call; and of these those that have an error thrown into the one they are at. */
  survivors: number
  thrown: number
  /** Threads without whose end the run is not over. */
  mandatory: number
}

/**
 * Runs a few model threads, each a generator made from production code, one operation at a time. Before each
 * operation a thread asks whether it goes on; it only yields when another one is to run. So a schedule is nothing
 * but the answers that were not the usual one, and can be written down in a few words.
 */
export class Machine {
  readonly threads: ModelThreads
  private chooser: Chooser
  limits: Limits
  mortal: number
  /** Threads whose call is cut off in place of their dying, and those that have an error thrown into it. */
  private survivors: number
  private thrown: number
  /** Threads in what cannot be cut off: a callback of their event loop. */
  private shielded: number
  /** Threads that have had an error thrown into a call. */
  private overflown: number
  private mandatory: number
  /** By thread, where it has one. */
  readonly loops: (EventLoop | undefined)[]
  /** Of the thread that runs. */
  readonly node: NodeCalls
  /** The thread that runs; -1 outside of a run. */
  current: number
  private next: number
  private readonly generators: (ModelGenerator | undefined)[]
  /** Operations so far. The transform (transform.ts) counts them, and calls `ask` at those from `askAt` on. */
  steps: number
  askAt: number
  private violation: Violation | undefined
  /** The thread that an error is to be thrown into; -1 for none. */
  private throwing: number
  /** Questions to the chooser that were not about a step. */
  private otherQuestions: number
  deaths: number
  faults: number
  timeOuts: number
  /** The clock of the model: only waits that time out move it. */
  nowMs: number
  /** Timed waits that had to end because nothing else could go on. */
  private rechecks: number
  /** Question and answer, for every answer that was not the usual one. */
  readonly schedule: number[]
  onKill: (thread: number) => void
  /** DURABLE_LSN was raised. */
  onDurable: (lsn: number) => void
  /** In a build that watches (build-protocol.ts). */
  watcher: Watcher | undefined
  onTrace: ((line: string) => void) | undefined
  onSite: ((site: number) => void) | undefined
  /** By thread, of its newest step; NO_SITE behind it, where operations decide nothing. */
  private readonly siteOf: Int32Array
  private readonly lastSiteOf: Int32Array

  constructor() {
    this.threads = new ModelThreads()
    this.chooser = NOBODY
    this.limits = { deaths: 0, faults: 0, timeOuts: 0 }
    this.mortal = 0
    this.survivors = 0
    this.thrown = 0
    this.shielded = 0
    this.overflown = 0
    this.throwing = -1
    this.mandatory = 0
    this.loops = new Array(THREAD_LIMIT).fill(undefined)
    this.node = {
      queueMicrotask: (callback) => this.loop.queueMicrotask(callback),
      setTimeout: (callback, ms) => this.loop.setTimeout(callback, ms),
      setImmediate: (callback) => this.loop.setImmediate(callback),
      setInterval: (callback, ms) => this.loop.setInterval(callback, ms),
      clearTimeout: (timer) => this.loop.clearTimeout(timer),
      clearInterval: (timer) => this.loop.clearInterval(timer),
    }
    this.current = -1
    this.next = 0
    this.generators = new Array(THREAD_LIMIT).fill(undefined)
    this.steps = 0
    this.askAt = NEVER
    this.violation = undefined
    this.otherQuestions = 0
    this.deaths = 0
    this.faults = 0
    this.timeOuts = 0
    this.nowMs = 0
    this.rechecks = 0
    this.schedule = []
    this.onKill = () => {}
    this.onDurable = () => {}
    this.watcher = undefined
    this.onTrace = undefined
    this.onSite = undefined
    this.siteOf = new Int32Array(THREAD_LIMIT)
    this.lastSiteOf = new Int32Array(THREAD_LIMIT)
  }

  /** Another configuration: the same machine serves all of them, so that its code is compiled once. */
  configure({ chooser, threadCount, limits, mortal, survivors, thrown, mandatory }: MachineSetup): void {
    this.chooser = chooser
    this.threads.count = threadCount
    this.limits = limits
    this.mortal = mortal
    this.survivors = survivors
    this.thrown = thrown
    this.mandatory = mandatory
    this.loops.fill(undefined)
    this.onKill = () => {}
    this.onDurable = () => {}
    this.watcher = undefined
    this.onTrace = undefined
    this.onSite = undefined
    this.reset()
    this.askAt = NEVER
  }

  /** Before a run. */
  reset(): void {
    this.threads.reset()
    this.siteOf.fill(NO_SITE)
    this.lastSiteOf.fill(NO_SITE)
    this.violation = undefined
    this.shielded = 0
    this.overflown = 0
    this.throwing = -1
    this.steps = 0
    this.otherQuestions = 0
    this.deaths = 0
    this.faults = 0
    this.timeOuts = 0
    this.nowMs = 0
    this.rechecks = 0
    this.schedule.length = 0
    this.current = -1
    this.chooser.begin(this)
    if (this.hearsAll) this.askAt = 0
  }

  private get hearsAll(): boolean {
    return this.onSite !== undefined || this.watcher !== undefined
  }

  start(thread: number, generator: ModelGenerator): void {
    this.generators[thread] = generator
    this.threads.states[thread] = READY
    this.chooser.onReady(this)
  }

  /** Runs until nothing can go on; throws a Violation. */
  run(): void {
    for (let thread = this.pickNext(); thread >= 0; thread = this.pickNext()) {
      while (thread >= 0) thread = this.resume(thread)
    }
    this.current = -1
  }

  /** Lets a thread run until it yields; returns the one to run next, or -1 when somebody has to be picked. */
  private resume(thread: number): number {
    this.current = thread
    this.threads.begin(thread)
    this.next = -1
    const generator = this.generators[thread]!
    const isThrown = this.throwing === thread
    this.throwing = -1
    const result = isThrown ? generator.throw(new StackOverflow()) : generator.next()
    if (this.violation !== undefined) throw this.violation
    if (result.done === true) {
      this.threads.states[thread] = DONE
      if (this.onTrace !== undefined) this.onTrace(`T${thread} ends`)
      return -1
    }
    return this.next
  }

  /** Calls a function of the model from outside of every thread: nobody else runs meanwhile. */
  callQuietly<T>(generator: Generator<undefined, T, undefined>): T {
    const { askAt, steps, watcher } = this
    this.askAt = NEVER
    this.watcher = undefined
    const result = generator.next()
    this.askAt = askAt
    this.steps = steps
    this.watcher = watcher
    if (result.done !== true) throw new Error('a quiet call may not wait')
    return result.value
  }

  // ---- called from inside the threads

  /** What the transform writes out before each operation; true when the thread must yield. */
  step(site: number): boolean {
    return this.steps++ >= this.askAt && this.ask(site)
  }

  ask(site: number): boolean {
    return this.put(site, true)
  }

  /** As step, where a thread cannot be stopped for good: inside a call to the disk. */
  stepUnstoppable(site: number): boolean {
    return this.steps++ >= this.askAt && this.put(site, false)
  }

  private put(site: number, mayStop: boolean): boolean {
    const mayDie = mayStop && ((this.shielded | this.overflown) & (1 << this.current)) === 0
    if (this.onSite !== undefined) this.onSite(site)
    this.siteOf[this.current] = site
    this.lastSiteOf[this.current] = site
    if (this.steps > NEVER) throw new Violation('P10', `no end after ${NEVER} steps: a livelock`)
    const answer = this.chooser.onStep(this, site, mayDie)
    if (this.hearsAll) this.askAt = 0
    if (answer < 0) return false
    this.schedule.push(this.question - 1, answer)
    this.obey(answer)
    return true
  }

  /** The number of the question that would be asked now. Steps count before they are asked about. */
  get question(): number {
    return this.steps + this.otherQuestions
  }

  private obey(answer: number): void {
    const thread = this.current
    if (answer < KILL) {
      if (this.onTrace !== undefined) this.onTrace(`-- T${answer} instead of T${thread}`)
      this.next = answer
    } else if (answer === KILL) {
      this.deaths++
      if ((this.thrown & (1 << thread)) !== 0) {
        if (this.onTrace !== undefined) this.onTrace(`-- the stack of T${thread} overflows`)
        this.throwing = thread
        this.next = thread
        // Once: its next call heals what this one left behind, and leads. How deep that is no site tells.
        this.overflown |= 1 << thread
        this.onKill(thread)
        return
      }
      this.threads.states[thread] = DEAD
      // Dropped, never ended by `return`: no `finally` runs in a thread that is gone.
      this.generators[thread] = undefined
      if (this.onTrace !== undefined) this.onTrace(`-- T${thread} dies`)
      this.onKill(thread)
    } else {
      const late = answer - TIME_OUT
      if (this.onTrace !== undefined) this.onTrace(`-- T${late}: its wait times out`)
      this.timeOuts++
      this.timeOut(late)
      this.next = late
    }
  }

  /** Of an operation, in a build that watches. */
  touch(word: number, isWrite: boolean, isExchange: boolean): void {
    if (this.watcher === undefined || this.siteOf[this.current] === NO_SITE) return
    this.watcher.touch(this.current, word, isWrite, this.siteOf[this.current], isExchange)
  }

  /** In a build that watches: the operation that follows decides nothing, and has no step. */
  hush(): void {
    if (this.current >= 0) this.siteOf[this.current] = NO_SITE
  }

  /** In a build that watches: bytes or words are used without an operation. */
  raw(): void {
    if (this.watcher !== undefined && this.current >= 0) this.watcher.raw(this.lastSiteOf[this.current])
  }

  /** The current thread found out that another one is off its stack. */
  look(other: number): void {
    if (this.watcher !== undefined && this.current >= 0) this.watcher.look(this.current, other)
  }

  /** Of an operation, in a build that traces. */
  show(text: string): void {
    if (this.onTrace !== undefined) this.onTrace(`     ${text}`)
  }

  /** The current thread waits on a word; it must yield now. */
  block(word: number, timeoutMs: number): void {
    this.threads.block(this.current, word, timeoutMs)
  }

  /** After block and yield: false when the time ran out. */
  wokenByNotify(): boolean {
    return this.threads.wokenByNotify(this.current)
  }

  // ---- the event loop of the current thread

  get loop(): EventLoop {
    return this.loops[this.current]!
  }

  /** Whether the current thread is in a callback: that is never cut off, only a call of the application. */
  shield(isOn: boolean): void {
    const bit = this.survivors & (1 << this.current)
    this.shielded = isOn ? this.shielded | bit : this.shielded & ~bit
  }

  waitAsync(word: number): void {
    this.threads.waitAsync(this.current, word)
  }

  takeAsyncWake(): boolean {
    return this.threads.takeAsyncWake(this.current)
  }

  /** Nothing is to be done until its waitAsync is notified, or the timer goes off; the thread must yield now. */
  rest(timeoutMs: number): void {
    this.threads.rest(this.current, timeoutMs)
  }

  /** A function that is called by a name of its own may have become a generator. */
  *finish(called: unknown): Generator<undefined, unknown, undefined> {
    const isGenerator = typeof (called as { next?: unknown } | undefined)?.next === 'function'
    return isGenerator ? yield* called as ModelGenerator : called
  }

  /** As the method of arrays. */
  *filter<T>(
    values: readonly T[],
    keep: (value: T) => Generator<undefined, boolean, undefined>,
  ): Generator<undefined, T[], undefined> {
    const kept: T[] = []
    for (const value of values) if (yield* keep(value)) kept.push(value)
    return kept
  }

  /** The current thread looks again later; it must yield now. */
  pause(): void {
    this.threads.states[this.current] = PAUSED
  }

  /** Wakes up to `count` threads, those first that wait longest. */
  notify(word: number, count: number): number {
    for (let woken = 0; ; woken++) {
      if (woken === count || this.threads.notifyFirst(word) < 0) return woken
      this.chooser.onReady(this)
    }
  }

  private timeOut(thread: number): void {
    this.threads.wake(thread, false)
    this.nowMs += this.threads.waitMs[thread]
    this.chooser.onReady(this)
  }

  /** The disk asks how a call ends: 0 as it should. */
  outcome(outcomes: number): number {
    if (this.current < 0 || this.faults >= this.limits.faults) return 0
    const answer = this.chooser.onOutcome(this, outcomes)
    this.otherQuestions++
    if (answer === 0) return 0
    this.faults++
    this.schedule.push(this.question - 1, OUTCOME + answer)
    if (this.onTrace !== undefined) this.onTrace(`-- the disk fails, in way ${answer}`)
    return answer
  }

  /** What the disk finds broken: the code above it catches every error of a call, so it is noted as well as thrown. */
  broken(promise: string, message: string): Violation {
    this.violation ??= new Violation(promise, message)
    return this.violation
  }

  // ---- who runs

  private pickNext(): number {
    const { threads } = this
    let count = 0
    let only = -1
    for (let thread = threads.count - 1; thread >= 0; thread--) {
      if (!threads.canRun(thread)) continue
      count++
      only = thread
    }
    if (count === 0) return this.endWait()
    if (count === 1) return only
    const answer = this.chooser.onSwitch(this)
    this.otherQuestions++
    if (answer !== only) this.schedule.push(this.question - 1, answer)
    if (this.onTrace !== undefined) this.onTrace(`-- T${answer} goes on`)
    return answer
  }

  /** Nothing can go on: either all is done, or a wait has to time out. */
  private endWait(): number {
    if (!this.isAnybodyWaiting()) return -1
    const { threads } = this
    const oldest = threads.oldestTimed()
    if (oldest < 0) throw new Violation('P10', `a deadlock: ${threads.describeWaits()}`)
    if (threads.isRechecking(oldest)) {
      // Only a death may make a re-check necessary: that is how it is noticed.
      if (this.deaths === 0) {
        throw new Violation('P10', `a lost wake-up, only a timer helps: ${threads.describeWaits()}`)
      }
      if (++this.rechecks > TIME_OUT_LIMIT) {
        throw new Violation('P7', `no progress after ${TIME_OUT_LIMIT} re-checks: ${threads.describeWaits()}`)
      }
    }
    if (this.onTrace !== undefined)
      this.onTrace(`-- nothing else can go on: the wait of T${oldest} times out`)
    this.timeOut(oldest)
    return oldest
  }

  private isAnybodyWaiting(): boolean {
    const { count, states } = this.threads
    for (let thread = 0; thread < count; thread++) {
      if ((this.mandatory & (1 << thread)) !== 0 && states[thread] < DONE) return true
    }
    return false
  }
}
