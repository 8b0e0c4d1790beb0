// Explores schedules for as long as it is given:
//
//   node scripts/run.mjs test/model/explore.ts [--seconds 150] [--processes 2] [--only TEXT] [--seed N] [--json FILE]
//   node scripts/run.mjs test/model/explore.ts --only 'NAME' --schedule '12>1,40x' [--mutant NAME]   one schedule, traced
//
// Exits with 1 when a schedule breaks a promise. "all" in the table means that every
// schedule within the bounds was run, "cut" that there are more, "random" that they were drawn at random.

import { fork } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { MUTANTS_OF_THE_PROTOCOL } from '../mutants/of-the-protocol.ts'
import { EXPLORATIONS, type Exploration } from './configurations.ts'
import type { ShardWork } from './explore-shard.ts'
import shardUrl from './explore-shard.ts?url'
import { type Explored, traceSchedule } from './explorer.ts'

const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '150' },
    processes: { type: 'string', default: '2' },
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: process.env.SEED ?? String(Math.trunc(Math.random() * 2 ** 30)) },
    schedule: { type: 'string', default: process.env.SCHEDULE },
    mutant: { type: 'string' },
    json: { type: 'string' },
  },
})

const RANDOM_SHARE = 0.4
const LARGE_SHARE = 2.5
const MIN_BUDGET_MS = 200

/** One configuration, together over all processes. */
interface Row extends Explored {
  kind: 'all' | 'cut' | 'random'
}

if (args.schedule !== undefined) await replay(args.schedule)
else await exploreEverything()

async function replay(schedule: string): Promise<void> {
  const exploration = EXPLORATIONS.find(({ name }) => name === args.only)
  if (exploration === undefined)
    throw new Error(`--only must name a configuration, such as: ${EXPLORATIONS[0].name}`)
  const edits = MUTANTS_OF_THE_PROTOCOL.find(({ name }) => name === args.mutant)?.edits ?? []
  const violation = await traceSchedule(exploration, schedule, console.log, edits)
  process.exitCode = violation === undefined ? 0 : 1
}

async function exploreEverything(): Promise<void> {
  const startedAt = performance.now()
  const endMs = startedAt + Number(args.seconds) * 1000
  const shards = Number(args.processes)
  const explorations = EXPLORATIONS.filter(({ name }) => name.includes(args.only))
  console.log(`${explorations.length} configurations, ${shards} processes, SEED=${args.seed}`)
  const rows: Row[] = []
  const workers = await Promise.all(Array.from({ length: shards }, () => startShard()))
  const depthFirst = explorations.filter(({ isRandom }) => !isRandom)
  const random = explorations.filter(({ isRandom }) => isRandom)
  const depthFirstEndMs = random.length === 0 ? endMs : endMs - (endMs - startedAt) * RANDOM_SHARE
  for (const [index, exploration] of [...depthFirst, ...random].entries()) {
    // The small ones end early, so that the larger ones may take more than an equal share of what is left.
    const share = exploration.isRandom
      ? (endMs - performance.now()) / (explorations.length - index)
      : (LARGE_SHARE * (depthFirstEndMs - performance.now())) / (depthFirst.length - index)
    const budgetMs = Math.max(MIN_BUDGET_MS, Math.min(share, endMs - performance.now()))
    const parts = await Promise.all(
      workers.map((worker, shard) =>
        worker.explore(exploration, { budgetMs, shard, shards, seed: Number(args.seed) }),
      ),
    )
    const row = addUp(exploration, parts)
    rows.push(row)
    printRow(row)
  }
  for (const worker of workers) worker.end()
  summarize(rows, (performance.now() - startedAt) / 1000)
}

interface Shard {
  explore(exploration: Exploration, options: ShardWork['options']): Promise<Explored>
  end(): void
}

async function startShard(): Promise<Shard> {
  const child = fork(fileURLToPath(shardUrl), { serialization: 'advanced' })
  const next = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => reject(new Error(`an explorer ended with ${code}`))
      child.once('exit', onExit)
      child.once('message', (message) => {
        child.off('exit', onExit)
        resolve(message)
      })
    })
  await next()
  return {
    explore: (exploration, options) => {
      const answer = next() as Promise<Explored>
      child.send({ name: exploration.name, options } satisfies ShardWork)
      return answer
    },
    end: () => child.disconnect(),
  }
}

function addUp(exploration: Exploration, parts: readonly Explored[]): Row {
  const isExhausted = parts.every((part) => part.isExhausted)
  return {
    name: exploration.name,
    kind: exploration.isRandom ? 'random' : isExhausted ? 'all' : 'cut',
    schedules: parts.reduce((sum, { schedules }) => sum + schedules, 0),
    steps: parts.reduce((sum, { steps }) => sum + steps, 0),
    seconds: Math.max(...parts.map(({ seconds }) => seconds)),
    isExhausted,
    failure: parts.find(({ failure }) => failure !== undefined)?.failure,
  }
}

function printRow({ kind, schedules, steps, seconds, name, failure }: Row): void {
  const perSecond = Math.round(schedules / seconds)
  const counts = [String(schedules).padStart(9), `${String(Math.round(steps / schedules)).padStart(4)} steps`]
  console.log(`${kind.padEnd(6)} ${counts.join(' ')} ${String(perSecond).padStart(7)}/s  ${name}`)
  if (failure === undefined) return
  console.log(`  BROKEN ${failure.message}`)
  console.log(
    `  node scripts/run.mjs test/model/explore.ts --only '${failure.name}' --schedule '${failure.schedule}'`,
  )
}

function summarize(rows: readonly Row[], seconds: number): void {
  const sum = (kind: string): number =>
    rows.filter((row) => row.kind === kind).reduce((total, { schedules }) => total + schedules, 0)
  const broken = rows.filter(({ failure }) => failure !== undefined)
  const whole = rows.filter(({ kind }) => kind === 'all').length
  const total = sum('all') + sum('cut') + sum('random')
  console.log(
    `${total} schedules in ${seconds.toFixed(0)} s: ${whole} configurations explored in full (${sum('all')}), ` +
      `${sum('cut')} schedules of those that were cut, ${sum('random')} random; ${broken.length} broken`,
  )
  const report = { seed: Number(args.seed), seconds, schedules: total, rows }
  if (args.json !== undefined) writeFileSync(args.json, `${JSON.stringify(report, undefined, 2)}\n`)
  if (broken.length > 0) process.exitCode = 1
}
