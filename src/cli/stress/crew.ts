import { Worker } from 'node:worker_threads'
import type { LogHandle } from '../../host/handle.ts'
import type { Chance } from './chance.ts'
import { PAUSE, STOP, type StressControl } from './control.ts'
import type { HostSpec } from './host-messages.ts'
import { DEATH_MESSAGE, type ProducerTask } from './producer.ts'

/** A producer lives this long at most before it dies, if it is to die. */
const LONGEST_LIFE_MS = 4000
/** Of three deaths one is by terminate(), at any instruction. */
const WAYS = ['terminate', 'exit', 'throw'] as const

/** One place among the producers: an incarnation follows the other. */
interface Place {
  operations: number
  sinceMs: number
  ended: Promise<void>
}

/** The producers of one host, each a worker thread, replaced when it dies. */
export class Crew {
  private readonly spec: HostSpec
  private readonly handle: LogHandle
  private readonly ledgers: string
  private readonly control: StressControl
  private readonly chance: Chance
  private readonly violate: (what: string) => void
  private readonly places: Place[]
  private source: string
  private deaths: number
  private nextIncarnation: number

  constructor(
    spec: HostSpec,
    handle: LogHandle,
    ledgers: string,
    control: StressControl,
    chance: Chance,
    violate: (what: string) => void,
  ) {
    this.nextIncarnation = spec.firstIncarnation
    this.spec = spec
    this.handle = handle
    this.ledgers = ledgers
    this.control = control
    this.chance = chance
    this.violate = violate
    this.places = []
    this.source = ''
    this.deaths = 0
  }

  async start(): Promise<void> {
    this.source = (await import('groupwal:worker/stress-producer')).source
    for (let number = 0; number < this.spec.plan.producers; number++) {
      const place: Place = { operations: 0, sinceMs: 0, ended: Promise.resolve() }
      this.places.push(place)
      place.ended = this.occupy(place, number)
    }
  }

  /** Resolves when all have ended, after the control says STOP. */
  async end(): Promise<void> {
    await Promise.all(this.places.map(({ ended }) => ended))
  }

  counts(): { acknowledged: number; deaths: number } {
    let acknowledged = 0
    for (const number of this.places.keys()) acknowledged += this.control.acknowledged(number)
    return { acknowledged, deaths: this.deaths }
  }

  /** A producer none of whose calls has ended for so long hangs. */
  checkProgress(limitMs: number): void {
    const nowMs = performance.now()
    for (const [number, place] of this.places.entries()) {
      const operations = this.control.operations(number)
      if (operations !== place.operations || this.control.state() === PAUSE) {
        place.operations = operations
        place.sinceMs = nowMs
      } else if (nowMs - place.sinceMs > limitMs) {
        this.violate(`no call of producer ${number} has ended for ${limitMs} ms`)
      }
    }
  }

  /** One incarnation after the other, until it is time to stop. */
  private async occupy(place: Place, number: number): Promise<void> {
    while (this.control.state() !== STOP) {
      place.sinceMs = performance.now()
      const incarnation = this.numberNext(number)
      await this.live(number, incarnation)
    }
  }

  /** The next number from which the producer can be told. */
  private numberNext(number: number): number {
    const { producers } = this.spec.plan
    const incarnation = Math.ceil((this.nextIncarnation - number) / producers) * producers + number
    this.nextIncarnation = incarnation + 1
    return incarnation
  }

  private async live(number: number, incarnation: number): Promise<void> {
    const way = this.spec.deaths ? WAYS[this.chance.int(WAYS.length)] : undefined
    const task: ProducerTask = {
      handle: this.handle,
      words: this.control.words,
      plan: this.spec.plan,
      producer: number,
      incarnation,
      ledgers: this.ledgers,
      canFail: this.spec.faults,
      death:
        way === 'exit' || way === 'throw' ? { afterMs: this.chance.int(LONGEST_LIFE_MS), way } : undefined,
    }
    const worker = new Worker(this.source, {
      eval: true,
      execArgv: [],
      workerData: task,
      name: `stress ${incarnation}`,
    })
    worker.on('message', ({ violation }: { violation: string }) => this.violate(violation))
    worker.on('error', (error) => {
      if (error.message !== DEATH_MESSAGE) this.violate(`producer ${incarnation} died: ${error.stack}`)
    })
    const killer =
      way === 'terminate'
        ? setTimeout(() => void worker.terminate(), this.chance.int(LONGEST_LIFE_MS))
        : undefined
    await new Promise((resolve) => worker.once('exit', resolve))
    clearTimeout(killer)
    if (this.control.state() !== STOP) this.deaths++
  }
}
