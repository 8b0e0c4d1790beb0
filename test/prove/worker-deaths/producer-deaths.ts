import { StepTraps } from '../../support/step-traps.ts'
import { Actor, type ActorReply } from './actor.ts'
import { within } from './clock.ts'
import { Death, type DeathResult, type SurvivorCalls } from './death.ts'
import type { Client, Place } from './memory.ts'
import type { DeathKind, HostState, Step, Work } from './plan.ts'
import { HANG_MS, type Stage } from './stage.ts'

const METHODS = {
  commitSync: 'commitSync',
  commitBatchSync: 'commitBatchSync',
  commit: 'commit',
  follow: 'commitSync',
}

interface Call {
  reply: Promise<ActorReply>
  payloads: string[]
  place: Place
  /** They wait already. */
  survivors: SurvivorCalls[] | undefined
}

/** Producers die one after the other, in one log. */
export class ProducerDeaths {
  readonly #stage: Stage
  readonly #kind: DeathKind
  readonly #work: Work
  readonly #host: HostState
  #victim: Actor | undefined
  #leader: Actor | undefined
  #number: number

  constructor(stage: Stage, kind: DeathKind, work: Work, host: HostState) {
    this.#stage = stage
    this.#kind = kind
    this.#work = work
    this.#host = host
    this.#victim = undefined
    this.#leader = undefined
    this.#number = 0
  }

  /** Counts steps of a call, the first one of its thread or a later one, by operation. */
  async rehearse(operation: Step['operation'], isFirst: boolean): Promise<number> {
    const victim = await this.#stage.victim()
    const traps = victim.traps!
    if (!isFirst) await this.#commitAgain(victim, this.#stage.clientOf(victim.threadId))
    let most = 0
    for (let attempt = 0; attempt < this.#work.attempts; attempt++) {
      traps.arm(0, 'none', operation)
      const call = await this.#call(victim, this.#stage.clientOf(victim.threadId))
      await this.#acknowledge(await within(HANG_MS, 'a rehearsal', call.reply), call.payloads)
      await this.#untilAnswered(call)
      most = Math.max(most, traps.steps)
      traps.disarm()
    }
    await victim.close()
    return most
  }

  /** Undefined when no call came to that step. */
  async dieAt(step: Step, isFirst: boolean): Promise<DeathResult | undefined> {
    const isFresh = this.#victim === undefined
    this.#victim ??= await this.#stage.victim()
    const victim = this.#victim
    const client = this.#stage.clientOf(victim.threadId)
    const traps = victim.traps!
    if (this.#kind.livesOn && isFresh) await this.#commitAgain(victim, client)
    for (let attempt = 0; attempt < this.#work.attempts; attempt++) {
      const death = new Death(this.#stage, this.#kind, this.#host, step)
      death.arm(traps)
      const call = await this.#call(victim, client)
      if (await this.#comesToTrap(traps, call)) {
        const result = await this.#die(death, victim, client, call, isFirst)
        traps.disarm()
        return result
      }
      traps.disarm()
    }
    return undefined
  }

  /** Calls, in a way that the work demands. Meanwhile nobody else reserves, except when the place is known. */
  async #call(victim: Actor, client: Client): Promise<Call> {
    if (this.#work.task === 'follow') return await this.#callBehindLeader(victim, client)
    const handedOut = this.#stage.view.handedOut
    const { reply, payloads } = this.#begin(victim)
    const call: Call = { reply, payloads, place: 'nothing', survivors: undefined }
    await Promise.race([reply, victim.traps!.reached()])
    call.place = this.#stage.view.placeOf(client, handedOut)
    return call
  }

  #begin(victim: Actor): { reply: Promise<ActorReply>; payloads: string[] } {
    const { recordCount, payloadBytes, task } = this.#work
    const number = this.#number++
    const payloads = Array.from({ length: recordCount }, (_, index) =>
      `victim ${number}.${index} `.padEnd(payloadBytes, '.'),
    )
    const records = payloads.map((payload) => ({ payload }))
    const args = task === 'commitBatchSync' ? [records] : records
    const method = METHODS[task as keyof typeof METHODS]
    return { reply: victim.call(method, args, this.#kind.vmTimeoutMs), payloads }
  }

  /** Another one is in its write as the victim begins; it goes on when the victim's record, and those of others, wait. */
  async #callBehindLeader(victim: Actor, client: Client): Promise<Call> {
    const { view, host } = this.#stage
    this.#leader ??= await Actor.start(host, { traps: new StepTraps() })
    const leader = this.#leader
    await this.#stage.commit(leader, 'commitSync', `leader before ${this.#number}`)
    leader.traps!.arm(1, 'hold', 'file')
    const led = this.#stage.commit(leader, 'commitSync', `leader ${this.#number}`)
    await within(HANG_MS, 'the leader at its write', leader.traps!.reached())
    const handedOut = view.handedOut
    const { reply, payloads } = this.#begin(victim)
    const call: Call = { reply, payloads, place: 'nothing', survivors: undefined }
    const { traps } = victim
    const isPublished = (): boolean => view.placeOf(client, handedOut) === 'published'
    let hasEnded = false
    void reply.then(() => {
      hasEnded = true
    })
    while (!traps!.isHeld && !hasEnded && !isPublished()) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    call.place = view.placeOf(client, handedOut)
    if (call.place === 'published') {
      call.survivors = this.#ask()
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    leader.traps!.release()
    leader.traps!.disarm()
    await led
    return call
  }

  /** False when the call ended before: then it was acknowledged, or cut off too early. */
  async #comesToTrap(traps: StepTraps, { reply, payloads, place, survivors }: Call): Promise<boolean> {
    const ended = await within(HANG_MS, 'the step or the end', Promise.race([reply, traps.reached()]))
    if (ended === undefined || traps.isSprung) return true
    if (ended.error === undefined) await this.#acknowledge(ended, payloads)
    else this.#stage.ledger.noteDeath(place, payloads)
    await this.#untilAnswered({ survivors })
    return false
  }

  async #untilAnswered({ survivors }: Pick<Call, 'survivors'>): Promise<void> {
    for (const { replies } of survivors ?? []) await within(HANG_MS, 'the survivors', Promise.all(replies))
  }

  async #die(
    death: Death,
    victim: Actor,
    client: Client,
    { reply, payloads, place, survivors }: Call,
    isFirst: boolean,
  ): Promise<DeathResult> {
    const { ledger, host } = this.#stage
    let ended: ActorReply | undefined
    void reply.then((own) => {
      ended = own
    })
    // It may have ended before the thread was held.
    await Promise.resolve()
    const result = await death.happen(
      { target: victim.id, client, traps: victim.traps! },
      ended === undefined ? reply : undefined,
      () => survivors ?? this.#ask(),
      isFirst,
      this.#kind.livesOn ? () => this.#commitAgain(victim, client) : undefined,
    )
    if (ended?.error === undefined && ended !== undefined) await this.#acknowledge(ended, payloads)
    else ledger.noteDeath(place, payloads)
    if (result.hasEnded) {
      this.#victim = undefined
      this.#stage.prepareVictim()
      await within(HANG_MS, 'the end of the victim', host.ended(victim.id))
      victim.release()
    }
    return result
  }

  #ask(): SurvivorCalls[] {
    const { blocking, promising } = this.#stage
    const payload = `survivor ${this.#number} `.padEnd(this.#work.payloadBytes, '.')
    return [
      { actor: blocking, replies: [this.#stage.commit(blocking, 'commitSync', `blocking ${payload}`)] },
      { actor: promising, replies: [this.#stage.commit(promising, 'commit', `promising ${payload}`)] },
    ]
  }

  /** False when the thread ends instead. */
  async #commitAgain(victim: Actor, client: Client): Promise<boolean> {
    victim.traps!.disarm()
    let isDone = false
    const commit = this.#stage.commit(victim, 'commitSync', `again ${this.#number}`).then(() => {
      isDone = true
    })
    // An exception in its event loop ends it, and nobody answers.
    commit.catch(() => {})
    while (!isDone && !this.#stage.view.isGone(client)) {
      await Promise.race([commit, new Promise((resolve) => setTimeout(resolve, 2))])
    }
    return isDone
  }

  async #acknowledge({ value, error }: ActorReply, payloads: string[]): Promise<void> {
    if (error !== undefined) throw new Error(`a call that nothing disturbed failed: ${error.text}`)
    this.#stage.ledger.acknowledge(value as { lsn: number }, payloads)
  }

  /** The threads of this role end. */
  async close(): Promise<void> {
    await this.#victim?.close()
    await this.#leader?.close()
  }
}
