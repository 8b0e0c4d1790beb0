import type { Exploration } from '../../model/exploration.ts'
import { exploreInParts, type Shards } from '../../model/shards.ts'
import type { Explored } from '../../model/tally.ts'
import { createRandom } from '../../support/random.ts'

export interface Plan {
  processes: number
  /** For all configurations together. */
  budgetMs: number
  seed: number
  onExplored(exploration: Exploration, explored: Explored): void
}

/** The core is divided, so that all processes have work to its end. */
const CORE_PARTS = 8
/** The most of all time that it gets. */
const CORE_SHARE = 0.4
/** Of the time that the core leaves, this share goes to the random schedules. */
const RANDOM_SHARE = 0.4
/** Small configurations end early: larger ones may take more than an equal share. */
const LARGE_SHARE = 1.5
/** Less is of no use: what would get less is left out, and says so. */
const LEAST_MS = 1500

function sizeOf({ threads }: Exploration): number {
  return threads.reduce((sum, { tasks }) => sum + tasks.length, 0)
}

/** Explores configurations: the core in full if there is time, then each of the others for its share. */
export async function explorePlanned(
  shards: Shards,
  explorations: readonly Exploration[],
  plan: Plan,
): Promise<void> {
  const endMs = performance.now() + plan.budgetMs
  const core = explorations.filter(({ isCore }) => isCore).sort((one, other) => sizeOf(one) - sizeOf(other))
  // In an order of its own for each seed: on a slow machine it is not always the same ones that are left out.
  const others = shuffled(explorations.filter(({ isCore, isRandom }) => !isCore && !isRandom))
  const random = shuffled(explorations.filter(({ isRandom }) => isRandom))
  const coreEndMs = core.length === explorations.length ? endMs : endMs - plan.budgetMs * (1 - CORE_SHARE)
  for (const [index, exploration] of core.entries()) {
    // None is left without time by those before it.
    const ownEndMs = performance.now() + (coreEndMs - performance.now()) / (core.length - index)
    await exploreOne(exploration, CORE_PARTS, () => ownEndMs - performance.now())
  }
  const leftMs = Math.max(0, endMs - performance.now())
  await exploreShared(others, endMs - (random.length > 0 ? leftMs * RANDOM_SHARE : 0))
  await exploreShared(random, endMs)

  function shuffled(some: readonly Exploration[]): Exploration[] {
    const choice = createRandom(plan.seed)
    const left = [...some]
    return some.map(() => left.splice(choice.int(left.length), 1)[0])
  }

  async function exploreOne(exploration: Exploration, parts: number, budgetMs: () => number): Promise<void> {
    plan.onExplored(
      exploration,
      await exploreInParts(shards, exploration, { parts, seed: plan.seed, budgetMs }),
    )
  }

  /** All at once, each in one process: what one does not need is left to those that begin later. */
  async function exploreShared(some: readonly Exploration[], untilMs: number): Promise<void> {
    let left = some.length
    await Promise.all(
      some.map((exploration) => {
        let ownEndMs: number | undefined
        // The time of this one begins when a process is free for it.
        const budgetMs = (): number => {
          ownEndMs ??= performance.now() + shareMs(untilMs, left--)
          return ownEndMs - performance.now()
        }
        return exploreOne(exploration, 1, budgetMs)
      }),
    )
  }

  function shareMs(untilMs: number, left: number): number {
    const leftMs = untilMs - performance.now()
    if (leftMs <= 0) return 0
    const fairMs = (leftMs * plan.processes) / left
    // One that takes all that is left leaves its process to nobody: only where there is one for each.
    const mostMs = left > plan.processes ? leftMs / 2 : leftMs
    return Math.max(LEAST_MS, Math.min(mostMs, fairMs * LARGE_SHARE))
  }
}
