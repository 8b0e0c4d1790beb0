import { isMainThread } from 'node:worker_threads'
import type { CommitContext } from '../commit/context.ts'
import { THREAD_GONE } from '../commit/liveness.ts'
import { GroupWalError } from '../errors.ts'
import { waitAsync } from '../shared/atomics.ts'
import { CLIENT_PRODUCER } from '../shared/clients.ts'
import { PHASE_CLOSED, PHASE_POISONED, PHASE_RESUMING, PHASE_SETTLED } from '../shared/phase.ts'
import { SLOT_WRITING, slotState } from '../shared/slots.ts'
import { failureCause } from './failure.ts'

/** How often the threads of some producers are looked at. For show: who waits for a dead one looks for itself. */
const DEATHS_CHECK_MS = 500
/** So many at a time: a look takes some ten microseconds, and there may be a thousand. */
const DEATHS_CHECKED = 32

/** Whom the health of a log is told to. */
export interface HealthListener {
  stalled(lastsMs: number): void
  failed(error: Error): void
  producerDied(client: number, workerId: number): void
}

/** Watches an open log for the thread that opened it: writes that last, the failure of the log, producers that die. */
export class Health {
  readonly #context: CommitContext
  readonly #stallWarnMs: number
  readonly #listener: HealthListener
  readonly #timers: NodeJS.Timeout[]
  #stalledFrame: number | undefined
  #isFailureTold: boolean
  /** By client, the workers whose threads were gone at the last look. */
  #goneWorkers: Map<number, number>
  #lastLooked: number

  constructor(context: CommitContext, stallWarnMs: number, listener: HealthListener) {
    this.#context = context
    this.#stallWarnMs = stallWarnMs
    this.#listener = listener
    this.#stalledFrame = undefined
    this.#isFailureTold = false
    this.#goneWorkers = new Map()
    this.#lastLooked = 0
    this.#timers = [
      setInterval(() => this.#lookForStall(), Math.max(10, stallWarnMs / 2)),
      setInterval(() => this.#lookForDeaths(), DEATHS_CHECK_MS),
    ]
    // A worker thread whose end would leave the log without its lock stays until close().
    if (isMainThread) for (const timer of this.#timers) timer.unref()
    this.#listenForFailure()
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer)
  }

  get hasFailed(): boolean {
    const phase = this.#context.phases.phase()
    return phase === PHASE_POISONED || phase === PHASE_SETTLED || phase === PHASE_RESUMING
  }

  /** The log may fail again before this thread's next turn, which then sees one failed log after another. */
  noteResumed(): void {
    this.#isFailureTold = false
  }

  /** Once the log is closed, nobody could tell that it had failed. Not at once: a listener may call close(). */
  tellFailureBeforeClose(): void {
    if (this.#isFailureTold) return
    this.#isFailureTold = true
    queueMicrotask(() => this.#tellFailure())
  }

  /** A worker thread has ended: each of its producers is told of, once, unless its end was meant. */
  noteWorkerExit(workerId: number, isExpected: boolean): void {
    const { clients } = this.#context
    for (let client = 1; client <= clients.usedCount(); client++) {
      if (clients.threadOf(client) === 0 || clients.workerIdOf(client) !== workerId) continue
      this.#noteDeath(client, workerId, isExpected)
    }
  }

  #noteDeath(client: number, workerId: number, isExpected: boolean): void {
    const { clients } = this.#context
    // The main thread ends with the process only.
    if (workerId === 0 || clients.isReportedDead(client)) return
    clients.reportDead(client, workerId)
    if (!isExpected) this.#listener.producerDied(client, workerId)
  }

  /** Threads that nobody tells of: those that `exit` events tell of, which may be meant, have come by the second look. */
  #lookForDeaths(): void {
    const { clients } = this.#context
    const used = clients.usedCount()
    const gone = new Map<number, number>()
    const looked = new Set(this.#goneWorkers.keys())
    for (let count = 0; count < Math.min(used, DEATHS_CHECKED); count++) {
      this.#lastLooked = (this.#lastLooked % used) + 1
      looked.add(this.#lastLooked)
    }
    for (const client of looked) {
      // Read first: another thread may be taking the line, and what is reported then says nothing about that one.
      const workerId = clients.workerIdOf(client)
      if (!this.#isDeadProducer(client)) continue
      if (this.#goneWorkers.get(client) === workerId) this.#noteDeath(client, workerId, false)
      else gone.set(client, workerId)
    }
    this.#goneWorkers = gone
  }

  #isDeadProducer(client: number): boolean {
    const { clients, liveness } = this.#context
    const thread = clients.threadOf(client)
    if (thread <= 0 || clients.kindOf(client) !== CLIENT_PRODUCER || clients.isReportedDead(client))
      return false
    return liveness.threadState(thread, clients.startTicksOf(client)) === THREAD_GONE
  }

  #lookForStall(): void {
    const { slots, control, clock } = this.#context
    const frame = control.publishedCount()
    if (frame === control.stagedCount() || frame === this.#stalledFrame) return
    if (slotState(slots.stateWord(frame)) !== SLOT_WRITING) return
    const lastsMs = Math.floor(clock.monotonicMs()) - slots.startedMs(frame)
    if (lastsMs < this.#stallWarnMs) return
    this.#stalledFrame = frame
    this.#listener.stalled(lastsMs)
  }

  /** Waits for the phase to change, without holding the process, and tells when the log fails. */
  #listenForFailure(): void {
    const { phases } = this.#context
    const word = phases.phaseWord()
    const phase = phases.phase()
    // Told once, also when a resume is refused: the log has not come back in between.
    const { hasFailed } = this
    const isNews = hasFailed && !this.#isFailureTold
    this.#isFailureTold = hasFailed
    try {
      if (isNews) this.#tellFailure()
    } finally {
      // Whatever a listener does: the log may be resumed, and fail again.
      if (phase !== PHASE_CLOSED) this.#listenOn(word)
    }
  }

  #listenOn(phaseWord: number): void {
    const { phases, memory } = this.#context
    const changed = waitAsync(memory.words, phases.phaseIndex(), phaseWord)
    if (changed === undefined) this.#listenForFailure()
    else void changed.then(() => this.#listenForFailure())
  }

  #tellFailure(): void {
    const cause = failureCause(this.#context.phases)
    this.#listener.failed(
      new GroupWalError('GROUPWAL_COMMIT_FAILED', `the log has failed: ${cause.message}`, { cause }),
    )
  }
}
