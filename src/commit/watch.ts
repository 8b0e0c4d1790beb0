import { RecordEncoder } from '../format/record-encoder.ts'
import { ownerClient } from '../shared/clients.ts'
import {
  SLOT_CANCELLED,
  SLOT_FAILED,
  SLOT_STAGED,
  SLOT_WRITING,
  slotOwner,
  slotState,
} from '../shared/slots.ts'
import type { CommitContext } from './context.ts'
import { isClientGone, OWNER_ACTIVE, OWNER_GONE, ownerState } from './gone.ts'
import type { Leader } from './leader.ts'

/** How long a thread waits before it looks whether somebody died. Progress never depends on it while all live. */
export const RECHECK_MS = 20

/**
 * Takes over from threads that died, whatever they held: the commit-lock, a staging slot, a place in the ring.
 * Called by whoever has waited RECHECK_MS for nothing.
 */
export class Watch {
  private readonly context: CommitContext
  private readonly leader: Leader
  private readonly encoder: RecordEncoder

  constructor(context: CommitContext, leader: Leader) {
    this.context = context
    this.leader = leader
    this.encoder = new RecordEncoder(context.memory.words, context.memory.bytes)
  }

  /** Looks at everything that somebody can hold. True when something was taken over or finished. */
  lookForDead(): boolean {
    let helped = this.takeOverLock()
    if (this.takeOverSlots()) helped = true
    if (this.leader.frames.publishReady()) helped = true
    if (this.fillHole()) helped = true
    this.dropGoneCommitter()
    return helped
  }

  /** Records wait, and nobody leads: should that be left to a committer who is gone, it is not left to it again. */
  private dropGoneCommitter(): void {
    const { control, doorbell, ring, client } = this.context
    const committer = doorbell.committerClient()
    // What a thread owns itself counts as left behind (see gone.ts): the committer would find itself gone.
    if (committer === 0 || committer === client) return
    if (ring.isEmpty() || control.lockOwner() !== 0 || !control.isDrained()) return
    if (!isClientGone(this.context, committer)) return
    doorbell.dropCommitter(committer)
    this.leader.frames.handOver()
  }

  private takeOverLock(): boolean {
    const { control, clients, client, counters } = this.context
    const held = control.lockOwner()
    if (held === 0) return false
    const state = ownerState(this.context, ownerClient(held))
    if (state === OWNER_ACTIVE || control.lockOwner() !== held) return false
    const owner = clients.nextOwner(client)
    if (!control.acquireLock(held, owner)) return false
    counters.count('takeovers', 1)
    this.leader.repairUnderLock()
    control.releaseLock(owner)
    this.leader.frames.handOver()
    return true
  }

  private takeOverSlots(): boolean {
    const { control, slots } = this.context
    let helped = false
    const staged = control.stagedCount()
    for (let frame = control.publishedCount(); ((staged - frame) | 0) > 0; frame = (frame + 1) | 0) {
      const stateWord = slots.stateWord(frame)
      if (!slots.isOfFrame(stateWord, frame)) continue
      const state = slotState(stateWord)
      if (state === SLOT_FAILED || state === SLOT_CANCELLED) this.leader.frames.poison.finishFailure(frame)
      if (state !== SLOT_STAGED && state !== SLOT_WRITING) continue
      if (ownerState(this.context, slotOwner(stateWord)) === OWNER_ACTIVE) continue
      // Unchanged since the owner was seen to be off its stack, so it will never act on it.
      if (slots.stateWord(frame) !== stateWord) continue
      if (this.leader.frames.adoptFrame(frame, stateWord)) helped = true
    }
    this.leader.frames.poison.settle()
    return helped
  }

  /** The place at the head of the ring was reserved by one who is gone: a noop takes it. */
  private fillHole(): boolean {
    const { control, clients, client, ring, counters } = this.context
    const position = ring.head()
    const reserver = ring.reserverOf(position)
    if (reserver === 0 || !this.hasLeft(reserver, position)) return false
    const owner = clients.nextOwner(client)
    if (!control.acquireLock(0, owner)) return false
    const filled = this.fillUnderLock(reserver, position)
    control.releaseLock(owner)
    if (filled) {
      counters.count('noops', 1)
      this.leader.tryLead()
    }
    return filled
  }

  /** Under the caller's commit-lock: fills the place, wherever in the ring, when its producer is gone. True when it is filled. */
  fillIfLeft(position: number): boolean {
    const reserver = this.context.ring.reserverOf(position)
    if (reserver === 0 || !this.hasLeft(reserver, position)) return false
    if (!this.fillPlace(reserver, position)) return false
    this.context.counters.count('noops', 1)
    return true
  }

  private hasLeft(reserver: number, position: number): boolean {
    const state = ownerState(this.context, reserver)
    if (state === OWNER_GONE) return true
    return state !== OWNER_ACTIVE && this.context.ring.reserverOf(position) === reserver
  }

  /** Under the commit-lock, so that no two fill the same hole, and HEAD stays where it is. */
  private fillUnderLock(reserver: number, position: number): boolean {
    const { ring } = this.context
    if (ring.head() !== position || ring.reserverOf(position) !== reserver) return false
    return this.fillPlace(reserver, position)
  }

  /** Makes a noop of the place that `reserver` left unpublished. */
  private fillPlace(reserver: number, position: number): boolean {
    const { clients, client, control, ring } = this.context
    if (clients.placePosition(reserver) !== position) return false
    if (reserver !== client) {
      // Granules and record count move to this client's line before the place does: should this thread die too,
      // the next one finds them there.
      clients.copyPlace(reserver, client)
      if (!ring.takePlace(reserver, client, position)) return false
    }
    const sequence = clients.placeSequence(client)
    const headLsn = control.headLsn()
    const lsn = headLsn + ((sequence - headLsn) | 0)
    const records = clients.placeRecords(client)
    this.encoder.encodeNoop(ring.wordIndexOf(position), clients.placeGranules(client), lsn, records)
    return ring.publishPlace(client, position)
  }

  /**
   * What this client itself left behind when a call of its own was cut off (by `vm`'s timeout, or a stack
   * overflow): its unpublished place becomes a noop, what it held is repaired and released.
   */
  healOwn(): void {
    const { clients, client, control, ring } = this.context
    if (control.lockHolder() === client) this.takeOverLock()
    const position = clients.placePosition(client)
    while (ring.reserverOf(position) === client && !this.healPlace(position)) {
      const staged = control.stagedCount()
      if (!control.waitForFrame(staged, control.wakeValue(staged), 1)) this.takeOverLock()
    }
    this.takeOverSlots()
    this.leader.frames.publishReady()
    this.leader.frames.handOver()
    this.leader.tryLead()
  }

  /** Another thread may have found the place abandoned, and be at it too: the commit-lock keeps them apart. */
  private healPlace(position: number): boolean {
    const { control, clients, client, counters } = this.context
    const owner = clients.nextOwner(client)
    if (!control.acquireLock(0, owner)) return false
    if (this.context.ring.reserverOf(position) === client && this.fillPlace(client, position)) {
      counters.count('noops', 1)
    }
    control.releaseLock(owner)
    return true
  }
}
