// Explores one recorded run after the other.

import { type MessagePort, parentPort } from 'node:worker_threads'
import { makeThreadCheap } from '../support/shared-buffers.ts'
import { type CrashFailure, type ExploreOptions, Explorer, type Tally } from './explore.ts'
import type { RecordedRun } from './recorded-run.ts'

export interface ExploreTask {
  run: RecordedRun
  options: ExploreOptions
}

export interface ExploreAnswer {
  tally: Tally
  failure: CrashFailure | undefined
  /** How long it took. */
  ms: number
}

makeThreadCheap()
const port = parentPort as MessagePort
port.on('message', ({ run, options }: ExploreTask) => {
  const startedMs = Date.now()
  const explorer = new Explorer(run, options)
  explorer.explore()
  const { tally, failure } = explorer
  port.postMessage({ tally, failure, ms: Date.now() - startedMs } satisfies ExploreAnswer)
})
