import type { Call, Op } from '../../support/io-shim/shim.ts'
import { phaseNumber, SCENARIOS, type Scenario } from '../io-script/scenarios.ts'
import { type Fault, faultsFor } from './faults.ts'
import { type Configuration, describeCall, type SweepProcess, type SweepResult } from './process.ts'

/** One call of one scenario in one configuration: what is to be covered. */
export interface SweptCall {
  scenario: Scenario
  configuration: Configuration
  call: Call
  /** It comes only where the log's own threads start with it, and are late: others do their work at first. */
  startsThreads: boolean
  /** Some fault has happened to it. */
  isCovered: boolean
  /** By the name of a fault that has happened to it: to how many calls, with those that came later. */
  fired: Map<string, number>
  /** It did not come in many runs that were to meet it: the machine was slow when the calls were counted. */
  isGone: boolean
}

export interface SweepCase {
  swept: SweptCall
  fault: Fault
}

/** Odd, so that one run in which the machine was busy is outvoted. */
const REFERENCE_RUNS = 5
const WRITES_AND_SYNCS: readonly Op[] = ['write', 'fdatasync', 'fsync']

/**
 * The calls that a scenario makes when nothing goes wrong. Calls of different threads come in any order, so they are
 * numbered by phase, operation and kind of file; the script lets no two threads make calls of one kind at once, but
 * where that is the point. Runs it a few times and takes the usual count. Then does the same with threads that start
 * with the log, and adds what only comes there.
 */
export async function findCalls(
  process: SweepProcess,
  scenario: Scenario,
  configuration: Configuration,
): Promise<{ calls: SweptCall[]; wrong: string[] }> {
  const kept = await findCallsOf(process, scenario, configuration, false)
  const started = await findCallsOf(process, scenario, configuration, true)
  const known = new Set(kept.calls.map(({ call }) => describeCall(scenario, call)))
  const more = started.calls.filter(({ call }) => !known.has(describeCall(scenario, call)))
  return { calls: [...kept.calls, ...more], wrong: [...kept.wrong, ...started.wrong] }
}

async function findCallsOf(
  process: SweepProcess,
  scenario: Scenario,
  configuration: Configuration,
  startsThreads: boolean,
): Promise<{ calls: SweptCall[]; wrong: string[] }> {
  const runs: SweepResult[] = []
  for (let run = 0; run < REFERENCE_RUNS; run++) {
    runs.push(await process.run(scenario, configuration, startsThreads))
  }
  const kinds = new Map<string, { call: Omit<Call, 'nth'>; counts: number[] }>()
  for (const { counts } of runs) {
    for (const { phase, op, role, count } of counts) {
      const key = `${phase} ${op} ${role}`
      if (!kinds.has(key)) kinds.set(key, { call: { phase, op, role }, counts: [] })
      kinds.get(key)!.counts.push(count)
    }
  }
  const calls: SweptCall[] = []
  for (const { call, counts } of kinds.values()) {
    const all = [...counts, ...Array<number>(REFERENCE_RUNS - counts.length).fill(0)].sort((a, b) => a - b)
    const usual = all[REFERENCE_RUNS >> 1]
    // The idle scenario opens its log as all others do.
    if (scenario.name === 'idle' && call.phase === phaseNumber(scenario, 'open')) continue
    for (let nth = 1; nth <= usual; nth++) {
      calls.push({
        scenario,
        configuration,
        call: { ...call, nth },
        startsThreads,
        isCovered: false,
        fired: new Map(),
        isGone: false,
      })
    }
  }
  return { calls, wrong: runs.flatMap(({ wrong }) => wrong) }
}

export async function findAllCalls(
  process: SweepProcess,
  configurations: readonly Configuration[],
): Promise<{ calls: SweptCall[]; wrong: string[] }> {
  const all = { calls: [] as SweptCall[], wrong: [] as string[] }
  for (const configuration of configurations) {
    for (const scenario of SCENARIOS) {
      const { calls, wrong } = await findCalls(process, scenario, configuration)
      all.calls.push(...calls)
      all.wrong.push(...wrong)
    }
  }
  return all
}

/** A fault that lasts has met as many calls as this one meets: the run was the same to the last byte of its rule. */
export function wasTriedAsTwin({ swept, fault: { twin } }: SweepCase): boolean {
  return twin !== undefined && swept.fired.get(twin.name) === twin.calls
}

/** So many faults that last are tried, by all processes, and then those twins of theirs that are still of use. */
const TWIN_DISTANCE = 32

/**
 * All there is to try, the most telling first: every call with one fault, another one for each and for each seed; then
 * every other fault of it, those of writes and syncs before the rest, and the calls that are `thorough` before all
 * others. A fault that does not last comes soon after its twin that does: where that one met no later call, both are
 * tried (see `wasTriedAsTwin`).
 */
export function orderCases(
  calls: readonly SweptCall[],
  seed: number,
  isThorough: (swept: SweptCall) => boolean = () => true,
): SweepCase[] {
  const first: SweepCase[] = []
  const others: SweepCase[][] = [[], [], [], []]
  for (const [index, swept] of calls.entries()) {
    const faults = faultsFor(swept.call.op)
    const chosen = (index + seed) % faults.length
    const rank = (isThorough(swept) ? 0 : 2) + (WRITES_AND_SYNCS.includes(swept.call.op) ? 0 : 1)
    for (const [at, fault] of faults.entries()) (at === chosen ? first : others[rank]!).push({ swept, fault })
  }
  return [...first, ...others.flatMap((cases) => twinsBehind(cases, seed))]
}

/** Neighbours make the same mistakes: what does not fit into the time is spread over all. */
function twinsBehind(cases: readonly SweepCase[], seed: number): SweepCase[] {
  const namesOf = new Map<SweptCall, Set<string>>()
  for (const { swept, fault } of cases) namesOf.set(swept, (namesOf.get(swept) ?? new Set()).add(fault.name))
  const isBehind = ({ swept, fault: { twin } }: SweepCase): boolean =>
    twin !== undefined && namesOf.get(swept)!.has(twin.name)
  const behind = new Map<SweptCall, SweepCase[]>()
  for (const one of cases.filter(isBehind)) behind.set(one.swept, [...(behind.get(one.swept) ?? []), one])
  const leading = spread(
    cases.filter((one) => !isBehind(one)),
    seed,
  )
  const ordered: SweepCase[] = []
  for (let from = 0; from < leading.length; from += TWIN_DISTANCE) {
    const some = leading.slice(from, from + TWIN_DISTANCE)
    const twins = some.flatMap(({ swept, fault }) =>
      (behind.get(swept) ?? []).filter((one) => one.fault.twin!.name === fault.name),
    )
    ordered.push(...some, ...twins)
  }
  return ordered
}

/** In steps that share no factor with the length: everything comes once. */
function spread<T>(items: readonly T[], seed: number): T[] {
  if (items.length === 0) return []
  let step = Math.floor(items.length * 0.618) + 1
  while (commonFactor(step, items.length) > 1) step++
  return items.map((_, index) => items[(seed + index * step) % items.length])
}

function commonFactor(a: number, b: number): number {
  return b === 0 ? a : commonFactor(b, a % b)
}
