import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Job, LaneMessage } from './lane.child.ts'
import laneUrl from './lane.child.ts?url'
import type { DeathNote, Rehearsal, SeriesEnd } from './lane.ts'

/** Longer than any limit within a lane. */
const SILENCE_MS = 20_000

/** What a job came to. Without `end` or `rehearsal` it broke off after so many notes; for want of a `failure` by no fault of its own. */
export interface Outcome {
  notes: DeathNote[]
  end?: SeriesEnd
  rehearsal?: Rehearsal
  failure?: string
}

interface Running {
  outcome: Outcome
  finish(): void
  timer: NodeJS.Timeout | undefined
}

/** A process for some jobs at a time; a new one after each that went wrong. */
export class Lane {
  readonly #base: string
  readonly #running: Map<number, Running>
  #child: ChildProcess | undefined
  #nextId: number

  constructor(base: string) {
    this.#base = base
    this.#running = new Map()
    this.#child = undefined
    this.#nextId = 1
  }

  async run(job: Omit<Job, 'id'>): Promise<Outcome> {
    this.#child ??= this.#start()
    const id = this.#nextId++
    const outcome: Outcome = { notes: [] }
    const finished = new Promise<void>((finish) => {
      this.#running.set(id, { outcome, finish, timer: undefined })
    })
    this.#listen(id)
    this.#child.send({ ...job, id })
    await finished
    return outcome
  }

  #start(): ChildProcess {
    // Not with source maps: each thread would read them anew.
    const child = fork(fileURLToPath(laneUrl), [this.#base], { execArgv: [] })
    child.on('message', (message: LaneMessage) => {
      if (child === this.#child) this.#receive(message)
    })
    child.once('exit', (code, signal) => {
      if (child === this.#child) this.#breakOff(undefined, `the process ended (${signal ?? code})`)
    })
    return child
  }

  #receive(message: LaneMessage): void {
    if ('failure' in message) {
      this.#breakOff(message.id, message.failure)
      return
    }
    const { id, ...rest } = message
    const { outcome } = this.#running.get(id)!
    this.#listen(id)
    if ('note' in rest) outcome.notes.push(rest.note)
    else {
      Object.assign(outcome, rest)
      this.#finish(id)
    }
  }

  #listen(id: number): void {
    const running = this.#running.get(id)!
    clearTimeout(running.timer)
    running.timer = setTimeout(
      () => this.#breakOff(id, `nothing happened within ${SILENCE_MS} ms`),
      SILENCE_MS,
    )
  }

  /** @param culprit undefined: nobody knows which job it was */
  #breakOff(culprit: number | undefined, failure: string): void {
    this.end()
    for (const [id, { outcome }] of this.#running) {
      if (culprit === undefined || id === culprit) outcome.failure = failure
      this.#finish(id)
    }
  }

  #finish(id: number): void {
    const running = this.#running.get(id)!
    clearTimeout(running.timer)
    this.#running.delete(id)
    running.finish()
  }

  end(): void {
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }
}
