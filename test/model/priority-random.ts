import { createRandom, type Random } from '../support/random.ts'
import type { Machine } from './machine.ts'
import { type Chooser, GO_ON, KILL, NEVER, TIME_OUT } from './scheduling.ts'
import type { SiteTable } from './sites.ts'
import { READY } from './threads.ts'

/**
 * Random schedules by priorities (PCT: Burckhardt et al., "A randomized scheduler with probabilistic guarantees of
 * finding bugs", ASPLOS 2010): the thread of the highest priority runs; at up to `changes` random steps that thread
 * falls behind all others. Faults come at random steps too.
 *
 * Under odd seeds a switch waits for the next operation whose order matters, which finds more; under even ones, and
 * without `sites`, it comes before any operation, lest what is said of them is wrong.
 */
export class PriorityRandom implements Chooser {
  private readonly changes: number
  private readonly sites: SiteTable | undefined
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
  seed: number

  constructor(changes: number, sites?: SiteTable) {
    this.changes = changes
    this.sites = sites
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
    this.seed = 0
  }

  begin(machine: Machine): void {
    this.random = createRandom(this.seed)
    const { random, priorities, changeAt } = this
    for (let thread = 0; thread < machine.threads.count; thread++)
      priorities[thread] = 1000 + random.int(1 << 20)
    changeAt.length = 0
    for (let index = random.int(this.changes); index >= 0; index--) changeAt.push(random.int(this.usualSteps))
    changeAt.sort((a, b) => a - b)
    this.nextChange = 0
    this.lowest = 0
    this.killAt = machine.limits.deaths > 0 ? random.int(this.usualSteps) : NEVER
    this.timeOutAt = machine.limits.timeOuts > 0 ? random.int(this.usualSteps) : NEVER
    this.outcomeAt = random.int(8)
    this.outcomesSeen = 0
    this.mustLook = false
    machine.askAt = this.nextLook(0)
  }

  /** After each run: how long runs are. */
  learn({ steps }: Machine): void {
    if (steps > this.usualSteps) this.usualSteps += Math.ceil((steps - this.usualSteps) / 8)
    else this.usualSteps -= Math.floor((this.usualSteps - steps) / 64)
  }

  onStep(machine: Machine, site: number, mayDie: boolean): number {
    if (this.sites !== undefined && (this.seed & 1) === 1 && !this.sites.isShared(site)) {
      const isKill = machine.steps > this.killAt && this.sites.hasEffect(site)
      if (!isKill) {
        machine.askAt = 0
        return GO_ON
      }
    }
    const answer = this.answer(machine, machine.steps - 1, mayDie)
    machine.askAt = this.mustLook ? 0 : this.nextLook(machine.steps)
    return answer
  }

  private nextLook(from: number): number {
    const change = this.nextChange < this.changeAt.length ? this.changeAt[this.nextChange] : NEVER
    return Math.max(from, Math.min(change, this.killAt, this.timeOutAt))
  }

  private answer(machine: Machine, step: number, mayDie: boolean): number {
    const { current, limits } = machine
    if (step >= this.killAt && mayDie && (machine.mortal & (1 << current)) !== 0) {
      this.killAt = machine.deaths + 1 < limits.deaths ? step + this.random.int(this.usualSteps) : NEVER
      return KILL
    }
    if (step >= this.timeOutAt) {
      const late = this.anyTimed(machine)
      if (late >= 0) {
        this.timeOutAt =
          machine.timeOuts + 1 < limits.timeOuts ? step + this.random.int(this.usualSteps) : NEVER
        return TIME_OUT + late
      }
    }
    while (this.nextChange < this.changeAt.length && this.changeAt[this.nextChange] <= step) {
      this.nextChange++
      this.priorities[current] = --this.lowest
      this.mustLook = true
    }
    if (!this.mustLook) return GO_ON
    this.mustLook = false
    const best = this.highest(machine)
    return best === current ? GO_ON : best
  }

  private anyTimed(machine: Machine): number {
    const first = this.random.int(machine.threads.count)
    for (let index = 0; index < machine.threads.count; index++) {
      const thread = (first + index) % machine.threads.count
      if (machine.threads.isTimed(thread)) return thread
    }
    return -1
  }

  /** A thread that polls has the lowest priority of all: others must come first. */
  private highest(machine: Machine): number {
    let best = -1
    for (let thread = 0; thread < machine.threads.count; thread++) {
      if (!machine.threads.canRun(thread)) continue
      if (best < 0 || this.rank(machine, thread) > this.rank(machine, best)) best = thread
    }
    return best
  }

  private rank(machine: Machine, thread: number): number {
    return machine.threads.states[thread] === READY
      ? this.priorities[thread]
      : this.priorities[thread] - 2 ** 30
  }

  onSwitch(machine: Machine): number {
    return this.highest(machine)
  }

  onOutcome(_machine: Machine, outcomes: number): number {
    if (this.outcomesSeen++ < this.outcomeAt) return 0
    this.outcomeAt = this.outcomesSeen + this.random.int(8)
    return 1 + this.random.int(outcomes - 1)
  }

  onReady(machine: Machine): void {
    this.mustLook = true
    machine.askAt = 0
  }
}
