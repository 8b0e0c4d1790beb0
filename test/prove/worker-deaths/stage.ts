import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { LogHandle } from '../../../src/index.ts'
import { contentAfterReopen } from '../../support/log-content.ts'
import type { Pipe } from '../../support/pipe.ts'
import { StepTraps } from '../../support/step-traps.ts'
import { Actor, type ActorReply } from './actor.ts'
import { within } from './clock.ts'
import { Host } from './host.ts'
import { fingerprintsOf, Ledger } from './ledger.ts'
import { type Client, MemoryView } from './memory.ts'
import { type DeathKind, SMALL_HEAP, type Work } from './plan.ts'

/** Nothing here takes that long, except when it never ends. */
export const HANG_MS = 8000

/** One log with its threads: the host, those who survive, and whoever dies next. */
export class Stage {
  readonly host: Host
  readonly ledger: Ledger
  readonly view: MemoryView
  readonly directory: string
  /** Blocks as it commits. */
  readonly blocking: Actor
  /** Commits by promise. */
  readonly promising: Actor
  readonly pipe: Pipe
  /** Of the internal workers, by the names that the host has for them. */
  readonly internalTraps: { committer: StepTraps; keeper: StepTraps }
  readonly #kind: DeathKind
  #nextVictim: Promise<Actor> | undefined

  private constructor(parts: StageParts, view: MemoryView, blocking: Actor, promising: Actor) {
    this.host = parts.host
    this.directory = parts.directory
    this.pipe = parts.pipe
    this.internalTraps = parts.internalTraps
    this.#kind = parts.kind
    this.ledger = new Ledger()
    this.view = view
    this.blocking = blocking
    this.promising = promising
    this.#nextVictim = undefined
  }

  static async open(work: Work, kind: DeathKind, slots: number, base: string, pipe: Pipe): Promise<Stage> {
    const internalTraps = { committer: new StepTraps(pipe.fd), keeper: new StepTraps(pipe.fd) }
    const isSmall = work.role !== 'producer' && kind.action === 'exhaustHeap'
    const host = new Host(internalTraps, isSmall ? SMALL_HEAP : undefined)
    const directory = mkdtempSync(join(base, 'log-'))
    const parts: StageParts = { host, directory, pipe, internalTraps, kind }
    const handle: LogHandle = await host.open(directory, {
      segmentBytes: 1 << 20,
      sealIdleMs: work.sealIdleMs,
      syncMethod: 'fdatasync',
      stagingSlots: slots as 1 | 2,
      fileSystem: { module: join(process.cwd(), 'test', 'support', 'trapped-file-system.cjs') },
    })
    const [blocking, promising] = await Promise.all([Actor.start(host), Actor.start(host)])
    const stage = new Stage(parts, new MemoryView(handle), blocking, promising)
    // The first frame of a log takes a step more than all others.
    await stage.commit(blocking, 'commitSync', 'the first one')
    return stage
  }

  /** A producer with traps that is connected, and has committed before. */
  async victim(): Promise<Actor> {
    const victim = await (this.#nextVictim ?? this.#startVictim())
    this.#nextVictim = undefined
    return victim
  }

  /** Starts the next one while nobody waits for it. */
  prepareVictim(): void {
    this.#nextVictim ??= this.#startVictim()
  }

  async #startVictim(): Promise<Actor> {
    const resourceLimits = this.#kind.action === 'exhaustHeap' ? SMALL_HEAP : undefined
    return await Actor.start(this.host, { traps: new StepTraps(this.pipe.fd), resourceLimits })
  }

  /** The client that a thread is; every thread here is one. */
  clientOf(threadId: number): Client {
    const client = this.view.clientOf(threadId)
    if (client === undefined) throw new Error(`thread ${threadId} is not in the log`)
    return client
  }

  /** A commit that must succeed. */
  async commit(actor: Actor, method: 'commitSync' | 'commit', payload: string): Promise<ActorReply> {
    const reply = await within(
      HANG_MS,
      `${method} of ${payload.slice(0, 40)}`,
      actor.call(method, [{ payload }]),
    )
    if (reply.error !== undefined) throw new Error(`${method} failed: ${reply.error.text}`)
    this.ledger.acknowledge(reply.value as { lsn: number }, [payload])
    return reply
  }

  /**
   * Ends everything and compares what is in the log, before and after a reopen, with what has to be.
   *
   * @param firstLsn what was dropped before is not looked for
   */
  async close(firstLsn = 1): Promise<string[]> {
    await this.commit(this.blocking, 'commitSync', 'the last one')
    const { durableLsn, noops, failures } = await this.host.stats()
    const content = await this.host.content()
    const first = firstLsn === 1 ? 1 : Math.min(...content.keys())
    const wrong = this.ledger.check(content, first, durableLsn, noops)
    if (failures !== 0) wrong.push(`the log failed ${failures} times`)
    const victim = await this.#nextVictim
    const actors = [this.blocking, this.promising, ...(victim === undefined ? [] : [victim])]
    await within(HANG_MS, 'the end of the producers', Promise.all(actors.map((actor) => actor.close())))
    await within(HANG_MS, 'close()', this.host.call('close'))
    await this.host.end()
    const reopened = fingerprintsOf(await contentAfterReopen(this.directory))
    if (!isSame(content, reopened)) wrong.push('after a reopen the log holds something else')
    rmSync(this.directory, { recursive: true })
    return wrong
  }
}

interface StageParts {
  host: Host
  directory: string
  pipe: Pipe
  internalTraps: { committer: StepTraps; keeper: StepTraps }
  kind: DeathKind
}

function isSame(one: ReadonlyMap<number, string>, other: ReadonlyMap<number, string>): boolean {
  if (one.size !== other.size) return false
  for (const [lsn, payload] of one) if (other.get(lsn) !== payload) return false
  return true
}
