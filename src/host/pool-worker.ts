import { createRequire, syncBuiltinESMExports } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import workerThreads from 'node:worker_threads'
import { add, compareExchange, load, notify, store, type Words, waitAsync } from '../shared/atomics.ts'
import { flattenError } from './flat-error.ts'
import type { LogHandle } from './handle.ts'
import { joinPool, type PoolMembership } from './pool-membership.ts'

/** What the pool sends to each of its workers as workerData. */
export interface PoolWorkerData {
  readonly groupwalPool: 1
  readonly handle: LogHandle
  /** The application's own workerData. */
  readonly user: unknown
  readonly filename: string
  readonly name: string
  /** Words shared by the pool: RETIRE, ACKS, and which threads have started. */
  readonly control: Words
}

/** One task, as the pool sends it. */
export interface PoolTask {
  readonly task: unknown
  readonly filename: string | undefined
  readonly name: string | undefined
}

/** Why a worker never will be ready. */
export interface PoolWorkerReport {
  readonly groupwalPool: 1
  readonly failure: unknown
}

/** Not 0: the pool is about to end its workers. */
export const RETIRE = 0
/** How many workers have given back their producers. */
export const ACKS = 1

/** How many workers a pool may have. */
export const MAX_THREADS = 1000

/**
 * From here on the numbers of the threads whose file is loaded, in no order; 0: free. Whole numbers and no bit for
 * each, because two threads would come to share one: a process may start any number of threads.
 */
const STARTED = 2
/** Twice as many as can be at work: those that were ended, and replaced, stay until their thread is gone. */
const STARTED_WORDS = 2 * MAX_THREADS

/** Memory for the words of a pool: all are 0. */
export function allocateControl(): Words {
  return new Int32Array(new SharedArrayBuffer((STARTED + STARTED_WORDS) * 4))
}

/** Called by the worker, maybe before the pool has taken it in. */
export function noteStarted(control: Words, threadId: number): void {
  for (let index = STARTED; index < control.length; index++) {
    if (compareExchange(control, index, 0, threadId)) return
  }
}

/** Told by memory and not by a message: a message may come after the answer to the worker's first task. */
export function isStarted(control: Words, threadId: number): boolean {
  return findStarted(control, threadId) !== undefined
}

/** The thread is gone: its word is free for another one. */
export function noteEnded(control: Words, threadId: number): void {
  const index = findStarted(control, threadId)
  if (index !== undefined) store(control, index, 0)
}

function findStarted(control: Words, threadId: number): number | undefined {
  for (let index = STARTED; index < control.length; index++) {
    if (load(control, index) === threadId) return index
  }
  return undefined
}

type Handler = (task: unknown) => unknown
type Exports = Record<string, unknown>

/**
 * What a worker of a pool does before the application's file is loaded, and around each of its tasks. Resolves with
 * the function that piscina calls; a file that cannot be loaded makes that function tell so, because a worker that
 * dies instead would be replaced in vain.
 */
export async function startPoolWorker(): Promise<(task: PoolTask) => Promise<unknown>> {
  const { handle, user, filename, name, control } = workerThreads.workerData as PoolWorkerData
  restoreWorkerData(user)
  const membership = joinPool(handle)
  leaveWhenRetired(membership, control)
  const modules = new Map<string, Promise<Exports>>()
  const loadFile = (file: string): Promise<Exports> => {
    const loading = modules.get(file) ?? import(pathToFileURL(resolve(file)).href)
    modules.set(file, loading)
    return loading
  }
  const startFailure = await loadFile(filename).then(
    () => undefined,
    (error: unknown) => ({ error: flattenError(error) }),
  )
  const { threadId, parentPort } = workerThreads
  const report: PoolWorkerReport | undefined = startFailure && {
    groupwalPool: 1,
    failure: startFailure.error,
  }
  if (report === undefined) noteStarted(control, threadId)
  else parentPort?.postMessage(report)
  return async ({ task, filename: file = filename, name: exported = name }) => {
    // The answer may come before the message: so it tells the same.
    if (report !== undefined) throw report
    try {
      const handler = await findHandler(await loadFile(file), exported)
      if (handler === undefined) throw new TypeError(`${file} exports no function named ${exported}`)
      return await handler(task)
    } catch (error) {
      throw flattenError(error)
    }
  }
}

/** The application finds its own workerData in all three places where it may look. */
function restoreWorkerData(user: unknown): void {
  ;(workerThreads as { workerData: unknown }).workerData = user
  syncBuiltinESMExports()
  // Piscina.workerData. Whoever asks for it later has the module instance that this thread was started with.
  for (const module of Object.values(createRequire(process.execPath).cache)) {
    const state = (
      module?.exports as { commonState?: { isWorkerThread?: unknown; workerData?: unknown } } | undefined
    )?.commonState
    if (state?.isWorkerThread === true) state.workerData = user
  }
}

/** An orderly end gives back the places in the log, so that nothing need be taken over. */
function leaveWhenRetired(membership: PoolMembership, control: Words): void {
  const leave = (): void => {
    for (const producer of membership.producers) producer.close()
    add(control, ACKS, 1)
    notify(control, ACKS, 1)
  }
  const retired = waitAsync(control, RETIRE, 0)
  if (retired === undefined) leave()
  else void retired.then(leave)
}

/** The function that piscina would take: the module itself, its default export, or the one that is named. */
async function findHandler(exports: Exports, name: string): Promise<Handler | undefined> {
  const cjs = exports.default as Exports | undefined
  const candidates = name === 'default' ? [cjs, cjs?.default] : [exports[name], cjs?.[name], cjs]
  for (const candidate of candidates) {
    // An export may be a promise of the function.
    const handler = await candidate
    if (typeof handler === 'function') return handler as Handler
  }
  return undefined
}
