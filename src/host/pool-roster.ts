import type { Worker } from 'node:worker_threads'
import { GroupWalError } from '../errors.ts'
import { load, notify, store, type Words, waitAsync } from '../shared/atomics.ts'
import { rebuildError } from './flat-error.ts'
import { ACKS, isStarted, noteEnded, type PoolWorkerReport, RETIRE } from './pool-worker.ts'

/** How long a worker that is to end may take to give back its producers. One that is busy is ended without. */
const LEAVE_MS = 1000

/** What the roster needs of its pool, and tells it. */
export interface RosterHost {
  threads(): Worker[]
  idleCount(): number
  /** A worker thread has ended; not expected: the pool did not end it. */
  ended(threadId: number, isExpected: boolean): void
  /** No worker is left, and none will come. */
  abandoned(error: GroupWalError): void
}

interface Member {
  /** Kept, because a Worker that has ended does not know it any more. */
  threadId: number
  /** Ended with the pool: nobody's loss. */
  isRetired: boolean
  /** Somebody called terminate(): piscina, or the application. */
  isEndAsked: boolean
  /** It was piscina: it has taken the worker from its list, and has another one instead. */
  isLetGo: boolean
  cause: unknown
}

/**
 * The workers of a pool, each from its start to its end. Piscina tells of neither in time: `workerCreate` comes when
 * a worker is ready, `workerDestroy` before it has ended, and one that fails to start is silently given up.
 */
export class PoolRoster {
  /** The pool is ending its workers. */
  isRetiring: boolean
  /** Why no task can be run any more. */
  startFailure: GroupWalError | undefined
  private readonly control: Words
  private readonly host: RosterHost
  private readonly members: Map<Worker, Member>
  private readonly startErrors: WeakSet<object>
  private left: Promise<void> | undefined

  constructor(control: Words, host: RosterHost) {
    this.isRetiring = false
    this.startFailure = undefined
    this.control = control
    this.host = host
    this.members = new Map()
    this.startErrors = new WeakSet()
    this.left = undefined
  }

  /** Takes in the workers that are new. Called whenever piscina may have made some; their first event comes later. */
  adopt(): void {
    const threads = this.host.threads()
    for (const worker of threads) if (!this.members.has(worker)) this.adoptWorker(worker)
    if (threads.length === 0 && this.startFailure !== undefined) this.host.abandoned(this.startFailure)
  }

  noteReport({ failure }: PoolWorkerReport): void {
    this.fail(failure)
  }

  /** Was this error the death of a worker that had not started? */
  isStartError(error: unknown): boolean {
    return typeof error === 'object' && error !== null && this.startErrors.has(error)
  }

  /** Resolves when no thread is left. Piscina does not wait for those that it has let go. */
  async allEnded(): Promise<void> {
    const threads = [...this.members.keys()]
    await Promise.all(threads.map((worker) => new Promise((resolve) => worker.once('exit', resolve))))
  }

  private adoptWorker(worker: Worker): void {
    const member: Member = {
      threadId: worker.threadId,
      isRetired: false,
      isEndAsked: false,
      isLetGo: false,
      cause: undefined,
    }
    this.members.set(worker, member)
    const muffle = muffler(worker)
    // First in line: piscina's own listener passes the error on, and we must know by then what it is.
    worker.prependListener('error', (error: unknown) => {
      member.cause = error
      if (this.hasStarted(member) || member.isRetired || member.isLetGo) return
      if (typeof error === 'object' && error !== null) this.startErrors.add(error)
      this.fail(error)
    })
    worker.prependListener('exit', (code: number) => this.onExit(worker, member, code))
    const terminate = worker.terminate.bind(worker)
    worker.terminate = () => {
      if (this.isRetiring) {
        member.isRetired = true
        return this.whenLeft().then(terminate)
      }
      member.isEndAsked = true
      // Piscina ends a worker whose task was aborted, and takes it from its list in this turn. An application that
      // calls terminate() itself leaves it there, and piscina must hear of the exit.
      queueMicrotask(() => {
        if (this.host.threads().includes(worker)) return
        member.isLetGo = true
        muffle()
      })
      return terminate()
    }
  }

  private onExit(worker: Worker, member: Member, code: number): void {
    this.members.delete(worker)
    const hasStarted = this.hasStarted(member)
    noteEnded(this.control, member.threadId)
    // A listener of the application's that throws is not to keep this, and piscina, from the rest.
    queueMicrotask(() => this.host.ended(member.threadId, member.isRetired))
    if (hasStarted || member.isRetired || member.isLetGo) return
    const cause = member.cause ?? new Error(`the worker exited with code ${code} before it was ready`)
    if (!member.isEndAsked) this.fail(cause)
    // Piscina may yet start another one, in this turn. When it has none then, what waits would wait for ever.
    queueMicrotask(() => {
      if (this.host.threads().length === 0) this.fail(cause)
      this.adopt()
    })
  }

  private hasStarted(member: Member): boolean {
    return isStarted(this.control, member.threadId)
  }

  private fail(cause: unknown): void {
    const error = rebuildError(cause)
    const why = error instanceof Error ? error.message : String(error)
    this.startFailure ??= new GroupWalError(
      'GROUPWAL_WORKER_START',
      `a worker of the pool could not start: ${why}`,
      {
        cause: error,
      },
    )
  }

  /** Asks the workers to give back their producers; resolves when the idle ones have, at the latest after LEAVE_MS. */
  private whenLeft(): Promise<void> {
    this.left ??= this.askToLeave(Math.min(this.host.idleCount(), this.startedCount())).finally(() => {
      this.left = undefined
    })
    return this.left
  }

  private startedCount(): number {
    let count = 0
    for (const member of this.members.values()) if (this.hasStarted(member)) count++
    return count
  }

  private async askToLeave(count: number): Promise<void> {
    store(this.control, ACKS, 0)
    store(this.control, RETIRE, 1)
    notify(this.control, RETIRE, Number.POSITIVE_INFINITY)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<true>((resolve) => {
      timer = setTimeout(resolve, LEAVE_MS, true)
    })
    for (let acks = load(this.control, ACKS); acks < count; acks = load(this.control, ACKS)) {
      const changed = waitAsync(this.control, ACKS, acks)
      if (changed !== undefined && (await Promise.race([changed, late])) === true) break
    }
    clearTimeout(timer)
  }
}

/**
 * What keeps a worker's errors and its exit from piscina, for when piscina has let it go: of one that was not ready
 * it would take either for a failure to start, and from then on replace no worker that dies.
 */
function muffler(worker: Worker): () => void {
  // Piscina's listeners are the first: it set them as it made the worker, before anyone else could.
  const [onError] = worker.listeners('error')
  const [onExit] = worker.listeners('exit')
  return () => {
    if (onError !== undefined) worker.off('error', onError as (error: unknown) => void)
    if (onExit !== undefined) worker.off('exit', onExit as (code: number) => void)
  }
}
