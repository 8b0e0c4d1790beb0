// Explores schedules for as long as it is given:
//
//   node scripts/run.mjs test/model/explore.ts [--seconds 60] [--processes 2] [--only TEXT] [--seed N]
//   node scripts/run.mjs test/model/explore.ts --only 'NAME' --schedule '12>1,40x' [--mutant NAME]   one schedule, traced
//
// Exits with 1 when a schedule breaks a promise. --seconds is for each configuration.
// "all" in the table means that every schedule within the bounds was run, "cut" that there are more, "random" that
// they were drawn at random. All configurations, with a plan for their time: test/prove/schedules.ts.

import { parseArgs } from 'node:util'
import { MUTANTS } from '../mutants/mutants.ts'
import { newSeed } from '../support/random.ts'
import { EXPLORATIONS } from './configurations.ts'
import { traceSchedule } from './explorer.ts'
import { exploreInParts, Shards } from './shards.ts'
import { describeExplored, describeFailure } from './tally.ts'

const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    processes: { type: 'string', default: '2' },
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: String(newSeed()) },
    schedule: { type: 'string' },
    mutant: { type: 'string' },
  },
})

if (args.schedule !== undefined) await replay(args.schedule)
else await exploreSome()

async function replay(schedule: string): Promise<void> {
  const exploration = EXPLORATIONS.find(({ name }) => name === args.only)
  if (exploration === undefined)
    throw new Error(`--only must name a configuration, such as: ${EXPLORATIONS[0].name}`)
  const edits = MUTANTS.find(({ name }) => name === args.mutant)?.edits ?? []
  const violation = await traceSchedule(exploration, schedule, console.log, edits)
  process.exitCode = violation === undefined ? 0 : 1
}

async function exploreSome(): Promise<void> {
  const processes = Number(args.processes)
  const explorations = EXPLORATIONS.filter(({ name }) => name.includes(args.only))
  console.log(`${explorations.length} configurations, ${processes} processes, SEED=${args.seed}`)
  const shards = await Shards.start(processes)
  let schedules = 0
  for (const exploration of explorations) {
    const endMs = performance.now() + Number(args.seconds) * 1000
    const explored = await exploreInParts(shards, exploration, {
      parts: processes,
      seed: Number(args.seed),
      budgetMs: () => endMs - performance.now(),
    })
    schedules += explored.schedules
    console.log(describeExplored(exploration, explored))
    if (explored.failure === undefined) continue
    process.exitCode = 1
    console.log(describeFailure(explored.failure))
  }
  shards.end()
  console.log(`${schedules} schedules`)
}
