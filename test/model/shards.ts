import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Exploration } from './exploration.ts'
import shardUrl from './explore-shard.ts?url'
import type { ExploreOptions } from './explorer.ts'
import type { Explored } from './tally.ts'

/** What a process is given to do. */
export interface ShardJob {
  name: string
  options: ExploreOptions
}

/** A few processes that explore, each one job at a time. */
export class Shards {
  private readonly children: ChildProcess[]
  private readonly idle: ChildProcess[]
  private readonly waiting: ((child: ChildProcess) => void)[]

  private constructor(children: ChildProcess[]) {
    this.children = children
    this.idle = [...children]
    this.waiting = []
  }

  static async start(count: number): Promise<Shards> {
    const children = Array.from({ length: count }, () =>
      fork(fileURLToPath(shardUrl), { serialization: 'advanced' }),
    )
    const shards = new Shards(children)
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        shards.end()
        process.exit(1)
      })
    }
    await Promise.all(children.map(nextMessage))
    return shards
  }

  /**
   * Waits for a process, then has it explore; `options` is asked for at that moment.
   *
   * @param isAgain its time runs already: it goes before those that have not begun
   */
  async explore(
    exploration: Exploration,
    options: () => ExploreOptions,
    isAgain: boolean,
  ): Promise<Explored> {
    const child = this.idle.pop() ?? (await this.nextIdle(isAgain))
    const answer = nextMessage(child)
    child.send({ name: exploration.name, options: options() } satisfies ShardJob)
    const explored = (await answer) as Explored
    const next = this.waiting.shift()
    if (next === undefined) this.idle.push(child)
    else next(child)
    return explored
  }

  private nextIdle(isFirst: boolean): Promise<ChildProcess> {
    return new Promise((resolve) => {
      if (isFirst) this.waiting.unshift(resolve)
      else this.waiting.push(resolve)
    })
  }

  end(): void {
    for (const child of this.children) child.kill()
  }
}

function nextMessage(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`an explorer ended with ${code}`))
    child.once('exit', onExit)
    child.once('message', (message) => {
      child.off('exit', onExit)
      resolve(message)
    })
  })
}

/** How one configuration is explored by several processes. */
export interface Division {
  /** Parts of its schedules. */
  parts: number
  seed: number
  /** Asked when a part begins. */
  budgetMs(): number
}

/** Explores a configuration in parts, anew whenever one of them has shown something new about it. */
export async function exploreInParts(
  shards: Shards,
  exploration: Exploration,
  { parts, seed, budgetMs }: Division,
): Promise<Explored> {
  const lessons: number[][] = []
  let most: Explored | undefined
  for (;;) {
    const learned: number[][] = []
    const explorePart = async (shard: number): Promise<Explored> => {
      const takeOptions = (): ExploreOptions => {
        // Once it is clear that all begins anew, the rest need not begin.
        const ownBudgetMs = learned.length > 0 ? 0 : budgetMs()
        return { budgetMs: ownBudgetMs, shard, shards: parts, seed, lessons }
      }
      const part = await shards.explore(exploration, takeOptions, most !== undefined)
      if (part.lesson !== undefined) learned.push(part.lesson)
      return part
    }
    const explored = addUp(await Promise.all(Array.from({ length: parts }, (_, shard) => explorePart(shard))))
    if (explored.failure !== undefined || explored.isExhausted) return explored
    // Should the time run out as it begins anew: what was seen before that was seen all the same.
    if (most === undefined || explored.schedules >= most.schedules) most = explored
    if (learned.length === 0 || budgetMs() <= 0) return most
    lessons.push(...learned)
  }
}

function addUp(parts: readonly Explored[]): Explored {
  const sum = (count: (part: Explored) => number): number =>
    parts.reduce((total, part) => total + count(part), 0)
  return {
    name: parts[0].name,
    schedules: sum(({ schedules }) => schedules),
    runs: sum(({ runs }) => runs),
    steps: sum(({ steps }) => steps),
    deaths: sum(({ deaths }) => deaths),
    faults: sum(({ faults }) => faults),
    timeOuts: sum(({ timeOuts }) => timeOuts),
    crashPoints: sum(({ crashPoints }) => crashPoints),
    recovered: sum(({ recovered }) => recovered),
    isExhausted: parts.every(({ isExhausted, lesson }) => isExhausted && lesson === undefined),
    seconds: sum(({ seconds }) => seconds),
    failure: parts.find(({ failure }) => failure !== undefined)?.failure,
    lesson: undefined,
  }
}
