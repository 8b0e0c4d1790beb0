// kill -9 of a host: at every write, sync, rename, removal and truncation of a scripted run (before it, after it, in the
// midst of a write), and at random moments with 2 to 8 producers. Another process opens what is left, compares it with
// what the host was told, and goes on with the log.
//
//   node scripts/run.mjs test/prove/kills.ts [--full] [--seed N] [--seconds N]
//
// `--seconds` is for both together, and a third of it at least for the random ones. Every call has its kill, for which a
// slow machine gets more time; what it has no time for then is left out, and says so.

import { rmSync } from 'node:fs'
import { fastDirectory, whyNoShim } from '../support/io-shim/shim.ts'
import { createRandom } from '../support/random.ts'
import { phaseName, SCENARIOS, type Scenario } from './io-script/scenarios.ts'
import { makeTemplates } from './io-script/templates.ts'
import { killAtRandom, type RandomKills } from './kills/random.ts'
import {
  type Configuration,
  findKillPoints,
  KillLane,
  type KillPoint,
  WAYS,
  type Way,
} from './kills/scripted.ts'
import { readOptions } from './support/options.ts'
import { type Count, finish, type PartReport } from './support/report.ts'

const CONFIGURATIONS: readonly Configuration[] = [
  { syncMethod: 'fdatasync', stagingSlots: 1 },
  { syncMethod: 'dsync', stagingSlots: 2 },
]
const FULL_RANDOM_KILLS = 1000
const LANES = 2
/** Of the time, for the scripted kills; and what is left for the random ones at least. */
const SCRIPTED_PART = 0.6
const RANDOM_PART = 0.33
/** So long, by the time that both have, calls are tried that had no kill yet: a part is ended at 1.66 (scripts/prove.mjs). */
const PATIENCE = 1.1
/** A call that does not come, since the threads were quicker or slower, is tried again. */
const MOST_RETRIES = 4
/** Of the calls that were counted, this part may turn out not to belong to the script: the machine was slow then. */
const MOST_MISSED = 0.02
const MOST_FAILURES = 20
const PROGRESS_MS = 10_000

const { full, seconds, seed } = readOptions({ ci: 45, full: 900 })
const startedMs = performance.now()

const TITLE = 'kill -9 at every write and sync of a run, and at random moments with 2 to 8 producers'
const SCRIPTED =
  'killed at a call: acknowledged ⊆ recovered ⊆ submitted, batches whole, and a second life goes on'
const EVERY = 'every write, sync, rename, removal and truncation was the last thing that a host did'
const RANDOM =
  'killed at random: every acknowledged record is read back once, unchanged and in order, none is invented'

const scripted = { kills: 0, acknowledged: 0, failures: 0, tried: 0, points: 0, missed: 0, possible: 0 }
const random: RandomKills = { kills: 0, recoveries: 0, acknowledged: 0, recovered: 0 }
let randomFailures = 0

await main()

async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  console.log(`seed ${seed}, at most ${seconds} s`)
  const timer = setInterval(tellProgress, PROGRESS_MS)
  const reason = whyNoShim()
  if (reason === undefined) await killAtCalls()
  const untilSeconds = Math.max(seconds, elapsedSeconds() + seconds * RANDOM_PART)
  await Promise.all(Array.from({ length: LANES }, (_, lane) => killInLane(lane, untilSeconds)))
  clearInterval(timer)
  const counts: Count[] = [
    {
      label: 'calls at which a host was killed',
      value: scripted.tried,
      of: scripted.points - scripted.missed,
    },
    { label: 'kills at a call', value: scripted.kills, of: scripted.possible },
    { label: 'kills at random moments', value: random.kills },
    { label: 'kills', value: scripted.kills + random.kills },
    { label: 'records acknowledged before a kill', value: scripted.acknowledged + random.acknowledged },
    { label: 'recoveries after random kills', value: random.recoveries },
  ]
  const isEvery =
    scripted.tried > 0 &&
    scripted.tried === scripted.points - scripted.missed &&
    scripted.missed <= scripted.points * MOST_MISSED
  const shim = reason === undefined ? {} : { skipped: reason }
  const left = scripted.points - scripted.missed - scripted.tried
  const late =
    left > 0 && scripted.missed <= scripted.points * MOST_MISSED && hasNoPatience()
      ? { skipped: `no time was left for ${left} of ${scripted.points} calls` }
      : shim
  const checks: PartReport['checks'] = [
    { name: EVERY, passed: isEvery, ...late },
    { name: SCRIPTED, passed: scripted.failures === 0, ...shim },
    { name: RANDOM, passed: randomFailures === 0 && random.kills > 0 },
  ]
  const promises = ['P1', 'P2', 'P3', 'P4', 'P11', 'P12']
  finish({ part: 'kills', title: TITLE, promises, counts, checks, seed: String(seed) })
}

function elapsedSeconds(): number {
  return (performance.now() - startedMs) / 1000
}

function hasNoPatience(): boolean {
  return elapsedSeconds() > seconds * PATIENCE
}

function tellProgress(): void {
  console.log(
    `${Math.round(elapsedSeconds())} s: ${scripted.kills} kills at ${scripted.tried} calls, ${random.kills} at random`,
  )
}

async function killAtCalls(): Promise<void> {
  const base = fastDirectory('kills')
  process.once('exit', () => rmSync(base, { recursive: true, force: true }))
  const templates = await makeTemplates(base)
  const lanes = Array.from({ length: LANES }, (_, index) => new KillLane(base, `lane-${index}`, templates))
  const found = await Promise.all(
    lanes.map((lane, index) => findKillPoints(lane, CONFIGURATIONS[index], scenariosOf(index))),
  )
  for (const text of found.flatMap(({ wrong }) => wrong)) fail(`without any kill: ${text}`)
  const points = found.flatMap((one) => one.points)
  scripted.points = points.length
  const queue = orderKills(points)
  scripted.possible = queue.length
  await Promise.all(lanes.map((lane) => killAll(lane, queue)))
}

/** Recovery does not know of staging slots: without --full it is tried in one configuration only. */
function scenariosOf(configuration: number): readonly Scenario[] {
  const isAll = full || configuration === 0
  return SCENARIOS.filter(({ template }) => isAll || template === undefined)
}

/** Every point once, in another way for each and for each seed; then in all other ways. */
function orderKills(points: readonly KillPoint[]): { point: KillPoint; way: Way; retries: number }[] {
  const first: { point: KillPoint; way: Way; retries: number }[] = []
  const rest: typeof first = []
  for (const [index, point] of points.entries()) {
    const ways = WAYS.filter(({ ops }) => ops.includes(point.call.op))
    for (const [at, way] of ways.entries()) {
      ;(at === (index + seed) % ways.length ? first : rest).push({ point, way, retries: 0 })
    }
  }
  return [...first, ...rest]
}

async function killAll(lane: KillLane, queue: ReturnType<typeof orderKills>): Promise<void> {
  for (;;) {
    const next = queue.shift()
    if (next === undefined || scripted.failures >= MOST_FAILURES) return
    const { point, way, retries } = next
    // Every call has its turn, as long as that can be waited for.
    if (point.isMissed) continue
    if (hasNoPatience()) return
    if (point.isTried && elapsedSeconds() > seconds * SCRIPTED_PART) return
    const { wrong, wasKilled, acknowledged } = await lane.run(
      point.scenario,
      point.configuration,
      point.call,
      way,
    )
    if (wrong.length > 0) fail(`killed ${way.name} ${describe(point)}\n${wrong.join('\n')}`)
    scripted.acknowledged += acknowledged
    if (wasKilled) {
      scripted.kills++
      if (!point.isTried) scripted.tried++
      point.isTried = true
    } else if (retries < MOST_RETRIES) {
      queue.unshift({ point, way, retries: retries + 1 })
    } else {
      console.log(`no such call in ${MOST_RETRIES + 1} runs: ${describe(point)}`)
      if (!point.isTried && !point.isMissed) scripted.missed++
      point.isMissed = true
    }
  }
}

function describe({ scenario, configuration, call }: KillPoint): string {
  const { syncMethod, stagingSlots } = configuration
  const { phase, op, role, nth } = call
  return `${syncMethod}, ${stagingSlots} slots, ${scenario.name}/${phaseName(scenario, phase)}: ${op} ${role} #${nth}`
}

function fail(text: string): void {
  scripted.failures++
  console.log(`\nFAILED ${text}\nreplay: --seed ${seed}\n`)
}

async function killInLane(lane: number, untilSeconds: number): Promise<void> {
  const isEnough = (): boolean => {
    if (randomFailures > 0) return true
    return elapsedSeconds() > untilSeconds || (full && random.kills >= FULL_RANDOM_KILLS)
  }
  try {
    await killAtRandom(createRandom(seed + lane), random, isEnough)
  } catch (error) {
    randomFailures++
    console.log(
      `\nFAILED kill at random: ${(error as Error).stack}\nreplay: --seed ${seed} (the moments differ)\n`,
    )
  }
}
