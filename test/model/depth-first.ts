import type { Machine } from './machine.ts'
import { type Chooser, GO_ON, KILL, NEVER, TIME_OUT } from './scheduling.ts'
import type { SiteTable } from './sites.ts'

/**
 * Every schedule with at most `bound` preemptions and the faults that the machine's limits allow, one after the
 * other. A switch where a thread cannot go on by itself is free. Of `shards` explorers each takes those whose first
 * unusual answer is its own.
 *
 * Threads are only switched before operations that another thread can see the order of, and only killed before
 * operations that have an effect: both as `sites` says. What a switch elsewhere would lead to is led to by the
 * switch at the next such operation.
 */
export class DepthFirst implements Chooser {
  private readonly bound: number
  private readonly shard: number
  private readonly shards: number
  private readonly sites: SiteTable
  /** The answers of this run, each with how many there were to choose from, and when it was given. */
  private readonly choices: Int16Array
  private readonly counts: Int16Array
  private readonly questions: Int32Array
  /** The step that was asked about, or -1. */
  private readonly steps: Int32Array
  /** How many choices of the current run are fixed. */
  private fixed: number
  private depth: number
  private preemptions: number
  private firstUnusual: number

  constructor(bound: number, sites: SiteTable, shard = 0, shards = 1) {
    this.bound = bound
    this.sites = sites
    this.shard = shard
    this.shards = shards
    this.choices = new Int16Array(1 << 15)
    this.counts = new Int16Array(1 << 15)
    this.questions = new Int32Array(1 << 15)
    this.steps = new Int32Array(1 << 15)
    this.fixed = 0
    this.depth = 0
    this.preemptions = 0
    this.firstUnusual = Number.MAX_SAFE_INTEGER
  }

  begin(machine: Machine): void {
    this.depth = 0
    this.preemptions = 0
    machine.askAt = this.nextUnusual()
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

  /** The next step with a fixed answer that is not the usual one: until then nobody need ask. */
  private nextUnusual(): number {
    for (let at = this.depth; at < this.fixed; at++) {
      if (this.choices[at] !== 0 && this.steps[at] >= 0) return this.steps[at]
    }
    return 0
  }

  private choose(machine: Machine, question: number, step: number, count: number): number {
    while (this.depth < this.fixed && this.questions[this.depth] < question) this.depth++
    const at = this.depth++
    if (at < this.fixed) {
      if (this.questions[at] !== question || this.counts[at] !== count)
        throw new Error('a schedule did not repeat itself')
      if (step >= 0 && this.choices[at] !== 0) machine.askAt = this.nextUnusual()
      return this.choices[at]
    }
    this.choices[at] = 0
    this.counts[at] = count
    this.questions[at] = question
    this.steps[at] = step
    return 0
  }

  onStep(machine: Machine, site: number, mayDie: boolean): number {
    const { limits, current, threads } = machine
    const canPreempt = this.preemptions < this.bound
    const canKill = machine.deaths < limits.deaths
    if (!canPreempt && !canKill && this.depth >= this.fixed) {
      machine.askAt = NEVER
      return GO_ON
    }
    const mayKill = canKill && mayDie && (machine.mortal & (1 << current)) !== 0 && this.sites.hasEffect(site)
    const mayTimeOut = machine.timeOuts < limits.timeOuts
    const others = canPreempt && this.sites.isShared(site)
    let count = mayKill ? 2 : 1
    if (others) {
      for (let thread = 0; thread < threads.count; thread++) {
        if (
          thread !== current &&
          (machine.threads.canRun(thread) || (mayTimeOut && machine.threads.isTimed(thread)))
        )
          count++
      }
    }
    if (count === 1) return GO_ON
    let choice = this.choose(machine, machine.question - 1, machine.steps - 1, count)
    if (choice === 0) return GO_ON
    if (mayKill && choice === count - 1) return KILL
    for (let thread = 0; ; thread++) {
      if (thread === current) continue
      const canRun = machine.threads.canRun(thread)
      if (!canRun && !(mayTimeOut && machine.threads.isTimed(thread))) continue
      if (--choice > 0) continue
      this.preemptions++
      return canRun ? thread : TIME_OUT + thread
    }
  }

  onSwitch(machine: Machine): number {
    let count = 0
    for (let thread = 0; thread < machine.threads.count; thread++) if (machine.threads.canRun(thread)) count++
    let choice = this.choose(machine, machine.question, -1, count)
    for (let thread = 0; ; thread++) {
      if (machine.threads.canRun(thread) && choice-- === 0) return thread
    }
  }

  onOutcome(machine: Machine, outcomes: number): number {
    return this.choose(machine, machine.question, -1, outcomes)
  }

  onReady(): void {}
}
