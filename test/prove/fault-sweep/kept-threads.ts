// The committer and the segment-keeper of one log after the other in threads that stay: to start and to end them took
// more than half of the processor time of a run. They run the same embedded source, evaluated anew for each log, so
// that nothing of a log is left to the next one. One that dies of an error does so as it always does.

import { EventEmitter } from 'node:events'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { MessageChannel, type MessagePort, type Worker, type WorkerOptions } from 'node:worker_threads'

/**
 * What a thread that stays runs. The source of an internal worker finds its own `workerData` and `parentPort`; it has
 * ended, as its thread would, when it has returned and its port, if it listens to that, is closed.
 */
const LOOP = `'use strict'
const threads = require('node:worker_threads')
const { constants, Script } = require('node:vm')
const { parentPort, workerData: source } = threads
const wrapped = new Script('(function (require) {' + source + '\\n})', {
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
}).runInThisContext()
parentPort.on('message', ({ workerData, port }) => {
  const own = { ...threads, workerData, parentPort: port }
  const end = () => parentPort.postMessage('ended')
  port.once('close', end)
  wrapped((name) => (name === 'node:worker_threads' ? own : require(name)))
  if (port.listenerCount('message') === 0) port.close()
})
`

const builtin = createRequire(join(process.cwd(), 'package.json'))('node:worker_threads') as {
  Worker: typeof Worker
}
const RealWorker = builtin.Worker
/** Threads that have nothing to do, by their names. */
const idle = new Map<string, Worker[]>()

/** In the place of a Worker: as much of one as a log asks for. */
class KeptThread extends EventEmitter {
  readonly #port: MessagePort

  constructor(source: string, name: string, workerData: unknown) {
    super()
    const thread =
      idle.get(name)?.pop() ??
      new RealWorker(LOOP, {
        eval: true,
        execArgv: [],
        env: {},
        workerData: source,
        name,
      })
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    port1.on('message', (message) => this.emit('message', message))
    const onError = (error: Error): boolean => this.emit('error', error)
    const onExit = (code: number): boolean => this.emit('exit', code)
    thread.once('error', onError).once('exit', onExit)
    thread.once('message', () => {
      thread.off('error', onError).off('exit', onExit)
      idle.set(name, [...(idle.get(name) ?? []), thread])
      this.emit('exit', 0)
    })
    thread.postMessage({ workerData, port: port2 }, [port2])
    thread.unref()
  }

  postMessage(message: unknown): void {
    this.#port.postMessage(message)
  }

  /** The process is held by its channel to the parent. */
  ref(): void {}

  unref(): void {}
}

/** From here on, in this process, for the logs for which `isWanted` says so; all others start their threads. */
export function keepInternalThreads(isWanted: () => boolean): void {
  builtin.Worker = new Proxy(RealWorker, {
    construct(target, [source, options]: [string | URL, WorkerOptions | undefined], newTarget): object {
      const name = options?.name
      const isInternal = name === 'groupwal-committer' || name === 'groupwal-keeper'
      return isInternal && isWanted()
        ? new KeptThread(source as string, name, options?.workerData)
        : Reflect.construct(target, [source, options], newTarget)
    },
  })
  // Imports of built-in modules are bound to what is exported now.
  syncBuiltinESMExports()
}
