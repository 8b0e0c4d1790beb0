/**
 * What a crash can leave on the disk at any moment, and what recovery makes of it: the production code, from recorded
 * runs with real threads to the recovery of every state, and of every state that a crash of that recovery leaves.
 *
 *   node scripts/run.mjs test/prove/crash-states.ts [--full] [--seed N] [--seconds N] [--states N] [--runs TEXT]
 *   node scripts/run.mjs test/prove/crash-states.ts --replay FILE
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { createRandom } from '../support/random.ts'
import { type CrashFailure, Explorer, emptyTally, type Tally } from './crash-states/explore.ts'
import type { ExploreAnswer, ExploreTask } from './crash-states/explore.worker.ts'
import exploreUrl from './crash-states/explore.worker.ts?url'
import type { RecordedRun } from './crash-states/recorded-run.ts'
import type { LeftOut } from './crash-states/replay.ts'
import { recordRound, runsOfRound } from './crash-states/runs.ts'
import { Crew } from './support/crew.ts'
import { numberOf, readOptions } from './support/options.ts'
import { type Check, finish } from './support/report.ts'
import { makeThreadCheap } from './support/shared-buffers.ts'

const THREADS = 2
const STATES_PER_RUN = 40_000
const LEAST_PER_RUN = 2000
/** Of all time: kept for runs that take longer than their share. */
const SPARE_SHARE = 0.05
/** How many states a thread gets done in a millisecond, until that is known. */
const CAUTIOUS_PER_MS = 1
const SELF_TEST_STATES = 4000
const PROGRESS_MS = 10_000

/** `--runs`: only runs whose name contains this. */
const { full, seconds, seed, own } = readOptions({ ci: 170, full: 1700 }, ['states', 'runs', 'replay'])
const target = numberOf('states', own.states) ?? (full ? 10_000_000 : 1_000_000)

interface Found {
  failure: CrashFailure
  run: RecordedRun
  runSeed: number
  file: string
}

const PROMISES: Record<string, string> = {
  P2: 'no LSN is handed out twice, each record keeps its own, and producers their order',
  P3: 'all that was acknowledged is recovered, nothing else than was submitted, unchanged, once, in order, and for ever',
  P4: 'no frame is overwritten in place',
  P5: 'what has failed or was cut off never comes back',
  P11: 'batches are recovered whole or not at all',
  P12: 'nothing that a crash leaves is taken for damage',
}

if (own.replay !== undefined) replay(own.replay)
else await explore()

async function explore(): Promise<void> {
  console.log(`crash-states: --seed ${seed}, ${target.toLocaleString('en')} states in at most ${seconds} s`)
  const startedMs = Date.now()
  const deadlineMs = startedMs + seconds * 1000
  const tally = emptyTally()
  const found: Found[] = []
  const missed: string[] = []
  let runCount = 0
  let exploredCount = 0
  let busyMs = 0
  const crew = new Crew<ExploreTask, ExploreAnswer>(THREADS, () => new Worker(exploreUrl))
  const roundRuns = runsOfRound(own.runs)
  /** On a slow machine each run gets less, so that no round ends before its last. */
  const budgetOf = (number: number): number => {
    // What is being explored takes of the time that is left, too.
    const runsLeft = roundRuns - (number % roundRuns) + crew.runningCount
    const leftMs = deadlineMs - SPARE_SHARE * seconds * 1000 - Date.now()
    const shareMs = (THREADS * leftMs) / runsLeft
    const perMs = busyMs === 0 ? CAUTIOUS_PER_MS : tally.states / busyMs
    return Math.max(LEAST_PER_RUN, Math.min(STATES_PER_RUN, Math.floor(perMs * shareMs)))
  }
  const random = createRandom(seed)
  const progress = setInterval(() => {
    const elapsed = (Date.now() - startedMs) / 1000
    const perSecond = Math.round(tally.states / elapsed)
    console.log(`${Math.round(elapsed)} s: ${runCount} runs, ${tally.states} states, ${perSecond}/s`)
  }, PROGRESS_MS)
  const isOver = (round: number): boolean =>
    found.length > 0 || Date.now() > deadlineMs || (round > 0 && tally.states >= target)
  try {
    // The first round is gone through in any case: it has every method, script and number of slots.
    for (let round = 0; round === 0 || !isOver(round); round++) {
      for await (const { run, failure } of recordRound(random, own.runs)) {
        const number = runCount++
        if (failure !== undefined) found.push(keep(run, failure, seed + number))
        if (isOver(round)) break
        if (round === 0 && !run.name.includes('second life')) missed.push(...missedOmissions(run, seed))
        await crew.take(
          { run, options: { seed: seed + number, budget: budgetOf(number), deadlineMs } },
          ({ tally: more, failure, ms }) => {
            addTally(tally, more)
            busyMs += ms
            exploredCount++
            if (failure !== undefined) found.push(keep(run, failure, seed + number))
          },
        )
      }
    }
    await crew.whenIdle()
  } finally {
    clearInterval(progress)
    await crew.end()
  }
  for (const { failure, run, runSeed, file } of found) {
    console.log(`${run.name}: ${failure.message}\n  ${describe(failure)}`)
    if (failure.steps.length > 0) {
      console.log(`  gone through alone: ${goThroughAgain(run, failure, runSeed) ?? 'nothing is wrong'}`)
    }
    console.log(`  again: node scripts/run.mjs test/prove/crash-states.ts --replay ${file}`)
  }
  for (const name of missed) console.log(`not noticed: ${name}`)
  report(tally, runCount, Math.max(0, roundRuns - exploredCount), found, missed)
}

function report(
  tally: Tally,
  runCount: number,
  leftOutCount: number,
  found: readonly Found[],
  missed: readonly string[],
): void {
  const checks: Check[] = Object.entries(PROMISES).map(([promise, name]) => ({
    name: `${promise}: ${name}`,
    passed: !found.some(({ failure }) => failure.message.startsWith(`${promise}:`)),
  }))
  checks.push({
    name: 'the runs themselves went well',
    passed: !found.some(({ failure }) => failure.message.startsWith('in the run itself')),
  })
  checks.push({
    name: 'runs without file syncs, or without directory syncs, are noticed',
    passed: missed.length === 0,
  })
  if (leftOutCount > 0 && found.length === 0) {
    checks.push({
      name: 'every script with every method and number of slots',
      passed: false,
      skipped: `no time was left for ${leftOutCount} runs`,
    })
  }
  if (tally.states < target && found.length === 0) {
    checks.push({
      name: `${target.toLocaleString('en')} states were recovered`,
      passed: false,
      skipped: `the time ran out after ${tally.states.toLocaleString('en')}`,
    })
  }
  finish({
    part: 'crash-states',
    title: 'disk states that a crash can leave, recovered by the production code',
    promises: ['P1', 'P2', 'P3', 'P4', 'P5', 'P11', 'P12'],
    counts: [
      {
        label: 'distinct states (bytes, names and sizes on the disk, and what users had been told)',
        value: tally.states,
        of: target,
      },
      { label: 'of these left by a crash of a recovery, or behind it', value: tally.recoveryStates },
      { label: 'of these with sectors torn into zeros or garbage', value: tally.tornStates },
      { label: 'of these left by a process that died alone', value: tally.killStates },
      { label: 'recorded runs of the log', value: runCount },
      {
        label:
          'moments of these runs of which every subset of the unsynced was gone through, the others sampled',
        value: tally.exhaustedPoints,
        of: tally.points,
      },
      {
        label: 'moments of recoveries likewise',
        value: tally.exhaustedRecoveryPoints,
        of: tally.recoveryPoints,
      },
      { label: 'states met again and not counted', value: tally.repeats },
      {
        label:
          'reads of what recoveries left: once where a reader sees the same, then compared for each state',
        value: tally.readBacks,
      },
    ],
    checks,
    seed: `--seed ${seed}`,
  })
}

/** What is left out of a run and not noticed: the exploration would be worth nothing then. */
function missedOmissions(run: RecordedRun, runSeed: number): string[] {
  const leftOut: LeftOut[] = ['file syncs', 'directory syncs']
  return leftOut
    .filter((what) => {
      const explorer = new Explorer(run, {
        seed: runSeed,
        budget: SELF_TEST_STATES,
        deadlineMs: Number.POSITIVE_INFINITY,
        leftOut: what,
      })
      explorer.explore()
      return explorer.failure === undefined
    })
    .map((what) => `${run.name}, without ${what}`)
}

function addTally(tally: Tally, more: Tally): void {
  for (const key of Object.keys(tally) as (keyof Tally)[]) {
    if (key === 'isCutShort') tally[key] ||= more[key]
    else tally[key] += more[key]
  }
}

function describe({ steps }: CrashFailure): string {
  const texts = steps.map(({ at, kind, digits }, index) => {
    const where =
      index === 0 ? `after ${at} events` : at === -1 ? 'behind the recovery' : `at call ${at} of the recovery`
    return `${where} ${kind === 'kill' ? 'the process died' : 'the power failed'} (${digits.join('')})`
  })
  return texts.join('; ')
}

function keep(run: RecordedRun, failure: CrashFailure, runSeed: number): Found {
  const directory = join(process.cwd(), '.cache', 'prove')
  mkdirSync(directory, { recursive: true })
  const file = join(directory, `crash-states-${runSeed}.json`)
  const numbers = Buffer.from(run.numbers.buffer, run.numbers.byteOffset, run.numbers.byteLength).toString(
    'base64',
  )
  writeFileSync(file, JSON.stringify({ run: { ...run, numbers }, failure, seed: runSeed }))
  return { run, failure, runSeed, file }
}

function replay(file: string): void {
  makeThreadCheap()
  const kept = JSON.parse(readFileSync(file, 'utf8'))
  const bytes = Uint8Array.from(Buffer.from(kept.run.numbers, 'base64'))
  const run: RecordedRun = { ...kept.run, numbers: new Float64Array(bytes.buffer) }
  console.log(`${run.name}: ${describe(kept.failure)}`)
  const message = goThroughAgain(run, kept.failure, kept.seed)
  console.log(message ?? 'nothing is wrong any more')
  if (message !== undefined) process.exitCode = 1
}

/** One history by itself, upon nothing that others have left. What it breaks; undefined if nothing. */
function goThroughAgain(run: RecordedRun, { steps }: CrashFailure, runSeed: number): string | undefined {
  const explorer = new Explorer(run, { seed: runSeed, budget: 0, deadlineMs: Number.POSITIVE_INFINITY })
  explorer.replay(steps)
  return explorer.failure?.message
}
