import { createRandom, type Random } from '../support/random.ts'
import { BLOCKED, type Chooser, GO_ON, KILL, type Machine, OUTCOME, READY, TIME_OUT } from './machine.ts'

/**
 * Every schedule with at most `bound` preemptions and the faults that the machine's limits allow, one after the
 * other. A switch where a thread cannot go on by itself is free. Of `shards` explorers each takes those whose first
 * unusual answer is its own.
 */
export class DepthFirst implements Chooser {
  private readonly bound: number
  private readonly shard: number
  private readonly shards: number
  private choices: Int16Array
  private counts: Int16Array
  /** How many choices of the current run are fixed. */
  private fixed: number
  private depth: number
  private preemptions: number
  private firstUnusual: number

  constructor(bound: number, shard = 0, shards = 1) {
    this.bound = bound
    this.shard = shard
    this.shards = shards
    this.choices = new Int16Array(1 << 15)
    this.counts = new Int16Array(1 << 15)
    this.fixed = 0
    this.depth = 0
    this.preemptions = 0
    this.firstUnusual = Number.MAX_SAFE_INTEGER
  }

  /** Before each run. */
  beginRun(): void {
    this.depth = 0
    this.preemptions = 0
  }

  /** The usual run belongs to the first shard alone. */
  get isOwnRun(): boolean {
    return this.firstUnusual !== Number.MAX_SAFE_INTEGER || this.shard === 0
  }

  /** After each run: false when all were seen. */
  nextRun(): boolean {
    const { choices, counts } = this
    for (let at = this.depth - 1; at >= 0; at--) {
      if (choices[at] + 1 >= counts[at]) continue
      if (at <= this.firstUnusual) {
        if (at % this.shards !== this.shard) continue
        this.firstUnusual = at
      }
      choices[at]++
      this.fixed = at + 1
      return true
    }
    return false
  }

  /** What part of the schedules was seen, roughly. */
  progress(): number {
    let done = 0
    let share = 1
    for (let at = 0; at < this.fixed; at++) {
      share /= this.counts[at]
      done += share * this.choices[at]
    }
    return done
  }

  private choose(count: number): number {
    const at = this.depth++
    if (at < this.fixed) return this.choices[at]
    this.choices[at] = 0
    this.counts[at] = count
    return 0
  }

  onStep(machine: Machine, mayDie: boolean, isShared: boolean): number {
    const { limits, current } = machine
    const mayPreempt = isShared && this.preemptions < this.bound
    const mayKill = mayDie && machine.deaths < limits.deaths && (machine.mortal & (1 << current)) !== 0
    if (!mayPreempt) {
      if (!mayKill) return GO_ON
      return this.choose(2) === 0 ? GO_ON : KILL
    }
    const mayTimeOut = machine.timeOuts < limits.timeOuts
    let count = mayKill ? 2 : 1
    for (let thread = 0; thread < machine.threadCount; thread++) {
      if (thread !== current && (machine.canRun(thread) || (mayTimeOut && isTimed(machine, thread)))) count++
    }
    if (count === 1) return GO_ON
    let choice = this.choose(count)
    if (choice === 0) return GO_ON
    for (let thread = 0; thread < machine.threadCount; thread++) {
      if (thread === current) continue
      const canRun = machine.canRun(thread)
      if (!canRun && !(mayTimeOut && isTimed(machine, thread))) continue
      if (--choice > 0) continue
      this.preemptions++
      return canRun ? thread : TIME_OUT + thread
    }
    return KILL
  }

  onSwitch(machine: Machine): number {
    let count = 0
    for (let thread = 0; thread < machine.threadCount; thread++) if (machine.canRun(thread)) count++
    let choice = this.choose(count)
    for (let thread = 0; ; thread++) {
      if (machine.canRun(thread) && choice-- === 0) return thread
    }
  }

  onOutcome(_machine: Machine, outcomes: number): number {
    return this.choose(outcomes)
  }

  onReady(): void {}
}

function isTimed(machine: Machine, thread: number): boolean {
  return machine.states[thread] === BLOCKED && machine.waitMs[thread] !== Number.POSITIVE_INFINITY
}

/**
 * Random schedules by priorities (PCT: Burckhardt et al., "A randomized scheduler with probabilistic guarantees of
 * finding bugs", ASPLOS 2010): the thread of the highest priority runs; at `changes` random steps that thread falls
 * behind all others. Faults come at random steps too.
 */
export class PriorityRandom implements Chooser {
  private readonly changes: number
  private random: Random
  private readonly priorities: Int32Array
  private readonly changeAt: number[]
  private nextChange: number
  private lowest: number
  private killAt: number
  private timeOutAt: number
  private outcomeAt: number
  private outcomesSeen: number
  private mustLook: boolean
  /** Steps of a usual run, learned as we go. */
  private usualSteps: number

  constructor(changes: number) {
    this.changes = changes
    this.random = createRandom(0)
    this.priorities = new Int32Array(16)
    this.changeAt = []
    this.nextChange = 0
    this.lowest = 0
    this.killAt = 0
    this.timeOutAt = 0
    this.outcomeAt = 0
    this.outcomesSeen = 0
    this.mustLook = false
    this.usualSteps = 200
  }

  beginRun(seed: number, threadCount: number): void {
    this.random = createRandom(seed)
    const { random, priorities, changeAt } = this
    for (let thread = 0; thread < threadCount; thread++) priorities[thread] = 1000 + random.int(1 << 20)
    changeAt.length = 0
    for (let index = 0; index < this.changes; index++) changeAt.push(1 + random.int(this.usualSteps))
    changeAt.sort((a, b) => a - b)
    this.nextChange = 0
    this.lowest = 0
    this.killAt = random.int(this.usualSteps)
    this.timeOutAt = random.int(this.usualSteps)
    this.outcomeAt = random.int(8)
    this.outcomesSeen = 0
    this.mustLook = false
  }

  endRun(machine: Machine): void {
    if (machine.steps > this.usualSteps) this.usualSteps += Math.ceil((machine.steps - this.usualSteps) / 8)
    else this.usualSteps -= Math.floor((this.usualSteps - machine.steps) / 64)
  }

  onStep(machine: Machine, mayDie: boolean): number {
    const { steps, current } = machine
    if (steps >= this.killAt && this.mayKill(machine, mayDie)) {
      this.killAt = Number.MAX_SAFE_INTEGER
      return KILL
    }
    if (steps >= this.timeOutAt && machine.timeOuts < machine.limits.timeOuts) {
      const late = this.anyTimed(machine)
      if (late >= 0) {
        this.timeOutAt = Number.MAX_SAFE_INTEGER
        return TIME_OUT + late
      }
    }
    while (this.nextChange < this.changeAt.length && this.changeAt[this.nextChange] <= steps) {
      this.nextChange++
      this.priorities[current] = --this.lowest
      this.mustLook = true
    }
    if (!this.mustLook) return GO_ON
    this.mustLook = false
    const best = this.highest(machine)
    return best === current ? GO_ON : best
  }

  private mayKill(machine: Machine, mayDie: boolean): boolean {
    return mayDie && machine.deaths < machine.limits.deaths && (machine.mortal & (1 << machine.current)) !== 0
  }

  private anyTimed(machine: Machine): number {
    const first = this.random.int(machine.threadCount)
    for (let index = 0; index < machine.threadCount; index++) {
      const thread = (first + index) % machine.threadCount
      if (isTimed(machine, thread)) return thread
    }
    return -1
  }

  /** A thread that polls has the lowest priority of all: others must come first. */
  private highest(machine: Machine): number {
    let best = -1
    for (let thread = 0; thread < machine.threadCount; thread++) {
      if (!machine.canRun(thread)) continue
      if (best < 0 || this.rank(machine, thread) > this.rank(machine, best)) best = thread
    }
    return best
  }

  private rank(machine: Machine, thread: number): number {
    return machine.states[thread] === READY ? this.priorities[thread] : this.priorities[thread] - 2 ** 30
  }

  onSwitch(machine: Machine): number {
    return this.highest(machine)
  }

  onOutcome(_machine: Machine, outcomes: number): number {
    if (this.outcomesSeen++ < this.outcomeAt) return 0
    return 1 + this.random.int(outcomes - 1)
  }

  onReady(): void {
    this.mustLook = true
  }
}

/** One schedule again, as Machine.schedule wrote it down. Answers that make no sense (any more) are passed over. */
export class Replay implements Chooser {
  private readonly answers: Map<number, number>

  constructor(schedule: readonly number[]) {
    this.answers = new Map()
    for (let at = 0; at < schedule.length; at += 2) this.answers.set(schedule[at], schedule[at + 1])
  }

  onStep(machine: Machine, mayDie: boolean): number {
    const answer = this.answers.get(machine.questions) ?? GO_ON
    if (answer === KILL) return mayDie ? KILL : GO_ON
    if (answer >= OUTCOME || answer === machine.current) return GO_ON
    if (answer >= TIME_OUT) return isTimed(machine, answer - TIME_OUT) ? answer : GO_ON
    return answer >= 0 && machine.canRun(answer) ? answer : GO_ON
  }

  onSwitch(machine: Machine): number {
    const answer = this.answers.get(machine.questions)
    if (answer !== undefined && answer < KILL && machine.canRun(answer)) return answer
    for (let thread = 0; ; thread++) if (machine.canRun(thread)) return thread
  }

  onOutcome(machine: Machine): number {
    const answer = this.answers.get(machine.questions)
    return answer === undefined ? 0 : Math.max(0, answer - OUTCOME)
  }

  onReady(): void {}
}

/** A schedule in few characters: `12>1` at question 12 run thread 1, `40x` kill, `51t2` time out, `60!1` the disk fails. */
export function writeSchedule(schedule: readonly number[]): string {
  const parts: string[] = []
  for (let at = 0; at < schedule.length; at += 2) {
    const answer = schedule[at + 1]
    if (answer < KILL) parts.push(`${schedule[at]}>${answer}`)
    else if (answer === KILL) parts.push(`${schedule[at]}x`)
    else if (answer < OUTCOME) parts.push(`${schedule[at]}t${answer - TIME_OUT}`)
    else parts.push(`${schedule[at]}!${answer - OUTCOME}`)
  }
  return parts.join(',')
}

/** @throws Error about text that writeSchedule did not write */
export function readSchedule(text: string): number[] {
  const schedule: number[] = []
  for (const part of text.split(',').filter((each) => each !== '')) {
    const match = /^(\d+)([>xt!])(\d*)$/.exec(part)
    if (match === null) throw new Error(`not a schedule: ${part}`)
    const [, question, kind, value] = match
    const base = { '>': 0, x: KILL, t: TIME_OUT, '!': OUTCOME }[kind]!
    schedule.push(Number(question), base + Number(value))
  }
  return schedule
}
