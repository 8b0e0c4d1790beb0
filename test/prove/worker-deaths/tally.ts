import type { Check, Count } from '../support/report.ts'
import { medianOf } from './clock.ts'
import type { DeathNote, SeriesEnd } from './lane.ts'
import {
  configurationOf,
  type DeathKind,
  KINDS,
  ROLES,
  type Series,
  WORKS,
  type Work,
  whyImpossible,
} from './plan.ts'

/** P7. The survivors' wake-ups are a part of it, so that what a mere wake-up takes here comes on top. */
const GO_ON_MS = 50
/** A median of fewer says nothing. */
const LEAST_TIMES = 8

interface Configuration {
  steps: number
  reached: number
  times: number[]
}

/** Adds up what became of all deaths. */
export class Tally {
  readonly #configurations: Map<string, Configuration>
  readonly #deaths: Map<string, number>
  readonly #bareTimes: number[]
  readonly #failures: string[]
  readonly #wrong: string[]
  readonly #steps: Map<string, { all: number; reached: number }>
  #holes: number
  #inherited: number
  #acknowledged: number
  #lingered: number
  #survivedByVictim: number
  #logs: number

  constructor() {
    this.#configurations = new Map()
    this.#deaths = new Map()
    this.#bareTimes = []
    this.#failures = []
    this.#wrong = []
    this.#steps = new Map()
    this.#holes = 0
    this.#inherited = 0
    this.#acknowledged = 0
    this.#lingered = 0
    this.#survivedByVictim = 0
    this.#logs = 0
  }

  get deathCount(): number {
    return Array.from(this.#deaths.values()).reduce((sum, count) => sum + count, 0)
  }

  /** Has every role died of whatever it can die of? */
  get isEveryKindMet(): boolean {
    return KINDS.every((kind) =>
      WORKS.every((work) => whyImpossible(kind, work) !== undefined || this.#deaths.has(nameOf(kind, work))),
    )
  }

  /** So many steps there are in all, whether or not each is tried. */
  noteSteps(series: Omit<Series, 'steps'>, count: number): void {
    this.#configurationOf(series).steps += count
    this.#stepsOf(series).all += count
  }

  noteDeath(series: Series, { result, bareMs }: DeathNote): void {
    this.#bareTimes.push(bareMs)
    if (result === undefined) return
    const configuration = this.#configurationOf(series)
    configuration.reached++
    configuration.times.push(...result.times)
    this.#stepsOf(series).reached++
    const name = nameOf(KINDS[series.kind], WORKS[series.work])
    this.#deaths.set(name, (this.#deaths.get(name) ?? 0) + 1)
    if (result.lingered) this.#lingered++
    if (!result.hasEnded) this.#survivedByVictim++
  }

  noteEnd({ holes, inherited, acknowledged }: SeriesEnd): void {
    this.#logs++
    this.#holes += holes
    this.#inherited += inherited
    this.#acknowledged += acknowledged
  }

  noteFailure(text: string): void {
    this.#failures.push(text)
  }

  noteWrong(text: string): void {
    this.#wrong.push(text)
  }

  #configurationOf(series: Omit<Series, 'steps'>): Configuration {
    return entryOf(this.#configurations, configurationOf(series), { steps: 0, reached: 0, times: [] })
  }

  #stepsOf({ work }: Omit<Series, 'steps'>): { all: number; reached: number } {
    return entryOf(this.#steps, WORKS[work].role, { all: 0, reached: 0 })
  }

  /** One line per configuration. */
  print(): void {
    const bareMs = medianOf(this.#bareTimes)
    console.log('survivors go on after the death, median and longest, of those who had to wait for it:')
    for (const [name, { steps, reached, times }] of [...this.#configurations].sort()) {
      const waited =
        times.length === 0
          ? 'nobody had to wait'
          : `${medianOf(times).toFixed(1)} ms, ${Math.max(...times).toFixed(1)} ms, of ${times.length}`
      console.log(`  ${name}: ${waited}; ${reached} of ${steps} steps`)
    }
    console.log(`a bare wake-up: ${bareMs.toFixed(3)} ms, median of ${this.#bareTimes.length}`)
  }

  counts(): Count[] {
    if (this.deathCount === 0) return []
    const times = [...this.#configurations.values()].flatMap((configuration) => configuration.times)
    return [
      { label: 'deaths', value: this.deathCount },
      ...[...this.#deaths].sort().map(([name, value]) => ({ label: `deaths: ${name}`, value })),
      ...ROLES.flatMap((role) => {
        const steps = this.#steps.get(role)
        if (steps === undefined) return []
        return [{ label: `steps at which a ${role} died`, value: steps.reached, of: steps.all }]
      }),
      { label: 'logs compared, before and after a reopen', value: this.#logs },
      { label: 'records acknowledged', value: this.#acknowledged },
      { label: 'records of the dead, committed once by others', value: this.#inherited },
      { label: 'holes that became noops', value: this.#holes },
      { label: 'victims that lingered and were taken over from', value: this.#lingered },
      { label: 'victims whose thread lived on', value: this.#survivedByVictim },
      { label: 'commits that had to wait for a death', value: times.length },
      { label: 'microseconds until they went on, median', value: Math.round(medianOf(times) * 1000) },
      {
        label: 'microseconds of a bare wake-up, median',
        value: Math.round(medianOf(this.#bareTimes) * 1000),
      },
    ]
  }

  checks(): Check[] {
    const limitMs = GO_ON_MS + medianOf(this.#bareTimes)
    const isSlow = (role: string): boolean => {
      const times = [...this.#configurations].flatMap(([name, configuration]) =>
        name.startsWith(role) ? configuration.times : [],
      )
      return times.length >= LEAST_TIMES && medianOf(times) > limitMs
    }
    // A configuration alone has too few of them in the small size for a median that a busy machine leaves as it is.
    const slow = ROLES.filter(isSlow)
    for (const role of slow) console.log(`too slow: ${role}`)
    for (const text of [...this.#failures, ...this.#wrong]) console.log(text)
    return [
      { name: 'nothing hangs, whoever dies and wherever', passed: this.#failures.length === 0 },
      {
        name: 'acknowledged is kept, published is committed once, holes are noops',
        passed: this.#wrong.length === 0,
      },
      {
        name: 'survivors go on within 50 ms, by the median of each kind of thread that died',
        passed: slow.length === 0,
      },
    ]
  }
}

function nameOf(kind: DeathKind, work: Work): string {
  return `${kind.name}, ${work.role}`
}

function entryOf<Value>(map: Map<string, Value>, key: string, fresh: Value): Value {
  const found = map.get(key)
  if (found !== undefined) return found
  map.set(key, fresh)
  return fresh
}
