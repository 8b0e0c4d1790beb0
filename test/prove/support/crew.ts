import type { Worker } from 'node:worker_threads'

/** Tasks that may wait to be begun. */
const MAX_WAITING = 2

/** Some threads that each do one task after the other: a message with the task, one with the answer. */
export class Crew<Task, Answer> {
  readonly #idle: Worker[] = []
  readonly #all: Worker[] = []
  #waiting: { task: Task; done: (answer: Answer) => void }[] = []
  #running = 0
  #failure: unknown
  #onChange: (() => void)[] = []

  /** @param start starts the n-th thread */
  constructor(count: number, start: (index: number) => Worker) {
    for (let index = 0; index < count; index++) {
      const worker = start(index)
      this.#all.push(worker)
      this.#idle.push(worker)
      worker.on('error', (error) => this.fail(error))
    }
  }

  /** Resolves when not too many tasks wait. */
  async take(task: Task, done: (answer: Answer) => void): Promise<void> {
    this.#waiting.push({ task, done })
    this.#start()
    while (this.#waiting.length >= MAX_WAITING) await this.#change()
  }

  async whenIdle(): Promise<void> {
    while (this.#waiting.length + this.#running > 0) await this.#change()
  }

  get runningCount(): number {
    return this.#running
  }

  /** Whoever waits gets this error. */
  fail(error: unknown): void {
    this.#failure ??= error
    this.#tell()
  }

  async end(): Promise<void> {
    await Promise.all(this.#all.map((worker) => worker.terminate()))
  }

  #start(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const worker = this.#idle.pop() as Worker
      const { task, done } = this.#waiting.shift()!
      this.#running++
      worker.once('message', (answer: Answer) => {
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
    if (this.#failure === undefined) await new Promise<void>((resolve) => this.#onChange.push(resolve))
    if (this.#failure !== undefined) throw this.#failure
  }

  #tell(): void {
    for (const resolve of this.#onChange.splice(0)) resolve()
  }
}
