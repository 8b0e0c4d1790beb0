// Part of the proof: the production ring and commit protocol under every schedule, as test/model makes them, with
// deaths, faults of the disk and crashes: threads that block and those whose commits are promises (their event loop is one of
// the model), the committer, the segment-keeper, resume() and close().
//
//   node scripts/run.mjs test/prove/schedules.ts [--full] [--seconds N] [--seed N] [--only TEXT] [--processes 2]
//
// Threads are switched before operations of shared memory and of the disk, and nowhere else; "all" means that every
// schedule within the bounds of that configuration (so many preemptions, deaths, faults) was run, "cut" that there are
// more. Threads are not switched where the order cannot matter (test/model/sites.ts says how that is known); states
// that look alike are never taken for the same. A crash is not an answer among others: at every instant of every
// schedule at which the disk changed or somebody was told something, every disk that a crash can leave is recovered
// by the production code and compared with what was told.

import { EXPLORATIONS } from '../model/configurations.ts'
import type { Exploration } from '../model/exploration.ts'
import { Shards } from '../model/shards.ts'
import { describeExplored, describeFailure, type Explored } from '../model/tally.ts'
import { createRandom } from '../support/random.ts'
import { explorePlanned } from './schedules/plan.ts'
import { numberOf, readOptions } from './support/options.ts'
import { type Check, type Count, finish } from './support/report.ts'

const { full, seconds, seed, own } = readOptions({ ci: 165, full: 1400 }, ['only', 'processes'])
const only = own.only ?? ''
const processes = numberOf('processes', own.processes) ?? 2

const LEAST_SCHEDULES = full ? 10_000_000 : 1_000_000

const explorations = full || only !== '' ? ofName(only) : halfOf(seed)
console.log(
  `${explorations.length} of ${EXPLORATIONS.length} configurations, ${processes} processes, --seed ${seed}`,
)

const rows: { exploration: Exploration; explored: Explored }[] = []
const shards = await Shards.start(processes)
const startedAt = performance.now()
await explorePlanned(shards, explorations, {
  processes,
  budgetMs: seconds * 1000,
  seed,
  onExplored: (exploration, explored) => {
    rows.push({ exploration, explored })
    console.log(describeExplored(exploration, explored))
    if (explored.failure !== undefined) console.log(describeFailure(explored.failure))
  },
})
shards.end()
rows.sort((one, other) => explorations.indexOf(one.exploration) - explorations.indexOf(other.exploration))
console.log(`explored for ${Math.round((performance.now() - startedAt) / 1000)} s`)

// A slow machine breaks no promise: what it did not get to is skipped, and says so.
const checks: Check[] = rows.map(({ explored: { name, failure, schedules } }) => ({
  name: `every schedule that was run keeps every promise: ${name}`,
  passed: failure === undefined,
  ...(schedules === 0 && failure === undefined ? { skipped: 'no time was left for it' } : {}),
}))

const scheduleCount = sum(({ schedules }) => schedules)
checks.push({
  name: `${LEAST_SCHEDULES.toLocaleString('en')} schedules were run`,
  passed: scheduleCount >= LEAST_SCHEDULES,
  ...(scheduleCount < LEAST_SCHEDULES ? { skipped: whyFewer() } : {}),
})

finish({
  part: 'schedules',
  title: 'The ring and commit protocol under schedules that the explorer chooses',
  promises: ['P1', 'P2', 'P3', 'P4', 'P5', 'P6', 'P7', 'P9', 'P10', 'P11'],
  counts: [...totals(), ...rows.flatMap(countsOf)],
  checks,
  seed: String(seed),
})

function ofName(text: string): Exploration[] {
  return EXPLORATIONS.filter(({ name }) => name.includes(text))
}

/** The core, and each other one with one or with two staging slots, as the seed has it: else none gets enough time. */
function halfOf(seed: number): Exploration[] {
  const choice = createRandom(seed)
  const slotsOf = new Map<string, number>()
  return EXPLORATIONS.filter(({ name, slots, isCore }) => {
    const base = name.replace(/, D=\d+$/, '')
    if (!slotsOf.has(base)) slotsOf.set(base, 1 + choice.int(2))
    return isCore || slotsOf.get(base) === slots
  })
}

function sum(
  of: (explored: Explored) => number,
  which: (exploration: Exploration) => boolean = () => true,
): number {
  return rows.reduce((total, { exploration, explored }) => total + (which(exploration) ? of(explored) : 0), 0)
}

function whyFewer(): string {
  if (rows.some(({ explored }) => explored.failure !== undefined)) return 'something was wrong before'
  return only === '' ? `the time ran out after ${scheduleCount.toLocaleString('en')}` : 'of some only'
}

function totals(): Count[] {
  const whole = rows.filter(({ explored }) => explored.isExhausted)
  const core = rows.filter(({ exploration }) => exploration.isCore)
  return [
    {
      label: 'schedules, all different, of as many as are asked for at least',
      value: scheduleCount,
      of: LEAST_SCHEDULES,
    },
    {
      label: 'of them in configurations whose schedules were all run',
      value: whole.reduce((total, { explored }) => total + explored.schedules, 0),
    },
    {
      label: 'of them at random',
      value: sum(
        ({ schedules }) => schedules,
        ({ isRandom }) => isRandom,
      ),
    },
    {
      label: 'configurations',
      value: rows.length,
      of: EXPLORATIONS.length,
    },
    {
      label: 'configurations whose schedules were all run',
      value: whole.length,
      of: rows.filter(({ exploration }) => !exploration.isRandom).length,
    },
    {
      label: 'of 2 and 3 threads with 1 and 2 commits, with 1 and 2 staging slots',
      value: core.filter(({ explored }) => explored.isExhausted).length,
      of: core.length,
    },
    { label: 'operations', value: sum(({ steps }) => steps) },
    { label: 'deaths', value: sum(({ deaths }) => deaths) },
    { label: 'writes, syncs, opens and fences that failed', value: sum(({ faults }) => faults) },
    { label: 'waits that ended early', value: sum(({ timeOuts }) => timeOuts) },
    { label: 'instants at which a crash was looked at', value: sum(({ crashPoints }) => crashPoints) },
    { label: 'different disks after a crash, recovered', value: sum(({ recovered }) => recovered) },
  ]
}

function countsOf({ exploration, explored }: { exploration: Exploration; explored: Explored }): Count[] {
  const { name, schedules, isExhausted, deaths, faults } = explored
  const kind = exploration.isRandom ? '' : isExhausted ? ' (all)' : ' (cut: there are more)'
  const counts: Count[] = [{ label: `${name}${kind}`, value: schedules }]
  if (isExhausted) counts[0].of = schedules
  if (deaths > 0) counts.push({ label: `${name}: deaths`, value: deaths })
  if (faults > 0) counts.push({ label: `${name}: faults`, value: faults })
  return counts
}
