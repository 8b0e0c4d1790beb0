import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import type { CommitContext } from '../commit/context.ts'
import { leaveProtocol } from '../commit/join.ts'
import { errnoOf } from '../commit/segment-writer.ts'
import { waitAsync } from '../shared/atomics.ts'
import { CLIENT_KEEPER } from '../shared/clients.ts'
import { isUnfailed, PHASE_RESUMING } from '../shared/phase.ts'
import { errorCode } from '../storage/directory.ts'
import type { FileSystem } from '../storage/file-system.ts'
import { loadFileSystem } from '../storage/load-file-system.ts'
import { dropSegmentsBefore } from '../storage/recycle.ts'
import { joinLog } from './connect.ts'
import { flattenError } from './flat-error.ts'
import type { LogHandle } from './handle.ts'

/** What the host asks the keeper for. */
export interface DropRequest {
  id: number
  beforeLsn: number
  keepSpares: number
}

/** What it answers. */
export interface DropReply {
  id: number
  dropped: number
  /** Flat; undefined when all went well. */
  error: unknown
}

/** The whole life of the segment-keeper's thread. */
export function runKeeper(handle: LogHandle, port: MessagePort): void {
  const context = joinLog(handle, CLIENT_KEEPER)
  context.keeper.storeKeeperClient(context.client)
  void new Keeper(context, handle, port).run()
}

/** Makes room ahead of need, one chunk at a time, and drops segments between two chunks. */
export class Keeper {
  private readonly context: CommitContext
  private readonly fs: FileSystem
  private readonly directory: string
  private readonly port: MessagePort
  private readonly requests: DropRequest[]

  constructor(context: CommitContext, handle: LogHandle, port: MessagePort) {
    this.context = context
    this.fs = loadFileSystem(handle.fileSystem)
    this.directory = handle.directory
    this.port = port
    this.requests = []
    port.on('message', (request: DropRequest) => {
      this.requests.push(request)
      context.keeper.ringKeeper()
    })
  }

  async run(): Promise<void> {
    const { control, keeper, memory, supply } = this.context
    while (!control.isStopped()) {
      const bell = keeper.keeperBellValue()
      while (this.work()) await pause(keeper.wantsRoom() || !supply.isAhead)
      if (control.isStopped()) break
      const rung = waitAsync(memory.words, keeper.keeperBellIndex(), bell)
      if (rung !== undefined) await rung
    }
    this.dropRest()
    leaveProtocol(this.context)
    this.port.close()
  }

  /** One piece of work; false when there is none. */
  private work(): boolean {
    const { control, keeper, phases } = this.context
    if (control.isStopped()) return false
    // Said before the phase is looked at: resume() changes the phase first and then waits until nothing is made.
    keeper.storeKeeperWorking(true)
    const phase = phases.phase()
    const hasMore = isUnfailed(phase) ? this.dropNext() || this.makeRoom() : this.workWhileFailed(phase)
    // A half-made segment counts as work: resume() waits until it is finished or given up.
    keeper.storeKeeperWorking(this.context.supply.isBuilding)
    return hasMore
  }

  /** Nothing is made ahead then. Segments are dropped all the same: that may free the space that a resume() needs. */
  private workWhileFailed(phase: number): boolean {
    this.context.supply.abandon()
    return phase !== PHASE_RESUMING && this.dropNext()
  }

  /** False when nothing is to be dropped. */
  private dropNext(): boolean {
    const request = this.requests.shift()
    if (request === undefined) return false
    this.drop(request)
    return true
  }

  /** What was asked for before the log was closed. */
  private dropRest(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.port)
      if (received === undefined) break
      this.requests.push(received.message as DropRequest)
    }
    while (this.dropNext());
  }

  private makeRoom(): boolean {
    const { keeper, supply } = this.context
    const isWanted = keeper.wantsRoom()
    try {
      const hasMore = supply.makeRoom()
      if (isWanted) this.answer(0)
      return hasMore
    } catch (error) {
      supply.abandon()
      // A bug of ours is not to look like one of the disk: this worker ends, the host is told why, and leaders that
      // wait for room find it gone and make it themselves.
      if (errorCode(error) === undefined) throw error
      // Ahead of need a failure is no harm: the leader that needs the room asks again, and is told.
      if (isWanted) this.answer(errnoOf(error))
      return false
    }
  }

  /** Somebody waits for this room: everybody who could lead looks again. */
  private answer(errno: number): void {
    const { control, doorbell, keeper, clients } = this.context
    keeper.storeRoomErrno(errno)
    keeper.storeRoomWanted(false)
    control.wakeAllWaiters()
    doorbell.ringCommitter()
    clients.wakeAllArmed()
  }

  private drop(request: DropRequest): void {
    const reply: DropReply = { id: request.id, dropped: 0, error: undefined }
    try {
      const current = this.context.control.segmentSequence()
      const { beforeLsn, keepSpares } = request
      reply.dropped = dropSegmentsBefore(this.fs, this.directory, beforeLsn, current, keepSpares).dropped
    } catch (error) {
      reply.error = flattenError(error)
    }
    this.port.postMessage(reply)
  }
}

/** Lets messages in between two chunks; and, when nothing is urgent, leaves the disk to the commits. */
function pause(isUrgent: boolean): Promise<void> {
  return new Promise((resolve) => {
    if (isUrgent) setImmediate(resolve)
    else setTimeout(resolve, 2)
  })
}
