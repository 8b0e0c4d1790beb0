import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { Log, LogHandle } from '../../../src/index.ts'
import type { SyncMethod } from '../../../src/storage/sync-method.ts'
import type { Random } from '../../support/random.ts'
import type { KnowledgeJson } from './knowledge.ts'
import producerUrl from './producer.worker.ts?url'
import { FAIL, RECORDER_MODULE, WORDS } from './recorder.ts'
import { openTinyLog } from './tiny-log.ts'
import { allocateTrace, idOf, type TraceMemory, TraceWriter, USER_EVENTS } from './trace.ts'

/** One call of a producer. */
export interface ProducerOperation {
  kind: 'sync' | 'batch' | 'batchPromise' | 'append' | 'promises' | 'flush'
  operation: number
  firstId: number
  /** Payload bytes of each record. */
  sizes: number[]
}

export interface ProducerData {
  handle: LogHandle
  memory: TraceMemory
  number: number
}

/** How a log is run. */
export interface RunSpec {
  name: string
  method: SyncMethod
  slots: number
  segmentBytes: number
  steps: readonly RunStep[]
}

/** A part of a run: some operations of each producer at the same time, or something that the host does. */
export type RunStep = 'commits' | 'singles' | 'appends' | 'truncate' | 'idle' | 'reopen' | keyof typeof FAIL

/** A run as it was noted. */
export interface RecordedRun extends Omit<RunSpec, 'steps'> {
  numbers: Float64Array
}

/** Where a run begins. */
export interface RunStart {
  /** What stands in the log's directory; undefined when there is none. */
  files: ReadonlyMap<string, Uint8Array> | undefined
  /** What users know of it. */
  knowledge: KnowledgeJson
}

const PRODUCERS = 3
const IDLE_MS = 12
/** Payload bytes: within one sector with its frame, a few sectors, a block, more than one. */
const SIZES: readonly number[] = [4, 40, 40, 200, 600, 600, 1500, 3900, 5200]

/** Runs a log on the real disk, with real threads, and notes what it does to the disk. */
export async function recordRun(
  spec: RunSpec,
  directory: string,
  random: Random,
  start?: RunStart,
): Promise<RecordedRun> {
  const run = new Run(spec, directory, random, start)
  try {
    await run.begin()
    for (const step of spec.steps) await run.take(step)
    await run.closeLog()
  } finally {
    await run.end()
  }
  const { steps: _, ...rest } = spec
  return { ...rest, numbers: run.trace.take() }
}

class Run {
  readonly trace: TraceWriter
  readonly #spec: RunSpec
  readonly #directory: string
  readonly #random: Random
  readonly #memory: TraceMemory = allocateTrace()
  readonly #words: Int32Array
  #log: Log | undefined
  #producers: Worker[] = []
  #nextId: number
  #nextOperation: number

  constructor(spec: RunSpec, directory: string, random: Random, start: RunStart | undefined) {
    this.#spec = spec
    this.#directory = directory
    this.#random = random
    this.#words = new Int32Array(this.#memory.control)
    this.trace = new TraceWriter(this.#memory)
    this.trace.note(USER_EVENTS.directory, [start?.files === undefined ? 0 : 1], Buffer.from(directory))
    for (const [name, content] of start?.files ?? []) {
      this.trace.note(
        USER_EVENTS.file,
        [Buffer.byteLength(name)],
        Buffer.concat([Buffer.from(name), content]),
      )
    }
    const records = start?.knowledge.records ?? []
    this.#nextId = 1 + Math.max(0, ...records.map(({ id }) => id))
    this.#nextOperation = 1 + Math.max(0, ...records.map(({ operation }) => operation))
    if (start !== undefined) {
      this.trace.note(USER_EVENTS.knowledge, [], Buffer.from(JSON.stringify(start.knowledge)))
    }
  }

  async begin(): Promise<void> {
    this.trace.note(USER_EVENTS.begin)
    Atomics.store(this.#words, WORDS.overlaps, this.#spec.slots > 1 ? 1 : 0)
    await this.#open()
  }

  async take(step: RunStep): Promise<void> {
    const log = this.#log as Log
    if (step === 'commits') await this.#operate(() => this.#randomCommits())
    else if (step === 'singles') await this.#operate((number) => this.#singleCommits(number))
    else if (step === 'appends') await this.#operate(() => this.#randomAppends())
    else if (step === 'idle') await delay(IDLE_MS)
    else if (step === 'truncate') {
      const lsn = Math.max(1, log.durableLsn - this.#random.int(8))
      this.trace.note(USER_EVENTS.truncateBefore, [lsn])
      await log.truncateBefore(lsn)
    } else if (step === 'reopen') {
      await this.closeLog()
      await this.#open()
    } else {
      Atomics.store(this.#words, WORDS.failIn, 1 + this.#random.int(4))
      Atomics.store(this.#words, WORDS.failHow, this.#failHow(step))
      await this.#operate(() => this.#randomCommits())
      // Nobody met it: the commits went in fewer frames.
      while (Atomics.load(this.#words, WORDS.failHow) !== 0) await this.#operate(() => this.#randomCommits())
      await this.#resume(log)
      this.trace.note(USER_EVENTS.resumed)
    }
  }

  async closeLog(): Promise<void> {
    for (const worker of this.#producers) {
      const exited = new Promise((resolve) => worker.once('exit', resolve))
      worker.postMessage(undefined)
      await exited
    }
    this.#producers = []
    await this.#log?.close()
    this.#log = undefined
  }

  /** Leaves no thread behind, whatever happened. */
  async end(): Promise<void> {
    await Promise.all(this.#producers.map((worker) => worker.terminate()))
    await this.#log?.close().catch(() => {})
  }

  async #open(): Promise<void> {
    const { segmentBytes, method, slots } = this.#spec
    const fileSystem = { module: RECORDER_MODULE, data: this.#memory }
    const log = await openTinyLog(this.#directory, { segmentBytes, method, slots, fileSystem })
    this.#log = log
    const returned: number[] = []
    for (const { lsn, payload } of log.read()) returned.push(lsn, idOf(payload))
    this.trace.note(USER_EVENTS.recovered, returned)
    for (let number = 0; number < PRODUCERS; number++) this.#producers.push(this.#startProducer(number))
    await Promise.all(this.#producers.map((worker) => answerOf(worker)))
  }

  #startProducer(number: number): Worker {
    const workerData: ProducerData = { handle: this.#log!.handle, memory: this.#memory, number }
    return new Worker(producerUrl, { workerData })
  }

  async #operate(plan: (number: number) => ProducerOperation[]): Promise<void> {
    const answers = this.#producers.map((worker) => answerOf(worker))
    for (const [number, worker] of this.#producers.entries()) worker.postMessage(plan(number))
    await Promise.all(answers)
  }

  /** The call has failed; that the log has shows a little later. */
  async #resume(log: Log): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await log.resume()
        return
      } catch (error) {
        if ((error as { code?: string }).code !== 'GROUPWAL_RESUME_REFUSED' || attempt === 100) throw error
        await delay(5)
      }
    }
  }

  #failHow(step: keyof typeof FAIL): number {
    // One call does both, then.
    return this.#spec.method === 'dsync' && step === 'sync' ? FAIL.written : FAIL[step]
  }

  #randomCommits(): ProducerOperation[] {
    const random = this.#random
    return Array.from({ length: 1 + random.int(2) }, () => {
      const kind = (['sync', 'sync', 'batch', 'batchPromise', 'promises'] as const)[random.int(5)]
      return this.#operation(kind, kind === 'sync' ? 1 : 2 + random.int(2))
    })
  }

  /** Of two producers only: with two slots their frames are written at the same time. */
  #singleCommits(number: number): ProducerOperation[] {
    return Array.from({ length: number < 2 ? 5 : 0 }, () => this.#operation('sync', 1))
  }

  #randomAppends(): ProducerOperation[] {
    const operations = Array.from({ length: 2 }, () => this.#operation('append', 1))
    if (this.#random.chance(0.5)) operations.push(this.#operation('flush', 0))
    return operations
  }

  #operation(kind: ProducerOperation['kind'], recordCount: number): ProducerOperation {
    const sizes = Array.from({ length: recordCount }, () => this.#randomSize(recordCount))
    const firstId = this.#nextId
    const operation = this.#nextOperation
    this.#nextId += recordCount
    // Each promise is an operation of its own.
    this.#nextOperation += kind === 'promises' ? recordCount : 1
    return { kind, operation, firstId, sizes }
  }

  #randomSize(recordCount: number): number {
    const limit = recordCount > 1 ? SIZES.length - 2 : SIZES.length
    return SIZES[this.#random.int(limit)]
  }
}

function answerOf(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void): void => {
      worker.removeAllListeners('message').removeAllListeners('error')
      end()
    }
    worker.once('message', (answer) => settle(() => resolve(answer)))
    worker.once('error', (error) => settle(() => reject(error)))
  })
}
