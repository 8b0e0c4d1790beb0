import { type CommitContext, createViews } from '../../../src/commit/context.ts'
import { ProcLiveness, THREAD_GONE } from '../../../src/commit/liveness.ts'
import { attachHandle, type LogHandle } from '../../../src/host/handle.ts'

/** How far the newest record of a producer has come. */
export type Place = 'nothing' | 'reserved' | 'published'

/** A thread's part in a log. */
export interface Client {
  number: number
  thread: number
  startTicks: number
}

/** A look at a log's shared memory from outside of the protocol: nothing is changed. */
export class MemoryView {
  readonly #views: Pick<CommitContext, 'ring' | 'clients' | 'control'>
  readonly #liveness: ProcLiveness

  constructor(handle: LogHandle) {
    this.#views = createViews(attachHandle(handle))
    this.#liveness = new ProcLiveness()
  }

  /** Who in the log the worker thread is; undefined when it is not in it. */
  clientOf(threadId: number): Client | undefined {
    const { clients } = this.#views
    for (let number = 1; number <= clients.usedCount(); number++) {
      const thread = clients.threadOf(number)
      if (thread === 0 || clients.workerIdOf(number) !== threadId) continue
      return { number, thread, startTicks: clients.startTicksOf(number) }
    }
    return undefined
  }

  /** How many LSNs were handed out so far, modulo 2^32. */
  get handedOut(): number {
    return this.#views.ring.tailSequence()
  }

  /** What the client has done since `handedOut` was read, when nobody else has reserved anything meanwhile. */
  placeOf({ number }: Client, handedOut: number): Place {
    const { ring, clients } = this.#views
    if (ring.tailSequence() === handedOut) return 'nothing'
    return ring.reserverOf(clients.placePosition(number)) === number ? 'reserved' : 'published'
  }

  /** Has the client's thread ended? A thread that was terminated and lingers has not. */
  isGone({ thread, startTicks }: Client): boolean {
    return this.#liveness.threadState(thread, startTicks) === THREAD_GONE
  }

  /** Number of the segment that is written. */
  get segment(): number {
    return this.#views.control.segmentSequence()
  }
}
