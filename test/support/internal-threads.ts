import { createRequire, syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import type { Worker, WorkerOptions } from 'node:worker_threads'

const threads = createRequire(join(process.cwd(), 'package.json'))('node:worker_threads') as {
  Worker: typeof Worker
}
const started: { name: string; worker: Worker }[] = []
const RealWorker = threads.Worker

threads.Worker = class NotedWorker extends RealWorker {
  constructor(source: string | URL, options?: WorkerOptions) {
    super(source, options)
    started.push({ name: options?.name ?? '', worker: this })
  }
}
// Imports of built-in modules are bound to what is exported now.
syncBuiltinESMExports()

/** The internal worker that the log opened last has, which the log itself shows to nobody. */
export function internalWorker(name: 'committer' | 'keeper'): Worker {
  return started.findLast((one) => one.name === `groupwal-${name}`)!.worker
}
