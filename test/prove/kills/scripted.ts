import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { type Action, type Call, IoShim, type Op } from '../../support/io-shim/shim.ts'
import { Ledger, type ScriptEvent } from '../io-script/events.ts'
import { EVENT_FD, type ScriptedOrder } from '../io-script/order.ts'
import { CASE_RULE } from '../io-script/run.ts'
import { phaseNumber, SCENARIOS, type Scenario } from '../io-script/scenarios.ts'
import childUrl from '../io-script/scripted.child.ts?url'
import type { Template } from '../io-script/templates.ts'
import { liveOn } from './second-life.ts'

export interface Configuration {
  syncMethod: 'dsync' | 'direct' | 'fdatasync' | 'fsync'
  stagingSlots: number
}

/** Where a process is to die: at one of its calls. */
export interface KillPoint {
  scenario: Scenario
  configuration: Configuration
  call: Call
  isTried: boolean
  /** It did not come again in many runs. */
  isMissed: boolean
}

/** How: before the call, after it, or, of a write, after so many bytes. */
export const WAYS: readonly { name: string; ops: readonly Op[]; action: Action }[] = [
  {
    name: 'before',
    ops: ['write', 'fdatasync', 'fsync', 'rename', 'unlink', 'ftruncate', 'mkdir'],
    action: { type: 'kill-before' },
  },
  {
    name: 'after',
    ops: ['write', 'fdatasync', 'fsync', 'rename', 'unlink', 'ftruncate', 'mkdir'],
    action: { type: 'kill-after' },
  },
  { name: 'after 1 byte of', ops: ['write'], action: { type: 'kill-mid', bytes: 1 } },
  { name: 'after 513 bytes of', ops: ['write'], action: { type: 'kill-mid', bytes: 513 } },
  { name: 'after all but a byte of', ops: ['write'], action: { type: 'kill-mid', bytes: 1 << 30 } },
]

export type Way = (typeof WAYS)[number]

export interface KillResult {
  wrong: string[]
  /** The process died in the call. */
  wasKilled: boolean
  acknowledged: number
  counts: ReturnType<IoShim['counts']>
}

const FIRST_ID = 1000
/** A scenario takes a tenth of a second. */
const HANG_MS = 20_000

/** A place to run hosts in, one after the other. */
export class KillLane {
  readonly #base: string
  readonly #shim: IoShim
  readonly #templates: Record<string, Template>

  constructor(base: string, name: string, templates: Record<string, Template>) {
    this.#base = join(base, name)
    mkdirSync(this.#base)
    this.#shim = IoShim.create(base, name)
    this.#templates = templates
  }

  /** Runs a host, which dies at the point if there is one; then a second one lives on with its files. */
  async run(scenario: Scenario, configuration: Configuration, call?: Call, way?: Way): Promise<KillResult> {
    const directory = join(this.#base, 'log')
    const template = scenario.template === undefined ? undefined : this.#templates[scenario.template]
    if (template !== undefined) cpSync(template.directory, directory, { recursive: true })
    const ledger = new Ledger(template?.events)
    this.#shim.reset()
    if (call !== undefined && way !== undefined) this.#shim.setRule(CASE_RULE, { call, action: way.action })
    const order = { scenario: scenario.name, directory, ...configuration, firstId: FIRST_ID }
    const ending = await this.#live(order, ledger)
    const wasKilled = ending === 'SIGKILL' && this.#shim.fired(CASE_RULE) > 0
    const wrong: string[] = []
    if (!wasKilled && ending !== 0) wrong.push(`the host ended with ${ending}`)
    // Killed before it was made.
    if (existsSync(directory)) wrong.push(...(await liveOn(directory, ledger)))
    wrong.push(...ledger.violations)
    rmSync(directory, { recursive: true, force: true })
    return { wrong, wasKilled, acknowledged: ledger.count('acknowledged'), counts: this.#shim.counts() }
  }

  async #live(order: ScriptedOrder, ledger: Ledger): Promise<number | string | null> {
    const child = spawn(process.execPath, [fileURLToPath(childUrl), JSON.stringify(order)], {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
      env: { ...process.env, ...this.#shim.environment(this.#base) },
    })
    const end = (): boolean => child.kill('SIGKILL')
    const timer = setTimeout(end, HANG_MS)
    process.once('exit', end)
    let rest = ''
    const pipe = child.stdio[EVENT_FD] as Readable
    pipe.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      for (const line of lines) ledger.add(JSON.parse(line) as ScriptEvent)
    })
    await once(child, 'close')
    clearTimeout(timer)
    process.removeListener('exit', end)
    return child.signalCode ?? child.exitCode
  }
}

/** The writes and syncs, and what else changes a file or a name, of all scenarios when nobody is killed. */
export async function findKillPoints(
  lane: KillLane,
  configuration: Configuration,
  scenarios: readonly Scenario[],
): Promise<{ points: KillPoint[]; wrong: string[] }> {
  const points: KillPoint[] = []
  const wrong: string[] = []
  for (const scenario of scenarios) {
    const result = await lane.run(scenario, configuration)
    wrong.push(...result.wrong)
    for (const { phase, op, role, count } of result.counts) {
      if (!WAYS[0].ops.includes(op)) continue
      // The idle scenario opens its log as the first one does, and all measure the disk alike.
      const isRepeated = scenario !== SCENARIOS[0] && role === 'probe'
      if (isRepeated || (scenario.name === 'idle' && phase === phaseNumber(scenario, 'open'))) continue
      for (let nth = 1; nth <= count; nth++) {
        points.push({
          scenario,
          configuration,
          call: { phase, op, role, nth },
          isTried: false,
          isMissed: false,
        })
      }
    }
  }
  return { points, wrong }
}
