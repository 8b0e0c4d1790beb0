import type { Change } from '../support/mutate.ts'
import { buildProtocol, type LoadedProtocol, loadProtocol } from './build-protocol.ts'
import { DepthFirst } from './depth-first.ts'
import type { Exploration } from './exploration.ts'
import { SiteLearner } from './learn-sites.ts'
import { PriorityRandom } from './priority-random.ts'
import { Replay } from './replay.ts'
import { readSchedule, type Violation } from './scheduling.ts'
import { SiteTable } from './sites.ts'
import { type Budget, DifferentSchedules, type Explored, Tally } from './tally.ts'
import { World } from './world.ts'

/** The explored build in the two kinds that exploring needs. */
export interface ExploredBuild {
  fast: LoadedProtocol
  /** Without it nothing is learned before: threads are switched before every operation. */
  watched: LoadedProtocol | undefined
  /** The newest, with what it was made from. */
  learner: { of: string; learner: SiteLearner } | undefined
}

/** @param changes to the production code */
export async function buildExplored(
  changes: readonly Change[] = [],
  isTaught = true,
): Promise<ExploredBuild> {
  const fast = loadProtocol(await buildProtocol(changes, 'fast'))
  const watched = isTaught ? loadProtocol(await buildProtocol(changes, 'watched')) : undefined
  return { fast, watched, learner: undefined }
}

/** Which part of the schedules, and when to stop. */
export interface ExploreOptions extends Budget {
  shard?: number
  shards?: number
  /** Of random schedules. */
  seed?: number
  /** Schedules that an earlier exploration of this configuration asked for. */
  lessons?: number[][]
}

/** Every so many schedules one is looked at again, whether it fits what was learned: more often in the beginning. */
const CONFIRM_EVERY = 512
const CONFIRM_EARLY = 32
const EARLY_SCHEDULES = 16384
/** Learning takes seconds. Random schedules can do without it, and do where they have less time than this. */
const LEARNING_PAYS_MS = 30_000

/** Runs a configuration under all its schedules, or under random ones, until the budget is spent or one fails. */
export function explore(exploration: Exploration, build: ExploredBuild, options: ExploreOptions): Explored {
  // Made before anything is learned: that takes of the time, too.
  const tally = new Tally(exploration, build.fast, options)
  if (options.budgetMs <= 0) return tally.finish()
  return exploration.isRandom
    ? exploreAtRandom(exploration, build, options, tally)
    : exploreAll(exploration, build, options, tally)
}

function exploreAll(
  exploration: Exploration,
  build: ExploredBuild,
  options: ExploreOptions,
  tally: Tally,
): Explored {
  const { shard = 0, shards = 1 } = options
  const learner = learnerFor(exploration, build, options)
  const sites = learner?.table ?? new SiteTable(build.fast.sites.length)
  const chooser = new DepthFirst(exploration.bound, sites, shard, shards)
  const world = new World(exploration, build.fast, chooser)
  const { seen } = tally
  if (learner?.broken !== undefined) {
    tally.fail(learner.broken.violation, learner.broken.schedule)
    return tally.finish(world)
  }
  for (;;) {
    const violation = world.run()
    const goesOn = !chooser.isOwnRun || tally.count(world, violation)
    const every = seen.schedules < EARLY_SCHEDULES ? CONFIRM_EARLY : CONFIRM_EVERY
    if (learner !== undefined && seen.schedules % every === 0) {
      const schedule = [...world.machine.schedule]
      if (!learner.confirms(schedule)) seen.lesson = schedule
    }
    if (!goesOn || seen.lesson !== undefined) return tally.finish(world)
    if (!chooser.nextRun()) {
      seen.isExhausted = true
      return tally.finish(world)
    }
  }
}

/** The parts of one configuration share what was learned. */
function learnerFor(
  exploration: Exploration,
  build: ExploredBuild,
  { lessons = [] }: ExploreOptions,
): SiteLearner | undefined {
  if (build.watched === undefined) return undefined
  const of = JSON.stringify([exploration.name, lessons])
  if (build.learner?.of !== of)
    build.learner = { of, learner: new SiteLearner(exploration, build.watched, lessons) }
  return build.learner.learner
}

function exploreAtRandom(
  exploration: Exploration,
  build: ExploredBuild,
  options: ExploreOptions,
  tally: Tally,
): Explored {
  const { shard = 0, shards = 1, seed = 1 } = options
  const learner = options.budgetMs < LEARNING_PAYS_MS ? undefined : learnerFor(exploration, build, options)
  const chooser = new PriorityRandom(exploration.bound, learner?.table)
  const world = new World(exploration, build.fast, chooser)
  if (learner?.broken !== undefined) {
    tally.fail(learner.broken.violation, learner.broken.schedule)
    return tally.finish(world)
  }
  const different = new DifferentSchedules()
  for (let run = 0; ; run++) {
    chooser.seed = seed + shard + run * shards
    const violation = world.run()
    chooser.learn(world.machine)
    if (!tally.count(world, violation, different.isNew(world.machine.schedule))) return tally.finish(world)
  }
}

/** One schedule step by step, as text. */
export async function traceSchedule(
  exploration: Exploration,
  schedule: string,
  print: (line: string) => void,
  changes: readonly Change[] = [],
): Promise<Violation | undefined> {
  const loaded = loadProtocol(await buildProtocol(changes, 'traced'))
  const world = new World(exploration, loaded, new Replay(readSchedule(schedule)))
  const { machine } = world
  machine.onTrace = print
  machine.onSite = (site) =>
    print(`T${machine.current} ${String(machine.question - 1).padStart(4)} ${loaded.sites[site] ?? ''}`)
  const violation = world.run()
  print(violation === undefined ? 'nothing was broken' : violation.message)
  return violation
}
