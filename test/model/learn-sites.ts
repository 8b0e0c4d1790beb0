import type { LoadedProtocol } from './build-protocol.ts'
import type { Configuration } from './configuration.ts'
import { DepthFirst } from './depth-first.ts'
import { PriorityRandom } from './priority-random.ts'
import { Replay } from './replay.ts'
import type { Violation } from './scheduling.ts'
import { type SiteTable, SiteWatch } from './sites.ts'
import { World } from './world.ts'

/** So many runs in a row must bring nothing new. What they miss is found out later (`confirms`), and begins anew. */
const QUIET_RUNS = 200
const RANDOM_RUNS = 3000
const ORDERED_RUNS = 3000
const CHANGES = 4

/** Finds out, for one configuration, before which operations threads have to be switched (sites.ts). */
export class SiteLearner {
  private readonly configuration: Configuration
  private readonly watched: LoadedProtocol
  private readonly watch: SiteWatch
  private readonly replay: Replay
  private replayWorld: World | undefined
  /** As learned; fixed from then on. */
  readonly table: SiteTable
  /** What the runs of learning found broken, and under which schedule. */
  broken: { violation: Violation; schedule: number[] } | undefined

  /** The same lessons, schedules that showed something new, give the same table. */
  constructor(
    configuration: Configuration,
    watched: LoadedProtocol,
    lessons: readonly (readonly number[])[],
  ) {
    this.configuration = configuration
    this.watched = watched
    this.watch = new SiteWatch()
    this.replay = new Replay()
    this.replayWorld = undefined
    this.broken = undefined
    this.learn(lessons)
    this.table = this.watch.table(watched.sites.length)
  }

  private learn(lessons: readonly (readonly number[])[]): void {
    const random = new PriorityRandom(CHANGES)
    const world = new World(this.configuration, this.watched, random)
    let quietRuns = 0
    for (let run = 0; run < RANDOM_RUNS && quietRuns < QUIET_RUNS; run++) {
      random.seed = run
      this.runWatched(world)
      random.learn(world.machine)
      quietRuns = this.watch.hasLearned ? 0 : quietRuns + 1
    }
    const few = new DepthFirst(1, this.watch.table(this.watched.sites.length))
    const ordered = new World(this.configuration, this.watched, few)
    quietRuns = 0
    for (let run = 0; run < ORDERED_RUNS && quietRuns < QUIET_RUNS; run++) {
      this.runWatched(ordered)
      quietRuns = this.watch.hasLearned ? 0 : quietRuns + 1
      if (!few.nextRun()) break
    }
    for (const schedule of lessons) {
      const again = this.replayed(schedule)
      // More than once: of all words that a run shows, only one is taken in.
      do this.runWatched(again)
      while (this.watch.hasLearned)
    }
  }

  private runWatched(world: World): void {
    const { machine } = world
    this.watch.begin()
    machine.watcher = this.watch
    const violation = world.run()
    machine.watcher = undefined
    if (violation !== undefined && this.broken === undefined)
      this.broken = { violation, schedule: [...machine.schedule] }
  }

  /** The machine of the build that watches has served other worlds since the last look. */
  private replayed(schedule: readonly number[]): World {
    this.replay.take(schedule)
    this.replayWorld ??= new World(this.configuration, this.watched, this.replay)
    this.replayWorld.takeMachine()
    return this.replayWorld
  }

  /** Looks once more at a run: does it fit what was learned? */
  confirms(schedule: readonly number[]): boolean {
    this.runWatched(this.replayed(schedule))
    return this.watch.table(this.watched.sites.length).isWithin(this.table)
  }
}
