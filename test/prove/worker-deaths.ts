// Threads die, in every way in which they can, at each step of the protocol; the others go on:
// `node scripts/run.mjs test/prove/worker-deaths.ts [--full] [--seed N] [--seconds N] [--replay KIND/WORK/HOST/SLOTS/STEP,STEP…]`

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createRandom, type Random } from '../support/random.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { readOptions } from './support/options.ts'
import { type Check, finish } from './support/report.ts'
import type { Rehearsal } from './worker-deaths/lane.ts'
import { Lane } from './worker-deaths/lanes.ts'
import {
  configurationOf,
  type HostState,
  KINDS,
  operationsOf,
  type Series,
  type Step,
  WORKS,
  whyImpossible,
  whyNotInFiles,
} from './worker-deaths/plan.ts'
import { Tally } from './worker-deaths/tally.ts'

const LANES = 2
/** While the one waits, the other has the processor. */
const JOBS_PER_LANE = 2
/** So many deaths share a log at most. */
const SERIES_STEPS = 40
/** So many steps of each kind of death, host, work and number of slots, when not all are tried. */
const SAMPLED_STEPS = 4
/** A configuration in which so much went wrong is not tried any further. */
const MOST_FAILURES = 3
const TELL_MS = 10_000

const { full, seconds, seed, own } = readOptions({ ci: 80, full: 590 }, ['replay'])
const startedMs = performance.now()
const deadlineMs = startedMs + seconds * 1000
const tally = new Tally()
const failuresOf = new Map<string, number>()
const base = scratchDirectory()
const lanes = Array.from({ length: LANES }, () => new Lane(base))

process.once('exit', cleanUp)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

const seedText = `--seed ${seed}${full ? ' --full' : ''}`
console.log(`worker deaths: ${seedText}`)
report(
  existsSync('/proc/self/task') ? await prove() : [unprovable('there is no /proc that tells who has ended')],
)
process.exit()

async function prove(): Promise<Check[]> {
  const series = own.replay === undefined ? await plan(createRandom(seed)) : [replayed(own.replay)]
  const untried = await runAll(series)
  tally.print()
  for (const line of new Set(impossibilities())) console.log(line)
  if (own.replay !== undefined) return tally.checks()
  const checks = tally.checks()
  const everyKind = { name: 'each kind of death struck each role', passed: tally.isEveryKindMet }
  if (untried === 0) return [...checks, everyKind]
  const skipped = `no time was left for ${untried} deaths, or too much had gone wrong before`
  return [
    ...checks,
    // One that was not met may be among those.
    everyKind.passed ? everyKind : { ...everyKind, skipped },
    { name: 'every death that was planned was tried', passed: false, skipped },
  ]
}

function unprovable(skipped: string): Check {
  return { name: 'whoever dies, the others go on', passed: false, skipped }
}

function report(checks: Check[]): void {
  finish({
    part: 'worker-deaths',
    title: 'threads die in every way, at each step of the protocol, beside others that wait for them',
    promises: ['P1', 'P2', 'P3', 'P7', 'P8', 'P10', 'P11'],
    counts: tally.counts(),
    checks,
    seed: `node scripts/run.mjs test/prove/worker-deaths.ts ${seedText}`,
  })
}

/** In memory, if that can be: what is timed is the protocol, and not the disk. */
function scratchDirectory(): string {
  return existsSync('/dev/shm') ? mkdtempSync(join('/dev/shm', 'groupwal-deaths-')) : temporaryDirectory()
}

function cleanUp(): void {
  for (const lane of lanes) lane.end()
  rmSync(base, { recursive: true, force: true })
}

/** All series, or a sample of each, in random order. */
async function plan(random: Random): Promise<Series[]> {
  const all: Series[] = []
  const works = WORKS.flatMap((work, index) => work.slots.map((slots) => ({ work: index, slots })))
  const rehearsals = await eachInLanes(works, async (lane, { work, slots }) => {
    const rehearsed: Series = { kind: 0, work, host: 'idle', slots, steps: [] }
    const { rehearsal, failure } = await lane.run({ series: rehearsed, isRehearsal: true })
    if (rehearsal === undefined) throw new Error(`${WORKS[work].name} could not be rehearsed: ${failure}`)
    return { work, slots, rehearsal }
  })
  for (const { work, slots, rehearsal } of rehearsals) {
    for (const kind of KINDS.keys()) {
      if (whyImpossible(KINDS[kind], WORKS[work]) !== undefined) continue
      for (const host of WORKS[work].hosts) {
        const steps = stepsOf(kind, work, rehearsal)
        tally.noteSteps({ kind, work, host, slots }, steps.length)
        shuffle(steps, random)
        const chosen = full ? steps : steps.slice(0, SAMPLED_STEPS)
        for (let from = 0; from < chosen.length; from += SERIES_STEPS) {
          all.push({ kind, work, host, slots, steps: chosen.slice(from, from + SERIES_STEPS) })
        }
      }
    }
  }
  shuffle(all, random)
  return byTurns(all)
}

/** First one series of each configuration, then a second one, and so on: should time run out, each has had its share. */
function byTurns(all: Series[]): Series[] {
  const counts = new Map<string, number>()
  const turns: Series[][] = []
  for (const one of all) {
    const name = configurationOf(one)
    const turn = counts.get(name) ?? 0
    counts.set(name, turn + 1)
    turns[turn] ??= []
    turns[turn].push(one)
  }
  return turns.flat()
}

function stepsOf(kind: number, work: number, { first, later }: Rehearsal): Step[] {
  const counts = KINDS[kind].livesOn ? later : first
  return operationsOf(KINDS[kind], WORKS[work]).flatMap((operation) =>
    Array.from({ length: counts[operation] }, (_, index) => ({ operation, number: index + 1 })),
  )
}

function shuffle(values: unknown[], random: Random): void {
  for (let last = values.length - 1; last > 0; last--) {
    const other = random.int(last + 1)
    ;[values[last], values[other]] = [values[other], values[last]]
  }
}

/** Returns how many deaths were not tried, for want of time or because too much had gone wrong. */
async function runAll(all: Series[]): Promise<number> {
  const queue = [...all]
  let untried = 0
  const teller = setInterval(() => {
    const seconds = Math.round((performance.now() - startedMs) / 1000)
    console.log(`${seconds} s: ${tally.deathCount} deaths, ${queue.length} of ${all.length} series to go`)
  }, TELL_MS)
  await Promise.all(
    runners().map(async (lane) => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const isHopeless = (failuresOf.get(configurationOf(next)) ?? 0) >= MOST_FAILURES
        if (isHopeless || performance.now() > deadlineMs) untried += next.steps.length
        else await runOne(lane, next, queue)
      }
    }),
  )
  clearInterval(teller)
  return untried
}

async function runOne(lane: Lane, current: Series, queue: Series[]): Promise<void> {
  const { notes, end, failure } = await lane.run({ series: current, isRehearsal: false })
  for (const note of notes) tally.noteDeath(current, note)
  const name = `${configurationOf(current)}, in ${WORKS[current.work].name}`
  if (end !== undefined) {
    tally.noteEnd(end)
    for (const text of end.wrong) tally.noteWrong(`WRONG: ${name}: ${text}; ${replayOf(current)}`)
    return
  }
  const rest = current.steps.slice(notes.length + (failure === undefined ? 0 : 1))
  if (rest.length > 0) queue.push({ ...current, steps: rest })
  if (failure === undefined) return
  const configuration = configurationOf(current)
  failuresOf.set(configuration, (failuresOf.get(configuration) ?? 0) + 1)
  // What came before may have a part in it.
  const tried = current.steps.slice(0, notes.length + 1)
  const text = `FAILURE: ${name}: ${failure}; ${replayOf({ ...current, steps: tried })}`
  console.log(text)
  tally.noteFailure(text)
}

function runners(): Lane[] {
  return lanes.flatMap((lane) => Array.from({ length: JOBS_PER_LANE }, () => lane))
}

function replayOf({ kind, work, host, slots, steps }: Series): string {
  const names = steps.map(({ operation, number }) => `${operation}:${number}`)
  return `--replay ${[kind, work, host, slots, names].join('/')}`
}

function replayed(text: string): Series {
  const [kind, work, host, slots, names] = text.split('/')
  const steps = names.split(',').map((name): Step => {
    const [operation, number] = name.split(':')
    return { operation: operation as Step['operation'], number: Number(number) }
  })
  const numbers = { kind: Number(kind), work: Number(work), slots: Number(slots) }
  const one: Series = { ...numbers, host: host as HostState, steps }
  tally.noteSteps(one, steps.length)
  return one
}

async function eachInLanes<Item, Result>(
  items: Item[],
  perform: (lane: Lane, item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const queue = [...items.entries()]
  await Promise.all(
    runners().map(async (lane) => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        results[next[0]] = await perform(lane, next[1])
      }
    }),
  )
  return results
}

function impossibilities(): string[] {
  return KINDS.flatMap((kind) =>
    WORKS.flatMap((work) => {
      const where = work.role === 'producer' ? `${work.role}, ${work.name}` : work.role
      const why = whyImpossible(kind, work)
      if (why !== undefined) return [`not possible: ${kind.name} × ${where}: ${why}`]
      const whyNot = whyNotInFiles(kind, work)
      return whyNot === undefined
        ? []
        : [`not possible at calls of the file system: ${kind.name} × ${work.role}: ${whyNot}`]
    }),
  )
}
