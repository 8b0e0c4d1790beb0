import { type ChildProcess, fork } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SyncMethod } from '../../../src/index.ts'
import { type Call, IoShim, type Rule } from '../../support/io-shim/shim.ts'
import { Ledger } from '../io-script/events.ts'
import { checkDirectory, copyLog } from '../io-script/recovered.ts'
import { CASE_RULE, SEGMENT_BYTES } from '../io-script/run.ts'
import { phaseName, type Scenario } from '../io-script/scenarios.ts'
import type { Template } from '../io-script/templates.ts'
import type { SweepAnswer, SweepOrder } from './sweep.child.ts'
import childUrl from './sweep.child.ts?url'

export interface Configuration {
  syncMethod: SyncMethod
  stagingSlots: number
}

/** What happens in a run, and what must come of it. */
export interface Expectation {
  rule: Rule
  isHarmless: boolean
  /** Some call of the log must end with an error. */
  mustBeTold: boolean
}

export interface SweepResult {
  /** What was wrong, with all that a person needs; empty when nothing was. */
  wrong: string[]
  /** How many calls went as the rule says. */
  fired: number
  /** What was called, by phase. */
  counts: ReturnType<IoShim['counts']>
  acknowledged: number
  failed: number
  recoveries: number
}

/** A run that takes longer hangs: it takes a tenth of a second. */
const HANG_MS = 20_000
/** A process serves so many runs: the shared memory of a log is freed late. */
const RUNS_PER_PROCESS = 100
const FIRST_ID = 1000
const TRACE_LINES = 40

/** Runs scenarios in a process with the shim, and has the files recovered here, where no shim is. */
export class SweepProcess {
  readonly #base: string
  readonly #shim: IoShim
  readonly #templates: Record<string, Template>
  #child: ChildProcess | undefined
  #runs = 0

  constructor(base: string, name: string, templates: Record<string, Template>) {
    this.#base = join(base, name)
    mkdirSync(this.#base)
    this.#shim = IoShim.create(base, name)
    this.#templates = templates
  }

  async run(
    scenario: Scenario,
    configuration: Configuration,
    startsThreads: boolean,
    expectation?: Expectation,
  ): Promise<SweepResult> {
    const directory = join(this.#base, 'log')
    const template = scenario.template === undefined ? undefined : this.#templates[scenario.template]
    if (template !== undefined) cpSync(template.directory, directory, { recursive: true })
    const ledger = new Ledger(template?.events)
    this.#shim.reset()
    this.#shim.setRule(CASE_RULE, expectation?.rule)
    const result: SweepResult = { wrong: [], fired: 0, counts: [], acknowledged: 0, failed: 0, recoveries: 0 }
    const check = (at: string): void => {
      result.recoveries++
      result.wrong.push(...checkDirectory(at, SEGMENT_BYTES, ledger))
    }
    let wasTold = false
    const onAnswer = ({ type, events }: SweepAnswer): boolean => {
      for (const event of events) ledger.add(event)
      if (type === 'done') return true
      wasTold = true
      const image = join(this.#base, 'image')
      // It could not even be made.
      if (!existsSync(directory)) return false
      copyLog(directory, image)
      check(image)
      rmSync(image, { recursive: true })
      return false
    }
    const isHarmless = expectation?.isHarmless ?? false
    const order: SweepOrder = {
      scenario: scenario.name,
      directory,
      ...configuration,
      startsThreads,
      isHarmless,
      firstId: FIRST_ID,
    }
    const trouble = await this.#perform(order, onAnswer)
    result.fired = this.#shim.fired(CASE_RULE)
    result.counts = this.#shim.counts()
    result.acknowledged = ledger.count('acknowledged')
    result.failed = ledger.count('not-written') + ledger.count('indeterminate') + ledger.count('fenced')
    check(directory)
    if (expectation?.mustBeTold === true && result.fired > 0 && !wasTold) result.wrong.push('nobody was told')
    result.wrong.push(...ledger.violations, ...trouble)
    if (this.#shim.uncounted > 0)
      result.wrong.push(`${this.#shim.uncounted} calls of a kind that is not counted`)
    if (result.wrong.length > 0) {
      result.wrong.push(
        'the last calls:',
        ...this.#shim.trace((n) => phaseName(scenario, n)).slice(-TRACE_LINES),
      )
    }
    rmSync(directory, { recursive: true, force: true })
    return result
  }

  /** The process only: files below `base` are removed by whoever made it. */
  end(): void {
    this.#restart()
  }

  /** Returns what went wrong with the process itself. */
  #perform(order: SweepOrder, onAnswer: (answer: SweepAnswer) => boolean): Promise<string[]> {
    if (this.#runs++ % RUNS_PER_PROCESS === 0) this.#restart()
    this.#child ??= this.#start()
    const child = this.#child
    return new Promise((resolve, reject) => {
      const settle = (trouble: string[]): void => {
        clearTimeout(timer)
        child.removeAllListeners()
        if (trouble.length > 0) this.#restart()
        resolve(trouble)
      }
      const timer = setTimeout(() => settle([`it hangs: not ended after ${HANG_MS} ms`]), HANG_MS)
      child.on('exit', (code, signal) => settle([`the process ended with ${signal ?? code}`]))
      child.on('message', (answer: SweepAnswer) => {
        try {
          if (onAnswer(answer)) settle([])
          else child.send('go on')
        } catch (error) {
          reject(error)
        }
      })
      child.send(order)
    })
  }

  #start(): ChildProcess {
    const env = { ...process.env, ...this.#shim.environment(this.#base) }
    return fork(fileURLToPath(childUrl), { env, execArgv: ['--enable-source-maps'] })
  }

  #restart(): void {
    this.#child?.removeAllListeners()
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }
}

export function describeCall(scenario: Scenario, { phase, op, role, nth }: Call): string {
  return `${scenario.name}/${phaseName(scenario, phase)}: ${op} ${role} #${nth}`
}
