import { randomBytes } from 'node:crypto'
// Not the global: Node makes that at its first use, and a timeout of `vm` in the midst of it leaves it undefined.
import { performance } from 'node:perf_hooks'
import type { ThreadIdentity } from '../shared/clients.ts'
import type { SharedMemory } from '../shared/memory.ts'
import { SLOT_STAGED, SLOT_WRITING, slotOwner, slotState } from '../shared/slots.ts'
import type { FileSystem } from '../storage/file-system.ts'
import type { Ownership } from '../storage/ownership.ts'
import type { SyncMethod } from '../storage/sync-method.ts'
import { type Clock, type CommitContext, createViews } from './context.ts'
import { isClientGone } from './gone.ts'
import type { Liveness } from './liveness.ts'
import { SegmentSupply, type SupplySpec } from './segment-supply.ts'
import { SegmentWriter } from './segment-writer.ts'

/** The clocks of the machine. */
export const systemClock: Clock = createSystemClock()

function createSystemClock(): Clock {
  // performance.now() counts from the start of its thread, hrtime() does not, but makes an array at each call.
  const [seconds, nanoseconds] = process.hrtime()
  const originMs = seconds * 1000 + nanoseconds / 1e6 - performance.now()
  return { wallMs: () => Date.now(), monotonicMs: () => originMs + performance.now() }
}

/** What a thread brings along when it joins the protocol. */
export interface JoinSpec {
  fs: FileSystem
  /** Undefined where the log's lock lasts as long as its process. */
  ownership?: Ownership | undefined
  method: SyncMethod
  supply: SupplySpec
  liveness: Liveness
  identity: ThreadIdentity
  clock: Clock
  kind: number
  /** The client lines that it may take, both ends included. */
  lines: { first: number; last: number }
}

/** Takes a client line and builds the client's context; undefined when each is taken by a living thread. */
export function joinProtocol(memory: SharedMemory, spec: JoinSpec): CommitContext | undefined {
  const views = createViews(memory)
  const sources = { randomBytes: (count: number): Uint8Array => randomBytes(count), nowMs: spec.clock.wallMs }
  const context: CommitContext = {
    ...views,
    client: 0,
    thread: spec.identity.thread,
    liveness: spec.liveness,
    clock: spec.clock,
    sources,
    writer: new SegmentWriter(spec.fs, spec.supply.directory, spec.method, spec.ownership),
    supply: new SegmentSupply(spec.fs, spec.method, spec.supply, views, sources, spec.ownership),
  }
  let client = claimFreeLine(context, spec)
  if (client === 0) client = reclaimLine(context, spec)
  return client === 0 ? undefined : { ...context, client }
}

/** A free line; not one whose last client left something behind that nobody has taken over yet. */
function claimFreeLine(context: CommitContext, spec: JoinSpec): number {
  const { clients } = context
  for (let client = spec.lines.first; client <= spec.lines.last; client++) {
    if (clients.threadOf(client) !== 0 || ownsSomething(context, client)) continue
    if (clients.claimThisLine(client, 0, spec.identity, spec.kind)) return client
  }
  return 0
}

/** Takes the line of a client whose thread has ended, once the others have taken over what it held. */
function reclaimLine(context: CommitContext, spec: JoinSpec): number {
  const { clients } = context
  for (let client = spec.lines.first; client <= spec.lines.last; client++) {
    const thread = clients.threadOf(client)
    if (thread === context.thread && !clients.isReportedDead(client)) continue
    if (!isClientGone(context, client) || ownsSomething(context, client)) continue
    if (clients.claimThisLine(client, thread, spec.identity, spec.kind)) return client
  }
  return 0
}

function ownsSomething(context: CommitContext, client: number): boolean {
  const { control, slots, ring, clients } = context
  if (control.lockHolder() === client) return true
  if (ring.reserverOf(clients.placePosition(client)) === client) return true
  const staged = control.stagedCount()
  for (let frame = control.publishedCount(); ((staged - frame) | 0) > 0; frame = (frame + 1) | 0) {
    const word = slots.stateWord(frame)
    if (!slots.isOfFrame(word, frame) || slotOwner(word) !== client) continue
    if (slotState(word) === SLOT_STAGED || slotState(word) === SLOT_WRITING) return true
  }
  return false
}

/** Gives the line back. The client must not be in a call. */
export function leaveProtocol(context: CommitContext): void {
  context.writer.closeAll()
  context.clients.freeLine(context.client)
}
