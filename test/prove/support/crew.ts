import { Worker } from 'node:worker_threads'
import type { ExploreAnswer, ExploreTask } from './explore.worker.ts'
import exploreUrl from './explore.worker.ts?url'

/** Runs that were noted and not explored yet. */
const MAX_WAITING = 2

/** Some threads that explore. */
export class Crew {
  readonly #idle: Worker[] = []
  readonly #all: Worker[]
  #waiting: { task: ExploreTask; done: (answer: ExploreAnswer) => void }[] = []
  #running = 0
  #failed: unknown
  #changed: (() => void)[] = []

  constructor(count: number) {
    this.#all = Array.from({ length: count }, () => new Worker(exploreUrl))
    this.#idle.push(...this.#all)
    for (const worker of this.#all) {
      worker.on('error', (error) => {
        this.#failed = error
        this.#tell()
      })
    }
  }

  /** Resolves when not too many tasks wait. */
  async take(task: ExploreTask, done: (answer: ExploreAnswer) => void): Promise<void> {
    this.#waiting.push({ task, done })
    this.#start()
    while (this.#waiting.length >= MAX_WAITING) await this.#change()
  }

  async whenIdle(): Promise<void> {
    while (this.#waiting.length + this.#running > 0) await this.#change()
  }

  async end(): Promise<void> {
    await Promise.all(this.#all.map((worker) => worker.terminate()))
  }

  #start(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const worker = this.#idle.pop() as Worker
      const { task, done } = this.#waiting.shift()!
      this.#running++
      worker.once('message', (answer: ExploreAnswer) => {
        this.#running--
        this.#idle.push(worker)
        done(answer)
        this.#start()
        this.#tell()
      })
      worker.postMessage(task)
    }
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => this.#changed.push(resolve))
    if (this.#failed !== undefined) throw this.#failed
  }

  #tell(): void {
    for (const resolve of this.#changed.splice(0)) resolve()
  }
}
