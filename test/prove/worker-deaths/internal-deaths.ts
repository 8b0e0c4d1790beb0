import type { StepTraps } from '../../support/step-traps.ts'
import type { ActorReply } from './actor.ts'
import { nowMs, within } from './clock.ts'
import { Death, type DeathResult, type SurvivorCalls } from './death.ts'
import type { Client } from './memory.ts'
import type { DeathKind, HostState, Step, Work } from './plan.ts'
import { HANG_MS, type Stage } from './stage.ts'

/** An internal worker that makes no step for so long has nothing to do. Longer than a keeper ever pauses. */
const REST_MS = 6

/** The committer, or the keeper, dies again and again in one log; after each death another one is put in its place. */
export class InternalDeaths {
  readonly #stage: Stage
  readonly #kind: DeathKind
  readonly #work: Work
  readonly #host: HostState
  readonly #name: 'committer' | 'keeper'
  readonly #traps: StepTraps
  #client: Client | undefined
  /** Nobody has died yet. */
  #isOriginal: boolean
  #number: number
  #newestLsn: number
  /** Settles when segments were dropped, or whoever drops them has ended. */
  #drop: Promise<unknown>
  /** The newest call that makes the victim work. */
  #trigger: Promise<ActorReply> | undefined

  constructor(stage: Stage, kind: DeathKind, work: Work, host: HostState) {
    this.#stage = stage
    this.#kind = kind
    this.#work = work
    this.#host = host
    this.#name = work.role === 'committer' ? 'committer' : 'keeper'
    this.#traps = stage.internalTraps[this.#name]
    this.#client = undefined
    this.#isOriginal = true
    this.#number = 0
    this.#newestLsn = 0
    this.#drop = Promise.resolve()
    this.#trigger = undefined
  }

  /** Counts steps of the thread from when it is given something to do until it rests. */
  async rehearse(operation: Step['operation']): Promise<number> {
    await this.#ready()
    let most = 0
    for (let round = 0; round < 3; round++) {
      await this.#prepare()
      this.#traps.arm(0, 'none', operation)
      await this.#comesToTrap()
      most = Math.max(most, this.#traps.steps)
      this.#traps.disarm()
    }
    return most
  }

  /** Undefined when the thread never came to that step. */
  async dieAt(step: Step, isFirst: boolean): Promise<DeathResult | undefined> {
    const client = await this.#ready()
    await this.#prepare()
    const death = new Death(this.#stage, this.#kind, this.#host, step)
    death.arm(this.#traps)
    if (!(await this.#comesToTrap())) {
      this.#traps.disarm()
      return undefined
    }
    const victim = { target: this.#name, client, traps: this.#traps }
    const result = await death.happen(victim, undefined, () => this.#ask(), isFirst, undefined)
    this.#traps.disarm()
    await within(HANG_MS, 'the answer or the end of the keeper', this.#drop)
    if (result.hasEnded) {
      await within(HANG_MS, `the end of the ${this.#work.role}`, this.#stage.host.ended(this.#name))
      this.#client = undefined
    }
    return result
  }

  /** A living thread in that place, which has worked before. */
  async #ready(): Promise<Client> {
    const { host, view } = this.#stage
    // One that an exception ended slowly was not seen to end.
    if (this.#client !== undefined && !view.isGone(this.#client)) return this.#client
    if (this.#client !== undefined) await within(HANG_MS, 'an end', host.ended(this.#name))
    const threadId = this.#isOriginal
      ? await host.internalThread(this.#name)
      : await host.startAgain(this.#name)
    this.#isOriginal = false
    const limitMs = nowMs() + HANG_MS
    while (view.clientOf(threadId) === undefined) {
      if (nowMs() > limitMs) throw new Error(`a ${this.#work.role} does not begin`)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    this.#client = this.#stage.clientOf(threadId)
    this.#traps.arm(0, 'none')
    await this.#commitPromised('warm-up')
    await this.#rest()
    this.#traps.disarm()
    return this.#client
  }

  /** There is something to drop. */
  async #prepare(): Promise<void> {
    if (this.#work.task !== 'drop') return
    const { view } = this.#stage
    this.#traps.arm(0, 'none')
    for (const from = view.segment; view.segment < from + 2; ) this.#newestLsn = await this.#commitLarge()
    await this.#rest()
    this.#traps.disarm()
  }

  /** Gives the thread something to do, and waits until that is done, or the thread is at its step. */
  async #begin(): Promise<void> {
    const { task } = this.#work
    if (task === 'drop') {
      this.#drop = this.#stage.host.call('drop', [this.#newestLsn])
      await Promise.race([this.#drop, this.#traps.reached()])
    } else {
      const isRotation = task === 'rotate'
      this.#trigger = isRotation ? this.#beginLarge() : this.#commitPromised('trigger')
      await Promise.race([this.#trigger, this.#traps.reached()])
    }
  }

  async #comesToTrap(): Promise<boolean> {
    for (let attempt = 0; attempt < this.#work.attempts; attempt++) {
      await this.#begin()
      // After the call that it works for the thread goes on until it rests.
      await Promise.race([this.#traps.reached(), this.#rest()])
      if (this.#traps.isSprung) return true
    }
    return false
  }

  #ask(): SurvivorCalls[] {
    const { blocking, promising } = this.#stage
    const trigger = this.#trigger === undefined ? [] : [this.#trigger]
    // A segment's worth, so that somebody has to make the next one.
    const count = this.#work.role === 'committer' ? 1 : 4
    const blocked = Array.from({ length: count }, () => this.#beginLarge())
    const isOfBlocking = this.#work.task === 'rotate'
    return [
      { actor: blocking, replies: isOfBlocking ? [...trigger, ...blocked] : blocked },
      { actor: promising, replies: [...(isOfBlocking ? [] : trigger), this.#commitPromised('survivor')] },
    ]
  }

  #beginLarge(): Promise<ActorReply> {
    const { payloadBytes } = this.#work
    const payload = `blocking ${this.#number++} `.padEnd(payloadBytes, '.')
    return this.#stage.commit(this.#stage.blocking, 'commitSync', payload)
  }

  async #commitLarge(): Promise<number> {
    return ((await this.#beginLarge()).value as { lsn: number }).lsn
  }

  #commitPromised(name: string): Promise<ActorReply> {
    return this.#stage.commit(this.#stage.promising, 'commit', `${name} ${this.#number++}`)
  }

  /** Until the victim makes no step any more. */
  async #rest(): Promise<void> {
    let steps: number
    do {
      steps = this.#traps.steps
      await new Promise((resolve) => setTimeout(resolve, REST_MS))
    } while (this.#traps.steps !== steps)
  }

  /** Those that were put in the place of the first one are not waited for by the log. */
  async close(): Promise<void> {}
}
