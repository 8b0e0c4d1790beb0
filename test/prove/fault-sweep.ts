// Every call that a log makes to its files goes wrong, one at a time, in every way that a disk has: see
// fault-sweep/faults.ts. A library beneath libuv does it (test/support/io-shim), so all of the production code runs.
// After each run another process recovers the files and compares with what the run was told.
//
//   node scripts/run.mjs test/prove/fault-sweep.ts [--full] [--seed N] [--seconds N] [--only TEXT]
//
// `--only` tries the cases whose name holds the text, as a failure prints it.

import { rmSync } from 'node:fs'
import { fastDirectory, whyNoShim } from '../support/io-shim/shim.ts'
import {
  findAllCalls,
  orderCases,
  type SweepCase,
  type SweptCall,
  wasTriedAsTwin,
} from './fault-sweep/cases.ts'
import { mustBeTold } from './fault-sweep/faults.ts'
import { type Configuration, describeCall, SweepProcess } from './fault-sweep/process.ts'
import { compareWithStrace, whyNoStrace } from './fault-sweep/strace.ts'
import { phaseName, SCENARIOS } from './io-script/scenarios.ts'
import { makeTemplates } from './io-script/templates.ts'
import { readOptions } from './support/options.ts'
import { type Check, type Count, finish, type PartReport } from './support/report.ts'

/** The small size tries these alone; the large one exhausts them before it goes on with the others. */
const CI_CONFIGURATIONS: readonly Configuration[] = [
  { syncMethod: 'fdatasync', stagingSlots: 1 },
  { syncMethod: 'dsync', stagingSlots: 2 },
]
const ALL_CONFIGURATIONS: readonly Configuration[] = [
  ...CI_CONFIGURATIONS,
  { syncMethod: 'fdatasync', stagingSlots: 2 },
  { syncMethod: 'dsync', stagingSlots: 1 },
  { syncMethod: 'direct', stagingSlots: 1 },
  { syncMethod: 'direct', stagingSlots: 2 },
  { syncMethod: 'fsync', stagingSlots: 1 },
  { syncMethod: 'fsync', stagingSlots: 2 },
]
/** Measured with two processors: a third one uses what two leave idle, a fourth one only disturbs. */
const PROCESSES = 3
/** A call that does not come in the run that is to meet it, since the threads were quicker or slower, is tried again. */
const MOST_RETRIES = 5
/** Of the calls that were counted, this part may be found not to belong to the script (see `isGone`). */
const MOST_GONE = 0.02
/** Every call is to be covered also where the machine is busy: the first fault of each may take so much longer. */
const PATIENCE = 4
const PROGRESS_MS = 10_000
/** After so many failures the rest would say nothing new. */
const MOST_FAILURES = 20

const { full, seconds, seed, own } = readOptions({ ci: 85, full: 1500 }, ['only'])
const startedMs = performance.now()

const TITLE =
  'every call to the file system fails once, in turn: errors are told, nothing acknowledged is lost'
const EVERY = 'every call of the scripted run has failed, by EIO, ENOSPC, EFBIG, a short write, 0 or a delay'
const HOLDS =
  'acknowledged ⊆ recovered ⊆ submitted, batches whole, no hang, typed errors, nothing after the poison'
const COMPARED = 'the calls that are covered are all that the kernel sees (strace)'

const tally = {
  cases: 0,
  writeAndSyncCases: 0,
  ciCases: 0,
  startingCases: 0,
  twins: 0,
  recoveries: 0,
  acknowledged: 0,
  failed: 0,
  failures: 0,
}

/** Cases by scenario. */
const triedOf = new Map<string, number>()

await main()

async function main(): Promise<void> {
  const reason = whyNoShim()
  if (reason !== undefined) {
    report(
      [],
      [EVERY, HOLDS, COMPARED].map((name) => ({ name, passed: false, skipped: reason })),
    )
    return
  }
  const base = fastDirectory('sweep')
  const processes: SweepProcess[] = []
  const cleanUp = (): void => {
    for (const one of processes) one.end()
    rmSync(base, { recursive: true, force: true })
  }
  process.once('exit', cleanUp)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  console.log(`seed ${seed}, at most ${seconds} s, logs in ${base}`)
  const templates = await makeTemplates(base)
  for (let index = 0; index < PROCESSES; index++) {
    processes.push(new SweepProcess(base, `process-${index}`, templates))
  }
  const compared = compare(base)
  await sweep(processes, compared)
  for (const one of processes) one.end()
}

/** The kernel's own word on what was called. */
function compare(base: string): Check {
  const reason = whyNoStrace()
  if (reason !== undefined) return { name: COMPARED, passed: false, skipped: reason }
  const different = compareWithStrace(base)
  for (const text of different) console.log(`FAILED ${text}`)
  return { name: COMPARED, passed: different.length === 0 }
}

async function sweep(processes: readonly SweepProcess[], compared: Check): Promise<void> {
  const configurations = full ? ALL_CONFIGURATIONS : CI_CONFIGURATIONS
  const shares = await Promise.all(
    processes.map((one, at) =>
      findAllCalls(
        one,
        configurations.filter((_, index) => index % PROCESSES === at),
      ),
    ),
  )
  const calls = shares.flatMap((share) => share.calls)
  for (const text of shares.flatMap((share) => share.wrong)) fail(`without any fault: ${text}`)
  const cases = orderCases(calls, seed, isOfCi).filter((one) => nameOf(one).includes(own.only ?? ''))
  console.log(`${calls.length} calls, ${cases.length} cases, ${Math.round(performance.now() / 1000)} s`)
  const queue = cases.map((one) => ({ one, retries: 0 }))
  const timer = setInterval(() => {
    console.log(
      `${Math.round(performance.now() / 1000)} s: ${tally.cases} cases, ${calls.filter((call) => call.isCovered).length} calls covered`,
    )
  }, PROGRESS_MS)
  await Promise.all(processes.map((one) => work(one, queue)))
  clearInterval(timer)
  const covered = calls.filter((call) => call.isCovered).length
  const gone = calls.filter((call) => call.isGone).length
  const counts: Count[] = [
    { label: 'calls covered', value: covered, of: calls.length - gone },
    { label: 'cases (a call and a fault)', value: tally.cases, of: cases.length },
    {
      label: 'cases of writes and syncs',
      value: tally.writeAndSyncCases,
      of: cases.filter(isWriteOrSync).length,
    },
    {
      label: `cases of ${CI_CONFIGURATIONS.map(describeConfiguration).join(' and ')}`,
      value: tally.ciCases,
      of: cases.filter(({ swept }) => isOfCi(swept)).length,
    },
    {
      label: 'cases that were tried by a fault that lasts and met no later call: the same run',
      value: tally.twins,
    },
    ...SCENARIOS.map(({ name }) => ({
      label: `cases of the scenario '${name}'`,
      value: triedOf.get(name) ?? 0,
      of: cases.filter(({ swept }) => swept.scenario.name === name).length,
    })),
    {
      label: 'cases of calls that come only while the threads of the log start',
      value: tally.startingCases,
      of: cases.filter(({ swept }) => swept.startsThreads).length,
    },
    { label: 'configurations (sync method and staging slots)', value: configurations.length },
    { label: 'recoveries by another process', value: tally.recoveries },
    { label: 'records acknowledged', value: tally.acknowledged },
    { label: 'records told as failed', value: tally.failed },
    { label: 'calls counted at first that never came again', value: gone },
  ]
  const isEvery = covered === calls.length - gone && gone <= calls.length * MOST_GONE
  report(counts, [
    { name: EVERY, passed: isEvery || own.only !== undefined },
    { name: HOLDS, passed: tally.failures === 0 },
    compared,
  ])
}

/** Takes cases until there are none, the time is up or too much is wrong. */
async function work(process: SweepProcess, queue: { one: SweepCase; retries: number }[]): Promise<void> {
  for (;;) {
    const next = queue.shift()
    if (next === undefined || tally.failures >= MOST_FAILURES) return
    const { swept, fault } = next.one
    const mostSeconds = swept.isCovered ? seconds : seconds * PATIENCE
    if (performance.now() - startedMs > mostSeconds * 1000) return
    if (swept.isGone) continue
    if (wasTriedAsTwin(next.one)) {
      countCase(next.one)
      tally.twins++
      continue
    }
    const result = await process.run(swept.scenario, swept.configuration, swept.startsThreads, {
      rule: fault.rule(swept.call),
      isHarmless: fault.isHarmless,
      mustBeTold: mustBeTold(fault, swept.call, phaseName(swept.scenario, swept.call.phase)),
    })
    tally.recoveries += result.recoveries
    tally.acknowledged += result.acknowledged
    tally.failed += result.failed
    if (result.wrong.length > 0) fail(`${nameOf(next.one)}\n${result.wrong.join('\n')}`)
    if (result.fired > 0) {
      swept.isCovered = true
      swept.fired.set(fault.name, result.fired)
      countCase(next.one)
    } else if (next.retries < MOST_RETRIES) {
      queue.unshift({ one: next.one, retries: next.retries + 1 })
    } else if (!swept.isCovered) {
      swept.isGone = true
      console.log(`no such call in ${MOST_RETRIES + 1} runs: ${nameOf(next.one)}`)
    }
  }
}

function countCase(one: SweepCase): void {
  tally.cases++
  if (isWriteOrSync(one)) tally.writeAndSyncCases++
  if (isOfCi(one.swept)) tally.ciCases++
  if (one.swept.startsThreads) tally.startingCases++
  const { name } = one.swept.scenario
  triedOf.set(name, (triedOf.get(name) ?? 0) + 1)
}

function isWriteOrSync({ swept }: SweepCase): boolean {
  return swept.call.op === 'write' || swept.call.op.endsWith('sync')
}

function isOfCi({ configuration }: SweptCall): boolean {
  return CI_CONFIGURATIONS.includes(configuration)
}

function nameOf({ swept: { scenario, configuration, call, startsThreads }, fault }: SweepCase): string {
  const where = `${describeConfiguration(configuration)}${startsThreads ? ', threads that start' : ''}`
  return `${where}, ${describeCall(scenario, call)}: ${fault.name}`
}

function describeConfiguration({ syncMethod, stagingSlots }: Configuration): string {
  return `${syncMethod}, ${stagingSlots} ${stagingSlots === 1 ? 'slot' : 'slots'}`
}

function fail(text: string): void {
  tally.failures++
  console.log(
    `\nFAILED ${text}\nreplay: --seed ${seed} --only 'NAME UP TO THE END OF ITS LINE'${full ? ' --full' : ''}\n`,
  )
}

function report(counts: Count[], checks: PartReport['checks']): void {
  const promises = ['P1', 'P2', 'P3', 'P5', 'P6', 'P8', 'P11', 'P12']
  finish({ part: 'fault-sweep', title: TITLE, promises, counts, checks, seed: String(seed) })
}
