// The event loop of a model thread: turns that run to their end, microtasks behind each, timers, and the one
// Atomics.waitAsync of the thread. Part of the explored build, so that callbacks of the production code may be cut
// into steps as everything else (transform.ts). When a timer goes off, and when a wake-up arrives, is chosen by whoever chooses
// the schedule.

import { rest, takeTurns } from './atomics.ts'
import type { Machine } from './machine.ts'

/** Given to the bundle when it is evaluated. */
declare const M: Machine

const PENDING = 0
const RESOLVED = 1
const REJECTED = 2

type Executor = (resolve: (value?: unknown) => void, reject: (error: unknown) => void) => void

/** Stands in for Promise: what waits for it is called as a microtask of the thread that made it. */
export class ModelPromise {
  state: number
  value: unknown
  private readonly reactions: (() => void)[]
  private readonly loop: EventLoop

  constructor(loop: EventLoop) {
    this.state = PENDING
    this.value = undefined
    this.reactions = []
    this.loop = loop
  }

  get isSettled(): boolean {
    return this.state !== PENDING
  }

  get isRejected(): boolean {
    return this.state === REJECTED
  }

  conclude(state: number, value: unknown): void {
    if (this.state !== PENDING) return
    this.state = state
    this.value = value
    for (const reaction of this.reactions) this.loop.queueMicrotask(reaction)
  }

  /** However it ends. */
  // biome-ignore lint/suspicious/noThenProperty: the production code calls it
  then(reaction: () => void): void {
    if (this.state === PENDING) this.reactions.push(reaction)
    else this.loop.queueMicrotask(reaction)
  }
}

/** What setTimeout, setImmediate and setInterval return. */
export interface ModelTimer {
  callback: () => void
  ms: number
  isHeld: boolean
  ref(): void
  unref(): void
}

/** What a thread of Node has without any import. */
export type NodeCalls = Pick<
  EventLoop,
  'queueMicrotask' | 'setTimeout' | 'setImmediate' | 'setInterval' | 'clearTimeout' | 'clearInterval'
>

export class EventLoop {
  /** It never ends by itself: a port is open. */
  private readonly isKept: boolean
  private readonly microtasks: (() => void)[]
  /** Of setTimeout and setImmediate: how long they take is up to whoever chooses the schedule. */
  private readonly due: ModelTimer[]
  private readonly intervals: ModelTimer[]
  private wake: ModelPromise | undefined

  constructor(isKept: boolean) {
    this.isKept = isKept
    this.microtasks = []
    this.due = []
    this.intervals = []
    this.wake = undefined
  }

  queueMicrotask(callback: () => void): void {
    this.microtasks.push(callback)
  }

  setInterval(callback: () => void, ms: number): ModelTimer {
    const timer = newTimer(callback, ms)
    this.intervals.push(timer)
    return timer
  }

  setTimeout(callback: () => void, ms: number): ModelTimer {
    const timer = newTimer(callback, ms)
    this.due.push(timer)
    return timer
  }

  setImmediate(callback: () => void): ModelTimer {
    return this.setTimeout(callback, 0)
  }

  clearInterval(timer: ModelTimer | undefined): void {
    for (const timers of [this.due, this.intervals]) {
      const at = timer === undefined ? -1 : timers.indexOf(timer)
      if (at >= 0) timers.splice(at, 1)
    }
  }

  clearTimeout(timer: ModelTimer | undefined): void {
    this.clearInterval(timer)
  }

  /** `new Promise`, where the executor does no operation. */
  makePromise(plain: Executor): ModelPromise {
    const promise = new ModelPromise(this)
    plain(
      (value) => promise.conclude(RESOLVED, value),
      (error) => promise.conclude(REJECTED, error),
    )
    return promise
  }

  /** `new Promise`, where it does. */
  beginPromise(executor: Executor): ModelPromise {
    const promise = new ModelPromise(this)
    const reject = (error: unknown): void => promise.conclude(REJECTED, error)
    try {
      executor((value) => promise.conclude(RESOLVED, value), reject)
    } catch (error) {
      reject(error)
    }
    return promise
  }

  /** The promise of a waitAsync. */
  expectWake(): Promise<unknown> {
    this.wake = new ModelPromise(this)
    return this.wake as unknown as Promise<unknown>
  }

  /** `await`. */
  wait(promise: unknown): unknown {
    const awaited = promise as ModelPromise
    if (!this.runUntil(() => awaited.isSettled))
      throw new Error('a thread of the model awaits what never comes')
    if (awaited.isRejected) throw awaited.value
    return awaited.value
  }

  /** False when nothing holds the thread, and it ends. */
  runUntil(isDone: () => boolean): boolean {
    this.runMicrotasks()
    while (!isDone()) if (!this.turn()) return false
    return true
  }

  /** Ends the turn; before the next one others may run, and what has come by then is done. */
  goRound(): void {
    this.runMicrotasks()
    takeTurns()
    this.takeWake()
    this.runMicrotasks()
  }

  private turn(): boolean {
    if (!this.takeWake()) {
      if (this.due.length > 0) this.takeDue()
      else if (!this.restUntilWoken()) return false
    }
    this.runMicrotasks()
    return true
  }

  private takeDue(): void {
    takeTurns()
    const timer = this.takeWake() ? undefined : this.due.shift()
    if (timer !== undefined) this.callShielded(timer.callback)
  }

  private restUntilWoken(): boolean {
    const timer = this.intervals.find(({ isHeld }) => isHeld)
    if (timer === undefined && !this.isKept) return false
    const isWoken = rest(timer?.ms ?? Number.POSITIVE_INFINITY)
    if (!isWoken && timer !== undefined) this.callShielded(timer.callback)
    return true
  }

  private takeWake(): boolean {
    if (!M.takeAsyncWake()) return false
    this.wake?.conclude(RESOLVED, 'ok')
    return true
  }

  private runMicrotasks(): void {
    for (let next = this.microtasks.shift(); next !== undefined; next = this.microtasks.shift())
      this.callShielded(next)
  }

  /** Only a call of the application is cut off: by its time limit, or by a stack that it has used up. */
  private callShielded(callback: () => void): void {
    M.shield(true)
    callback()
    M.shield(false)
  }
}

function newTimer(callback: () => void, ms: number): ModelTimer {
  const timer: ModelTimer = {
    callback,
    ms,
    isHeld: true,
    ref: () => {
      timer.isHeld = true
    },
    unref: () => {
      timer.isHeld = false
    },
  }
  return timer
}
