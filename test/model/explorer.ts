import type { Change } from '../support/mutate.ts'
import { buildProtocol, type LoadedProtocol, loadProtocol } from './build-protocol.ts'
import { DepthFirst, PriorityRandom, Replay, readSchedule, writeSchedule } from './choosers.ts'
import type { Exploration } from './configurations.ts'
import type { Violation } from './machine.ts'
import { World } from './world.ts'

/** What was seen of one configuration. */
export interface Explored {
  name: string
  schedules: number
  steps: number
  /** Every schedule within the bounds was run. Never true of random ones. */
  isExhausted: boolean
  seconds: number
  failure: Failure | undefined
}

/** A schedule that broke something, as short as it could be made. */
export interface Failure {
  name: string
  promise: string
  message: string
  schedule: string
}

/** Which part of the schedules, and when to stop. */
export interface ExploreOptions {
  budgetMs: number
  maxSchedules?: number
  shard?: number
  shards?: number
  /** Of random schedules. */
  seed?: number
}

/** Runs a configuration under all its schedules, or under random ones, until the budget is spent or one fails. */
export function explore(exploration: Exploration, loaded: LoadedProtocol, options: ExploreOptions): Explored {
  return exploration.isRandom
    ? exploreAtRandom(exploration, loaded, options)
    : exploreAll(exploration, loaded, options)
}

function exploreAll(exploration: Exploration, loaded: LoadedProtocol, options: ExploreOptions): Explored {
  const chooser = new DepthFirst(exploration.bound, options.shard, options.shards)
  const world = new World(exploration, loaded, chooser)
  const tally = new Tally(exploration, loaded, options)
  for (;;) {
    chooser.beginRun()
    const violation = world.run()
    if (chooser.isOwnRun && tally.count(world, violation)) return tally.finish(false)
    if (!chooser.nextRun()) return tally.finish(true)
  }
}

function exploreAtRandom(
  exploration: Exploration,
  loaded: LoadedProtocol,
  options: ExploreOptions,
): Explored {
  const chooser = new PriorityRandom(exploration.bound)
  const world = new World(exploration, loaded, chooser)
  const tally = new Tally(exploration, loaded, options)
  const seed = (options.seed ?? 1) + (options.shard ?? 0)
  for (let run = 0; ; run++) {
    chooser.beginRun(seed + run * (options.shards ?? 1), world.machine.threadCount)
    const violation = world.run()
    chooser.endRun(world.machine)
    if (tally.count(world, violation)) return tally.finish(false)
  }
}

/** Counts runs, and says when to stop. */
class Tally {
  private readonly exploration: Exploration
  private readonly loaded: LoadedProtocol
  private readonly options: ExploreOptions
  private readonly startedAt: number
  private schedules: number
  private steps: number
  private failure: Failure | undefined

  constructor(exploration: Exploration, loaded: LoadedProtocol, options: ExploreOptions) {
    this.exploration = exploration
    this.loaded = loaded
    this.options = options
    this.startedAt = performance.now()
    this.schedules = 0
    this.steps = 0
    this.failure = undefined
  }

  /** True when it is enough. */
  count(world: World, violation: Violation | undefined): boolean {
    this.schedules++
    this.steps += world.machine.steps
    if (violation !== undefined) {
      this.failure = shorten(this.exploration, this.loaded, violation, world.machine.schedule)
      return true
    }
    if (this.schedules >= (this.options.maxSchedules ?? Number.POSITIVE_INFINITY)) return true
    return (this.schedules & 63) === 0 && performance.now() - this.startedAt >= this.options.budgetMs
  }

  finish(isExhausted: boolean): Explored {
    const { schedules, steps, failure } = this
    const seconds = (performance.now() - this.startedAt) / 1000
    return { name: this.exploration.name, schedules, steps, isExhausted, seconds, failure }
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

/** One schedule step by step, as text. */
export async function traceSchedule(
  exploration: Exploration,
  schedule: string,
  print: (line: string) => void,
  changes: readonly Change[] = [],
): Promise<Violation | undefined> {
  const loaded = loadProtocol(await buildProtocol(changes, true))
  const world = new World(exploration, loaded, new Replay(readSchedule(schedule)))
  const { machine } = world
  machine.onTrace = print
  machine.onSite = (site) =>
    print(`T${machine.current} ${String(machine.questions).padStart(4)} ${loaded.sites[site] ?? ''}`)
  const violation = world.run()
  print(violation === undefined ? 'nothing was broken' : violation.message)
  return violation
}
