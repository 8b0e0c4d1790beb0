import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Piscina } from 'piscina'
import { MAX_THREADS } from './pool-worker.ts'
import { checkInteger, describe } from './record-input.ts'

type PiscinaOptions = NonNullable<ConstructorParameters<typeof Piscina>[0]>
type PiscinaRunOptions = NonNullable<Parameters<Piscina['run']>[1]>

/** What the pool decides by itself: piscina's defaults end idle workers, or freeze the event loop of waiting ones. */
const OWN_OPTIONS = ['atomics', 'minThreads', 'idleTimeout'] as const

const WHY: Record<(typeof OWN_OPTIONS)[number], string> = {
  atomics: 'any other value stops the event loop of an idle worker, and pending commits with it',
  minThreads: 'all workers are kept, so give maxThreads',
  idleTimeout: 'a worker that ends takes its producer with it',
}

/** As in piscina. */
const CLOSE_TIMEOUT_MS = 30_000

/** Options of piscina, but for those that a pool of producers must set itself. */
export interface ProducerPoolOptions extends Omit<PiscinaOptions, 'filename' | (typeof OWN_OPTIONS)[number]> {
  /** The file whose exported function runs the tasks: a path or a `file:` URL, ES module or CommonJS. */
  filename: string | URL
  /** How many workers, all from the beginning: 1 to 1000. Default: as many as there are processors. */
  maxThreads?: number
  /** How many milliseconds close() waits for the tasks; `Infinity` or 2 ** 31: without end. Default 30000. */
  closeTimeout?: number
}

/** Options of piscina's `run`; the file may be a URL here, too. */
export interface PoolRunOptions extends Omit<PiscinaRunOptions, 'filename'> {
  filename?: string | URL | null
}

export function checkPoolOptions(options: ProducerPoolOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`options must be an object with a filename, got ${describe(options)}`)
  }
  for (const name of OWN_OPTIONS) {
    if ((options as PiscinaOptions)[name] !== undefined) {
      throw new TypeError(`the option ${name} is set by createProducerPool: ${WHY[name]}`)
    }
  }
}

/** @param what the name of the option, for the error */
export function pathOf(filename: unknown, what: string): string {
  if (filename instanceof URL) return fileURLToPath(filename)
  if (typeof filename !== 'string' || filename === '') {
    throw new TypeError(`${what} must be a path or a file: URL, got ${describe(filename)}`)
  }
  return filename.startsWith('file:') ? fileURLToPath(filename) : resolve(filename)
}

export function checkName(name: unknown): string {
  if (typeof name !== 'string') throw new TypeError(`name must be a string, got ${describe(name)}`)
  return name
}

export function checkThreads(maxThreads: unknown): number {
  if (maxThreads === undefined) return Math.min(availableParallelism(), MAX_THREADS)
  return checkInteger('maxThreads', maxThreads, MAX_THREADS, 1)
}

/** In milliseconds. */
export function checkCloseTimeout(closeTimeout: unknown): number {
  if (closeTimeout === undefined) return CLOSE_TIMEOUT_MS
  if (typeof closeTimeout !== 'number') {
    throw new TypeError(`closeTimeout must be a number, got ${describe(closeTimeout)}`)
  }
  if (!(closeTimeout >= 0)) throw new RangeError(`closeTimeout must be 0 or more, got ${closeTimeout}`)
  return closeTimeout
}

/** The option `force` of close(). */
export function checkForce(options: unknown): boolean {
  if (typeof options !== 'object' || options === null) throw new TypeError('options must be an object')
  const { force } = options as { force?: unknown }
  if (force === undefined || typeof force === 'boolean') return force === true
  throw new TypeError(`force must be a boolean, got ${describe(force)}`)
}
