import { createRequire, syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import type { Worker, WorkerOptions } from 'node:worker_threads'

export type InternalName = 'committer' | 'keeper'

/** What an internal worker is started from. */
export interface InternalStart {
  source: string
  options: WorkerOptions
}

const threads = createRequire(join(process.cwd(), 'package.json'))('node:worker_threads') as {
  Worker: typeof Worker
}
const started: { name: string; worker: Worker; start: InternalStart }[] = []
const RealWorker = threads.Worker
let alter: ((name: InternalName, start: InternalStart) => InternalStart) | undefined

threads.Worker = class NotedWorker extends RealWorker {
  constructor(source: string | URL, options?: WorkerOptions) {
    const name = internalName(options)
    let start = { source: source as string, options: options ?? {} }
    if (name !== undefined && alter !== undefined) start = alter(name, start)
    super(name === undefined ? source : start.source, name === undefined ? options : start.options)
    started.push({ name: options?.name ?? '', worker: this, start })
  }
}
// Imports of built-in modules are bound to what is exported now.
syncBuiltinESMExports()

function internalName(options: WorkerOptions | undefined): InternalName | undefined {
  if (options?.name === 'groupwal-committer') return 'committer'
  return options?.name === 'groupwal-keeper' ? 'keeper' : undefined
}

/** The internal worker that the log opened last has, which the log itself shows to nobody. */
export function internalWorker(name: InternalName): Worker {
  return lastStart(name).worker
}

/** From now on internal workers are started as `change` says. */
export function alterInternalWorkers(change: typeof alter): void {
  alter = change
}

/** Puts another one in the place of an internal worker that has died, though a log does no such thing. */
export function startInternalAgain(name: InternalName): Worker {
  const { source, options } = lastStart(name).start
  const worker = new RealWorker(source, options)
  started.push({ name: `groupwal-${name}`, worker, start: { source, options } })
  return worker
}

function lastStart(name: InternalName): (typeof started)[number] {
  return started.findLast((one) => one.name === `groupwal-${name}`)!
}
