import { CLIENT_OPENER } from '../shared/clients.ts'
import type { Control } from '../shared/control.ts'
import type { KeeperWords } from '../shared/keeper-words.ts'
import type { CommitContext } from './context.ts'
import { THREAD_GONE } from './liveness.ts'
import { READY_NONE, READY_PREPARED, READY_ROTATING, type SegmentSupply } from './segment-supply.ts'
import { errnoOf } from './segment-writer.ts'

export const ROOM_YES = 0
/** Frames are in flight: the segment is changed when they are published. */
export const ROOM_AFTER_DRAIN = 1
/** The segment-keeper was asked; it wakes everybody when there is room. */
export const ROOM_ASKED = 2
/** The room cannot be made: `roomErrno` says why. */
export const ROOM_FAILED = 3

/** Finds room for the next frame, and rotates to the next segment. Every method: only under the commit-lock. */
export class Room {
  private readonly context: CommitContext
  private readonly control: Control
  private readonly keeper: KeeperWords
  private readonly blockBytes: number
  private readonly segmentBytes: number

  constructor(context: CommitContext) {
    this.context = context
    this.control = context.control
    this.keeper = context.keeper
    this.blockBytes = context.memory.layout.blockBytes
    this.segmentBytes = context.memory.layout.segmentBytes
  }

  /** Is there room for a frame of this length at WRITE_OFFSET? Rotates when the segment is full. */
  findRoom(frameBytes: number): number {
    const { control, keeper } = this
    const end = control.writeOffset() + frameBytes
    if (end <= keeper.zeroedTo(control.segmentSequence())) {
      if (this.context.supply.isLow) keeper.ringKeeper()
      return ROOM_YES
    }
    if (end > control.segmentLimit()) {
      // The first frame of a segment proves the one before complete: so everything in it must be durable first.
      if (!control.isDrained()) return ROOM_AFTER_DRAIN
      if (keeper.readyState() === READY_PREPARED) {
        this.rotate()
        return ROOM_YES
      }
    }
    return this.askForRoom(frameBytes)
  }

  private rotate(): void {
    this.keeper.storeReadyState(READY_ROTATING)
    this.finishRotation()
    this.context.counters.count('rotations', 1)
  }

  /** Completes a rotation that the lock's holder, perhaps one who died, had begun. Doing it again changes nothing. */
  finishRotation(): void {
    const { control, keeper } = this
    if (keeper.readyState() !== READY_ROTATING) return
    const segment = keeper.readySegment()
    keeper.storeZeroed(segment, this.segmentBytes)
    control.storeWriteOffset(this.blockBytes)
    control.storeSegment(segment, keeper.readySaltLow(), keeper.readySaltHigh(), this.segmentBytes)
    keeper.storeReadyState(READY_NONE)
    keeper.ringKeeper()
  }

  private askForRoom(frameBytes: number): number {
    const { keeper, context } = this
    if (this.keeperIsGone()) return this.makeRoomMyself(context.supply, frameBytes)
    if (keeper.roomErrno() !== 0) return ROOM_FAILED
    if (!keeper.wantsRoom()) {
      context.counters.count('roomWaits', 1)
      keeper.storeRoomWanted(true)
    }
    keeper.ringKeeper()
    return ROOM_ASKED
  }

  /** A keeper that has not started yet is not gone, unless the thread that started it is: it ends with that. */
  private keeperIsGone(): boolean {
    const client = this.keeper.keeperClient()
    return client === 0 ? this.openerIsGone() : this.hasEnded(client)
  }

  private openerIsGone(): boolean {
    const { clients } = this.context
    for (let client = 1; client <= clients.usedCount(); client++) {
      if (clients.kindOf(client) === CLIENT_OPENER) return this.hasEnded(client)
    }
    return false
  }

  /** Not isClientGone(): one whose thread is this very thread is not gone. */
  private hasEnded(client: number): boolean {
    const { clients, liveness } = this.context
    const thread = clients.threadOf(client)
    if (thread === 0 || clients.isReportedDead(client)) return true
    return liveness.threadState(thread, clients.startTicksOf(client)) === THREAD_GONE
  }

  private makeRoomMyself(supply: SegmentSupply, frameBytes: number): number {
    const { control, keeper } = this
    keeper.storeRoomWanted(true)
    try {
      while (supply.makeRoom()) {
        const end = control.writeOffset() + frameBytes
        if (end <= keeper.zeroedTo(control.segmentSequence())) return ROOM_YES
      }
    } catch (error) {
      supply.abandon()
      keeper.storeRoomErrno(errnoOf(error))
      return ROOM_FAILED
    } finally {
      keeper.storeRoomWanted(false)
    }
    if (keeper.readyState() !== READY_PREPARED) return ROOM_AFTER_DRAIN
    this.rotate()
    return ROOM_YES
  }
}
