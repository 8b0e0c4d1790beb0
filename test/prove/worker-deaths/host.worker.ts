// The thread that opens the log and owns every other one. Told what to do by host.ts; it can be made to leave its event
// loop alone for as long as the other side wants.

import { once } from 'node:events'
import { parentPort, type ResourceLimits, Worker, workerData } from 'node:worker_threads'
import { type Log, openLog } from '../../../src/index.ts'
import { alterInternalWorkers, internalWorker, startInternalAgain } from '../../support/internal-threads.ts'
import { contentOf } from '../../support/log-content.ts'
import actorUrl from './actor.worker.ts?url'
import { nowMs } from './clock.ts'
import {
  type Block,
  HOST_WORDS,
  type HostCalls,
  type HostData,
  type HostRequest,
  type Target,
} from './host-calls.ts'
import { fingerprintsOf } from './ledger.ts'

/** Runs before an internal worker's own code, so that its operations of 64 bits are trapped, too. */
const PRELUDE = `'use strict'
{
  const { workerData } = require('node:worker_threads')
  const traps = workerData.fileSystem.data.NAME
  require(traps.module).installTraps(traps)
}
`

const { words, traps, resourceLimits } = workerData as HostData
const actors = new Map<number, Worker>()
let log: Log

alterInternalWorkers((name, { source, options }) => ({
  source: PRELUDE.replace('NAME', name) + source,
  options: resourceLimits === undefined ? options : { ...options, resourceLimits },
}))

const calls: { [Name in keyof HostCalls]: (...args: Parameters<HostCalls[Name]>) => unknown } = {
  async open(directory, options) {
    log = await openLog(directory, { ...options, fileSystem: { ...options.fileSystem!, data: traps } })
    for (const name of ['committer', 'keeper'] as const) watch(name, internalWorker(name))
    return log.handle
  },
  startActor(id, port, actorTraps, limits) {
    const data = { handle: log.handle, traps: actorTraps, port }
    const worker = new Worker(actorUrl, { workerData: data, transferList: [port], ...resourcesOf(limits) })
    actors.set(id, worker)
    watch(id, worker)
    return worker.threadId
  },
  terminate(target, block) {
    const atMs = nowMs()
    void workerOf(target).terminate()
    if (block !== undefined) blockAs(block)
    return atMs
  },
  block: (block) => blockAs(block),
  async startAgain(name) {
    const worker = startInternalAgain(name)
    watch(name, worker)
    await once(worker, 'online')
    return worker.threadId
  },
  drop(beforeLsn) {
    // The log asks only the keeper that it has started itself.
    const keeper = internalWorker('keeper')
    keeper.postMessage({ id: 0, beforeLsn, keepSpares: 0 })
    return new Promise<void>((resolve) => {
      const settle = (): void => {
        keeper.off('message', settle)
        keeper.off('exit', settle)
        resolve()
      }
      keeper.on('message', settle)
      keeper.on('exit', settle)
    })
  },
  threadIds: () => ({
    committer: internalWorker('committer').threadId,
    keeper: internalWorker('keeper').threadId,
  }),
  stats: () => log.stats(),
  content: () => fingerprintsOf(contentOf(log)),
  close: () => log.close(),
}

function resourcesOf(limits: ResourceLimits | undefined): { resourceLimits?: ResourceLimits } {
  return limits === undefined ? {} : { resourceLimits: limits }
}

function workerOf(target: Target): Worker {
  return typeof target === 'number' ? actors.get(target)! : internalWorker(target)
}

function watch(target: Target, worker: Worker): void {
  let message: string | undefined
  worker.on('error', (error: Error) => {
    message = error.message
  })
  worker.once('exit', () => {
    if (typeof target === 'number') actors.delete(target)
    parentPort!.postMessage({ ended: target, message })
  })
}

function blockAs(block: Block): void {
  const gate = Atomics.load(words, HOST_WORDS.gate)
  Atomics.store(words, HOST_WORDS.blocked, 1)
  Atomics.notify(words, HOST_WORDS.blocked)
  if (block === 'waits') Atomics.wait(words, HOST_WORDS.gate, gate)
  else while (Atomics.load(words, HOST_WORDS.gate) === gate);
  Atomics.store(words, HOST_WORDS.blocked, 0)
}

parentPort!.on('message', async ({ id, method, args }: HostRequest) => {
  try {
    const value = await (calls[method] as (...values: unknown[]) => unknown)(...args)
    parentPort!.postMessage({ id, value })
  } catch (error) {
    parentPort!.postMessage({ id, error: (error as Error).stack })
  }
})
