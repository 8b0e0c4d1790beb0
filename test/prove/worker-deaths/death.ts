import type { StepTraps } from '../../support/step-traps.ts'
import type { Actor, ActorReply } from './actor.ts'
import { Hang, nowMs, within } from './clock.ts'
import type { Block, Target } from './host-calls.ts'
import type { Client } from './memory.ts'
import type { DeathKind, HostState, Step } from './plan.ts'
import { HANG_MS, type Stage } from './stage.ts'

/** How long the others are given to come to where they wait. Those who need not wait are through by then. */
const UNDER_WAY_MS = 5
/** A thread that lingers does so at least once as long as this, and the others go on meanwhile. */
const LINGER_MS = 1100
/** A host that is blocked waits in Atomics.wait, but at every so manyth step it spins, at the cost of a processor. */
const SPINS_EVERY = 8
/** A worker that an exception may end, or not, has ended by then. */
const MAY_END_MS = 500

/** Whoever is to die: held at its step, or about to be there. */
export interface Victim {
  target: Target
  client: Client
  traps: StepTraps
}

/** What is asked of those who survive: calls one after the other, in one thread each. */
export interface SurvivorCalls {
  actor: Actor
  replies: Promise<ActorReply>[]
}

export interface DeathResult {
  /** For each call of the survivors that was under way at the death, how long after it, or after the call before, it ended. */
  times: number[]
  lingered: boolean
  /** The thread's part in the log is over; false when it is still there and goes on. */
  hasEnded: boolean
}

/** The death of a thread that is held at its step, in the sight of others who wait for what it holds. */
export class Death {
  readonly #stage: Stage
  readonly #kind: DeathKind
  readonly #host: HostState
  readonly #step: Step
  readonly #block: Block | undefined

  constructor(stage: Stage, kind: DeathKind, host: HostState, step: Step) {
    this.#stage = stage
    this.#kind = kind
    this.#host = host
    this.#step = step
    const way = step.number % SPINS_EVERY === 0 ? 'spins' : 'waits'
    this.#block = host === 'blocked' ? way : undefined
  }

  arm(traps: StepTraps): void {
    const { action, pauses } = this.#kind
    traps.arm(this.#step.number, action, this.#step.operation, { pauses })
  }

  /**
   * @param own the victim's own call, unless it has none, or it has ended
   * @param ask makes the survivors call
   * @param isFirst of its series: a thread that can linger is made to do so for long
   * @param again another call of the victim, should it live on; false when it turns out that it does not
   */
  async happen(
    victim: Victim,
    own: Promise<ActorReply> | undefined,
    ask: () => SurvivorCalls[],
    isFirst: boolean,
    again: (() => Promise<boolean>) | undefined,
  ): Promise<DeathResult> {
    const { host, pipe } = this.#stage
    const { isTerminated, pauses, action } = this.#kind
    if (this.#block !== undefined && !isTerminated) await host.block(this.#block)
    const calls = ask()
    if (own === undefined || pauses || isTerminated) await this.#untilUnderWay(calls)
    let diedMs: number | undefined
    let terminated: { calledMs: Promise<number> } | undefined
    if (action === 'holdInCall' || action === 'holdWithJob') await this.#untilInCall()
    if (isTerminated) {
      terminated = await host.terminate(victim.target, this.#block)
      if (action === 'holdInCall') {
        diedMs = nowMs()
        pipe.release()
      }
    } else if (pauses) victim.traps.release()
    const end = await this.#untilDead(victim, own)
    const isAgainFirst = again !== undefined && !end.hasEnded && this.#step.number % 2 === 1
    if (isAgainFirst) end.hasEnded = !(await again())
    const replies = await this.#repliesOf(calls)
    const lingered = action === 'holdWithJob' && (await this.#lingers(victim, isFirst))
    if (this.#host === 'blocked') await host.unblock()
    if (again !== undefined && !end.hasEnded && !isAgainFirst) end.hasEnded = !(await again())
    diedMs ??= terminated === undefined ? end.diedMs : await terminated.calledMs
    return { times: timesSince(diedMs, replies), lingered, hasEnded: end.hasEnded }
  }

  /** If it was terminated before, the thread would not make the call any more, and its job would be cancelled. */
  async #untilInCall(): Promise<void> {
    const limitMs = nowMs() + HANG_MS
    while (!this.#stage.pipe.hasReader) {
      if (nowMs() > limitMs) throw new Hang('a thread does not begin its system call')
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  /** Until the others have done what they can. */
  async #untilUnderWay(calls: SurvivorCalls[]): Promise<void> {
    const all = Promise.all(calls.flatMap(({ replies }) => replies))
    await Promise.race([all, new Promise((resolve) => setTimeout(resolve, UNDER_WAY_MS))])
  }

  /** Until the thread runs no protocol any more; for a thread that was terminated the moment of the call counts. */
  async #untilDead(
    victim: Victim,
    own: Promise<ActorReply> | undefined,
  ): Promise<{ hasEnded: boolean; diedMs: number }> {
    const { isTerminated, livesOn, action } = this.#kind
    if (isTerminated) return { hasEnded: true, diedMs: 0 }
    let reply: ActorReply | undefined
    if (livesOn) {
      void own?.then((ended) => {
        reply = ended
      })
    }
    const limitMs = nowMs() + (own === undefined && livesOn ? MAY_END_MS : HANG_MS)
    while (reply === undefined && !this.#stage.view.isGone(victim.client)) {
      if (nowMs() > limitMs) {
        if (livesOn) return { hasEnded: false, diedMs: victim.traps.actedAtMs }
        throw new Hang(`${this.#kind.name}: the victim neither ended nor came back within ${HANG_MS} ms`)
      }
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    if (reply !== undefined) return { hasEnded: false, diedMs: reply.atMs }
    // Running out of memory takes its time; that of all others is known to the microsecond.
    return { hasEnded: true, diedMs: action === 'exhaustHeap' ? nowMs() : victim.traps.actedAtMs }
  }

  async #repliesOf(calls: SurvivorCalls[]): Promise<ActorReply[][]> {
    const what = `the commits of the survivors after ${this.#kind.name} at ${this.#step.operation} ${this.#step.number}`
    return await within(HANG_MS, what, Promise.all(calls.map(({ replies }) => Promise.all(replies))))
  }

  async #lingers(victim: Victim, isFirst: boolean): Promise<boolean> {
    const { view, pipe } = this.#stage
    if (isFirst) await new Promise((resolve) => setTimeout(resolve, LINGER_MS))
    const lingers = !view.isGone(victim.client)
    pipe.release()
    return lingers
  }
}

/** Commits that had ended before were not in need of anything that the dead one held. */
function timesSince(diedMs: number, replies: ActorReply[][]): number[] {
  const times: number[] = []
  for (const ofOne of replies) {
    let beforeMs = diedMs
    for (const { atMs } of ofOne) {
      if (atMs <= beforeMs) continue
      times.push(atMs - beforeMs)
      beforeMs = atMs
    }
  }
  return times
}
