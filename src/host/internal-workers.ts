import { Worker } from 'node:worker_threads'
import { GroupWalError } from '../errors.ts'
import { closedError } from './failure.ts'
import { rebuildError } from './flat-error.ts'
import type { LogHandle } from './handle.ts'
import type { DropReply, DropRequest } from './run-keeper.ts'

/** What the log is told about its internal workers. */
export interface WorkerEvents {
  /** An internal worker ended although the log is open. The log goes on without it, slower. */
  died(name: 'committer' | 'segment-keeper', error: Error | undefined): void
}

/** The committer and the segment-keeper of one log: threads that never hold the process and end with the log. */
export class InternalWorkers {
  private readonly committer: Worker
  private readonly keeper: Worker
  private readonly keepSpares: number
  private readonly drops: Map<
    number,
    { resolve: (dropped: number) => void; reject: (error: unknown) => void }
  >
  private nextDropId: number
  private isStopping: boolean
  private readonly ends: Promise<void>[]
  private isKeeperDead: boolean

  private constructor(committer: Worker, keeper: Worker, keepSpares: number, events: WorkerEvents) {
    this.committer = committer
    this.keeper = keeper
    this.keepSpares = keepSpares
    this.drops = new Map()
    this.nextDropId = 1
    this.isStopping = false
    this.isKeeperDead = false
    this.ends = [this.observe('committer', committer, events), this.observe('segment-keeper', keeper, events)]
    keeper.on('message', (reply: DropReply) => this.onDropped(reply))
    // Never hold the process: whoever waits for a promise holds it by itself.
    committer.unref()
    keeper.unref()
  }

  /**
   * Starts both from source that is embedded in the library, so that no bundler or preload can lose or change them.
   *
   * @throws GroupWalError GROUPWAL_WORKER_START where the system has no threads left; none is left running then
   */
  static async start(handle: LogHandle, keepSpares: number, events: WorkerEvents): Promise<InternalWorkers> {
    const [{ source: committerSource }, { source: keeperSource }] = await Promise.all([
      import('groupwal:worker/committer'),
      import('groupwal:worker/segment-keeper'),
    ])
    const spawn = (source: string, name: string): Worker =>
      new Worker(source, { eval: true, execArgv: [], env: {}, workerData: handle, name })
    const started: Worker[] = []
    try {
      started.push(spawn(committerSource, 'groupwal-committer'))
      started.push(spawn(keeperSource, 'groupwal-keeper'))
    } catch (error) {
      for (const worker of started) await worker.terminate()
      throw notStarted(error)
    }
    return new InternalWorkers(started[0]!, started[1]!, keepSpares, events)
  }

  /** Asks the keeper to drop whole segments below `beforeLsn`. Resolves with how many there were. */
  dropSegments(beforeLsn: number): Promise<number> {
    if (this.isKeeperDead) return Promise.reject(keeperDied())
    return new Promise((resolve, reject) => {
      const id = this.nextDropId++
      this.drops.set(id, { resolve, reject })
      this.keeper.ref()
      this.keeper.postMessage({ id, beforeLsn, keepSpares: this.keepSpares } satisfies DropRequest)
    })
  }

  /** The log has told them to stop; resolves when both threads have ended. */
  async whenEnded(): Promise<void> {
    this.isStopping = true
    this.committer.ref()
    this.keeper.ref()
    await Promise.all(this.ends)
  }

  private observe(name: 'committer' | 'segment-keeper', worker: Worker, events: WorkerEvents): Promise<void> {
    let cause: Error | undefined
    worker.on('error', (error: Error) => {
      cause = error
    })
    return new Promise((resolve) => {
      worker.once('exit', () => {
        if (name === 'segment-keeper') this.onKeeperEnd()
        if (!this.isStopping) events.died(name, cause)
        resolve()
      })
    })
  }

  private onKeeperEnd(): void {
    this.isKeeperDead = true
    const error = this.isStopping ? closedError(undefined) : keeperDied()
    for (const { reject } of this.drops.values()) reject(error)
    this.drops.clear()
  }

  private onDropped(reply: DropReply): void {
    const waiting = this.drops.get(reply.id)
    this.drops.delete(reply.id)
    if (this.drops.size === 0 && !this.isStopping) this.keeper.unref()
    if (waiting === undefined) return
    if (reply.error === undefined) waiting.resolve(reply.dropped)
    else waiting.reject(dropFailed(rebuildError(reply.error)))
  }
}

function notStarted(cause: unknown): GroupWalError {
  const message = `an internal worker could not start: ${(cause as Error).message}`
  return new GroupWalError('GROUPWAL_WORKER_START', message, { cause })
}

function keeperDied(): GroupWalError {
  return new GroupWalError(
    'GROUPWAL_WORKER_DIED',
    'the segment-keeper has died: segments are dropped after a reopen',
  )
}

function dropFailed(cause: unknown): GroupWalError {
  const message = `segments could not be dropped: ${(cause as Error).message}`
  return new GroupWalError('GROUPWAL_TRUNCATE_FAILED', message, { cause })
}
