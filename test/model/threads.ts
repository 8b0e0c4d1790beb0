export const READY = 0
/** Waits for a word to be notified. */
export const BLOCKED = 1
/** Looks again later: a timer of the host, which asks every few milliseconds. */
export const PAUSED = 2
/** Rests in its event loop, until something that it waits for by a promise, or a timer, takes it up again. */
export const RESTING = 3
export const DONE = 4
export const DEAD = 5

export const THREAD_LIMIT = 8
/** A thread that polls looks so often at the same. */
const LOOK_LIMIT = 2
/** Waits as long as this are re-checks that must never be needed; others are timers. */
const RECHECK_MS = 20
const NO_WORD = -1

/** The threads of a machine, as far as they wait: for a word to be notified, for a timer, for their turn. */
export class ModelThreads {
  count: number
  readonly states: Uint8Array
  /** The word that a blocked thread waits on. */
  private readonly waitsOn: Int32Array
  private readonly waitOrder: Int32Array
  readonly waitMs: Float64Array
  /** By thread: the wait ends by itself only to look whether somebody died. */
  private readonly isRecheck: Uint8Array
  private readonly wasWoken: Uint8Array
  /** By thread: the word of its waitAsync, or NO_WORD. */
  private readonly asyncWord: Int32Array
  private readonly asyncOrder: Int32Array
  /** By thread: its waitAsync was notified, and its event loop has not taken notice yet. */
  private readonly asyncWoken: Uint8Array
  private readonly ownTurns: Int32Array
  /** Of a thread that polls: the turns of others when it last began to look, and its looks in a row since then. */
  private readonly lookedAt: Int32Array
  private readonly looks: Int32Array
  private waitCount: number
  /** How often some thread was given its turn. */
  private turns: number

  constructor() {
    this.count = 0
    this.states = new Uint8Array(THREAD_LIMIT)
    this.waitsOn = new Int32Array(THREAD_LIMIT)
    this.waitOrder = new Int32Array(THREAD_LIMIT)
    this.waitMs = new Float64Array(THREAD_LIMIT)
    this.isRecheck = new Uint8Array(THREAD_LIMIT)
    this.wasWoken = new Uint8Array(THREAD_LIMIT)
    this.asyncWord = new Int32Array(THREAD_LIMIT)
    this.asyncOrder = new Int32Array(THREAD_LIMIT)
    this.asyncWoken = new Uint8Array(THREAD_LIMIT)
    this.ownTurns = new Int32Array(THREAD_LIMIT)
    this.lookedAt = new Int32Array(THREAD_LIMIT)
    this.looks = new Int32Array(THREAD_LIMIT)
    this.waitCount = 0
    this.turns = 0
  }

  /** Before a run. Threads that are not started count as done. */
  reset(): void {
    this.states.fill(DONE)
    this.ownTurns.fill(0)
    this.lookedAt.fill(-1)
    this.looks.fill(0)
    this.asyncWord.fill(NO_WORD)
    this.asyncWoken.fill(0)
    this.waitCount = 0
    this.turns = 0
  }

  /** The thread is given its turn. */
  begin(thread: number): void {
    this.turns++
    this.ownTurns[thread]++
    if (this.states[thread] !== PAUSED) return
    const others = this.turns - this.ownTurns[thread]
    this.looks[thread] = this.lookedAt[thread] === others ? this.looks[thread] + 1 : 1
    this.lookedAt[thread] = others
    this.states[thread] = READY
  }

  block(thread: number, word: number, timeoutMs: number): void {
    this.states[thread] = BLOCKED
    this.waitsOn[thread] = word
    this.waitOrder[thread] = this.waitCount++
    this.waitMs[thread] = timeoutMs
    this.isRecheck[thread] = timeoutMs === RECHECK_MS ? 1 : 0
  }

  /** The thread goes on, and is to be woken by a promise. */
  waitAsync(thread: number, word: number): void {
    if (this.asyncWord[thread] !== NO_WORD)
      throw new Error('a thread of the model has one waitAsync at a time')
    this.asyncWord[thread] = word
    this.asyncOrder[thread] = this.waitCount++
  }

  /** Its event loop has nothing to do. */
  rest(thread: number, timeoutMs: number): void {
    this.states[thread] = RESTING
    this.waitOrder[thread] = this.waitCount++
    this.waitMs[thread] = timeoutMs
    // Only what looks whether somebody died has a timer of its own.
    this.isRecheck[thread] = 1
  }

  /** The event loop looks whether its waitAsync was notified. */
  takeAsyncWake(thread: number): boolean {
    const wasWoken = this.asyncWoken[thread] === 1
    this.asyncWoken[thread] = 0
    return wasWoken
  }

  /** Wakes, of those who wait on the word, the one that has waited longest; -1 when nobody does. */
  notifyFirst(word: number): number {
    let first = -1
    let firstOrder = 0
    for (let thread = 0; thread < this.count; thread++) {
      let order: number
      if (this.states[thread] === BLOCKED && this.waitsOn[thread] === word) order = this.waitOrder[thread]
      else if (this.asyncWord[thread] === word) order = this.asyncOrder[thread]
      else continue
      if (first >= 0 && order > firstOrder) continue
      first = thread
      firstOrder = order
    }
    if (first < 0) return first
    if (this.asyncWord[first] === word) {
      this.asyncWord[first] = NO_WORD
      this.asyncWoken[first] = 1
      if (this.states[first] === RESTING) this.wake(first, true)
    } else this.wake(first, true)
    return first
  }

  /** Who is gone waits for nothing any more. */
  forgetAsync(thread: number): void {
    this.asyncWord[thread] = NO_WORD
  }

  /** Does its wait end only to look whether somebody died? */
  isRechecking(thread: number): boolean {
    return this.isRecheck[thread] === 1
  }

  wake(thread: number, byNotify: boolean): void {
    this.states[thread] = READY
    this.wasWoken[thread] = byNotify ? 1 : 0
  }

  /** After a wait: false when the time ran out. */
  wokenByNotify(thread: number): boolean {
    return this.wasWoken[thread] === 1
  }

  /** May run next: ready; or it polls, and somebody else, or its own last look, may have changed something. */
  canRun(thread: number): boolean {
    const state = this.states[thread]
    if (state !== PAUSED) return state === READY
    return this.looks[thread] < LOOK_LIMIT || this.lookedAt[thread] !== this.turns - this.ownTurns[thread]
  }

  /** Is it in a wait that ends by itself? */
  isTimed(thread: number): boolean {
    const isWaiting = this.states[thread] === BLOCKED || this.states[thread] === RESTING
    return isWaiting && this.waitMs[thread] !== Number.POSITIVE_INFINITY
  }

  /** Of those in such a wait, the one that has waited longest; -1 when there is none. */
  oldestTimed(): number {
    let oldest = -1
    for (let thread = 0; thread < this.count; thread++) {
      if (!this.isTimed(thread)) continue
      if (oldest < 0 || this.waitOrder[thread] < this.waitOrder[oldest]) oldest = thread
    }
    return oldest
  }

  describeWaits(): string {
    const parts: string[] = []
    for (let thread = 0; thread < this.count; thread++) {
      if (this.states[thread] === BLOCKED) parts.push(`T${thread} waits on word ${this.waitsOn[thread]}`)
      if (this.states[thread] === RESTING)
        parts.push(`T${thread} rests, waitAsync on ${this.asyncWord[thread]}`)
      if (this.states[thread] === PAUSED) parts.push(`T${thread} polls`)
      if (this.states[thread] === DEAD) parts.push(`T${thread} is dead`)
    }
    return parts.join(', ')
  }
}
