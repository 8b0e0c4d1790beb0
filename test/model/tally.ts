import type { LoadedProtocol } from './build-protocol.ts'
import type { Exploration } from './exploration.ts'
import { Replay } from './replay.ts'
import { type Violation, writeSchedule } from './scheduling.ts'
import { World } from './world.ts'

/** What was seen of one configuration. */
export interface Explored {
  name: string
  /** Different ones. */
  schedules: number
  /** Of random ones some come twice. */
  runs: number
  steps: number
  deaths: number
  faults: number
  timeOuts: number
  /** Instants at which a crash was looked at: whenever the disk changed or somebody was told something. */
  crashPoints: number
  /** Different disks that a crash could leave, recovered and read by the production code. */
  recovered: number
  /** Every schedule within the bounds was run. Never true of random ones. */
  isExhausted: boolean
  seconds: number
  failure: Failure | undefined
  /** A schedule that showed more about the configuration than was known: all of it must be explored anew. */
  lesson: number[] | undefined
}

/** A schedule that broke something, as short as it could be made. */
export interface Failure {
  name: string
  promise: string
  message: string
  schedule: string
}

/** When to stop. */
export interface Budget {
  budgetMs: number
  maxSchedules?: number
}

const CLOCK_EVERY = 64

/** Counts runs, and says when to stop. */
export class Tally {
  private readonly exploration: Exploration
  private readonly loaded: LoadedProtocol
  private readonly budget: Budget
  private readonly startedAt: number
  readonly seen: Explored

  constructor(exploration: Exploration, loaded: LoadedProtocol, budget: Budget) {
    this.exploration = exploration
    this.loaded = loaded
    this.budget = budget
    this.startedAt = performance.now()
    this.seen = {
      name: exploration.name,
      schedules: 0,
      runs: 0,
      steps: 0,
      deaths: 0,
      faults: 0,
      timeOuts: 0,
      crashPoints: 0,
      recovered: 0,
      isExhausted: false,
      seconds: 0,
      failure: undefined,
      lesson: undefined,
    }
  }

  /** After a run; false when it is enough. @param isNew no run before had the same schedule */
  count({ machine }: World, violation: Violation | undefined, isNew = true): boolean {
    const { seen, budget } = this
    seen.runs++
    if (isNew) seen.schedules++
    seen.steps += machine.steps
    seen.deaths += machine.deaths
    seen.faults += machine.faults
    seen.timeOuts += machine.timeOuts
    if (violation !== undefined) {
      this.fail(violation, machine.schedule)
      return false
    }
    if (seen.runs >= (budget.maxSchedules ?? Number.POSITIVE_INFINITY)) return false
    return seen.runs % CLOCK_EVERY !== 0 || performance.now() - this.startedAt < budget.budgetMs
  }

  fail(violation: Violation, schedule: readonly number[]): void {
    this.seen.failure = shorten(this.exploration, this.loaded, violation, [...schedule])
  }

  finish(world?: World): Explored {
    const { seen } = this
    seen.seconds = (performance.now() - this.startedAt) / 1000
    seen.crashPoints = world?.promises.crashPoints ?? 0
    seen.recovered = world?.disk.recoveredCount ?? 0
    return seen
  }
}

/** Leaves out what is not needed for the same promise to break. */
function shorten(
  exploration: Exploration,
  loaded: LoadedProtocol,
  violation: Violation,
  found: readonly number[],
): Failure {
  let schedule = [...found]
  let { message } = violation
  const attempt = (candidate: readonly number[]): boolean => {
    const world = new World(exploration, loaded, new Replay(candidate))
    const result = world.run()
    if (result?.promise !== violation.promise) return false
    schedule = [...world.machine.schedule]
    message = result.message
    return true
  }
  for (let shrinks = true; shrinks; ) {
    shrinks = false
    for (let at = 0; at < schedule.length; at += 2) {
      const before = schedule.length
      if (attempt([...schedule.slice(0, at), ...schedule.slice(at + 2)]) && schedule.length < before) {
        shrinks = true
        at -= 2
      }
    }
  }
  return { name: exploration.name, promise: violation.promise, message, schedule: writeSchedule(schedule) }
}

/** Tells schedules apart by their hash: one that is new may pass for old now and then, never the other way round. */
export class DifferentSchedules {
  private readonly bits: Uint32Array

  constructor(log2Bits = 26) {
    this.bits = new Uint32Array(1 << (log2Bits - 5))
  }

  isNew(schedule: readonly number[]): boolean {
    let hash = 0x811c9dc5
    for (const each of schedule) {
      hash = Math.imul(hash ^ each, 0x01000193)
      hash ^= hash >>> 15
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b)
    hash ^= hash >>> 16
    const at = (hash >>> 5) & (this.bits.length - 1)
    const bit = 1 << (hash & 31)
    if ((this.bits[at] & bit) !== 0) return false
    this.bits[at] |= bit
    return true
  }
}

/** One line about what was explored. */
export function describeExplored({ isRandom }: Exploration, explored: Explored): string {
  const { name, schedules, runs, steps, seconds, deaths, faults, timeOuts, crashPoints, recovered } = explored
  if (schedules === 0) return `none   ${name}: no time was left`
  const kind = isRandom ? 'random' : explored.isExhausted ? 'all' : 'cut'
  const chosen = [
    deaths > 0 ? `${deaths} deaths` : '',
    faults > 0 ? `${faults} faults` : '',
    timeOuts > 0 ? `${timeOuts} early re-checks` : '',
    `${crashPoints} crash points, ${recovered} disks recovered`,
  ]
  const counts = `${String(schedules).padStart(9)} ${String(Math.round(steps / runs)).padStart(4)} steps`
  const speed = `${String(Math.round(schedules / seconds)).padStart(6)}/s`
  return `${kind.padEnd(6)} ${counts} ${speed}  ${name}: ${chosen.filter((text) => text !== '').join(', ')}`
}

/** What was broken, and how to see it again. */
export function describeFailure({ name, message, schedule }: Failure): string {
  const command = `node scripts/run.mjs test/model/explore.ts --only '${name}' --schedule '${schedule}'`
  return `  BROKEN ${message}\n  ${command}`
}
