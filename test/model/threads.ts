export const READY = 0
/** Waits for a word to be notified. */
export const BLOCKED = 1
/** Looks again later: a timer of the host, which asks every few milliseconds. */
export const PAUSED = 2
export const DONE = 3
export const DEAD = 4

export const THREAD_LIMIT = 8
/** A thread that polls looks so often at the same. */
const LOOK_LIMIT = 2

/** The threads of a machine, as far as they wait: for a word to be notified, for a timer, for their turn. */
export class ModelThreads {
  count: number
  readonly states: Uint8Array
  /** The word that a blocked thread waits on. */
  private readonly waitsOn: Int32Array
  private readonly waitOrder: Int32Array
  readonly waitMs: Float64Array
  private readonly wasWoken: Uint8Array
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
    this.wasWoken = new Uint8Array(THREAD_LIMIT)
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
  }

  /** Of those who wait on the word, the one that has waited longest; -1 when nobody does. */
  firstWaiting(word: number): number {
    let first = -1
    for (let thread = 0; thread < this.count; thread++) {
      if (this.states[thread] !== BLOCKED || this.waitsOn[thread] !== word) continue
      if (first < 0 || this.waitOrder[thread] < this.waitOrder[first]) first = thread
    }
    return first
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
    return this.states[thread] === BLOCKED && this.waitMs[thread] !== Number.POSITIVE_INFINITY
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
      if (this.states[thread] === PAUSED) parts.push(`T${thread} polls`)
      if (this.states[thread] === DEAD) parts.push(`T${thread} is dead`)
    }
    return parts.join(', ')
  }
}
