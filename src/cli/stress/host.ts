import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '../../host/log.ts'
import { openLog } from '../../host/open.ts'
import type { OpenOptions } from '../../host/options.ts'
import { checkOpenOptions } from '../arguments.ts'
import { Chance } from './chance.ts'
import { PAUSE, RUN, STOP, StressControl } from './control.ts'
import { Crew } from './crew.ts'
import { DISK_FAULTS, FaultOrder, isOrdered } from './disk.ts'
import {
  type HostCounts,
  type HostMessage,
  type HostRequest,
  type HostSpec,
  LOG_COUNTERS,
} from './host-messages.ts'
import { StressPlan } from './plan.ts'

const STATUS_MS = 100
const FAULT_MS = 500
/** Calls of its kind that are let through before the one that fails. */
const MOST_CALLS_BEFORE = 30
const READ_MS = 120
const READ_LIMIT_MS = 10
/** No part of the log may take longer, on whatever machine: it hangs. */
const HANG_MS = 30_000

/** Where the parts of a stress stand below its home. */
export function logDirectory(home: string): string {
  return join(home, 'log')
}

export function ledgerDirectory(home: string): string {
  return join(home, 'told')
}

/**
 * A process that holds the log: runs until it is told to stop, or is killed.
 *
 * @throws UsageError about the options; whatever else opening or closing the log throws
 */
export async function runHost(spec: HostSpec, send: (message: HostMessage) => void): Promise<void> {
  const { log, order } = await openStressLog(spec)
  const host = new StressHost(spec, log, order, send)
  process.on('message', (request: HostRequest) => host.onRequest(request))
  await host.run()
}

async function openStressLog(spec: HostSpec): Promise<{ log: Log; order: FaultOrder | undefined }> {
  const options: OpenOptions = { ...spec.options }
  checkOpenOptions(logDirectory(spec.home), options)
  let order: FaultOrder | undefined
  if (spec.faults) {
    const { source } = await import('groupwal:worker/stress-disk')
    const module = join(spec.home, `disk-${process.pid}.cjs`)
    writeFileSync(module, source)
    order = FaultOrder.create()
    options.fileSystem = { module, data: order.words }
  }
  return { log: await openLog(logDirectory(spec.home), options), order }
}

/** Keeps the producers at work, and makes go wrong what is to go wrong. */
class StressHost {
  private readonly spec: HostSpec
  private readonly log: Log
  private readonly order: FaultOrder | undefined
  private readonly send: (message: HostMessage) => void
  private readonly plan: StressPlan
  private readonly control: StressControl
  private readonly chance: Chance
  private readonly crew: Crew
  private readonly timers: NodeJS.Timeout[]
  private reads: number
  private droppedSegments: number
  private firstLsn: number
  private readonly stopped: Promise<void>
  private stop: () => void
  private repair: Promise<void> | undefined

  constructor(spec: HostSpec, log: Log, order: FaultOrder | undefined, send: (message: HostMessage) => void) {
    this.spec = spec
    this.log = log
    this.order = order
    this.send = send
    this.plan = new StressPlan(spec.plan)
    this.control = StressControl.create(spec.plan.producers)
    this.chance = new Chance(spec.seed)
    this.crew = new Crew(spec, log.handle, ledgerDirectory(spec.home), this.control, this.chance, (what) =>
      this.violate(what),
    )
    this.timers = []
    this.reads = 0
    this.droppedSegments = 0
    this.firstLsn = 1
    this.stop = () => {}
    this.stopped = new Promise((resolve) => {
      this.stop = resolve
    })
    this.repair = undefined
  }

  async run(): Promise<void> {
    this.log.on('failed', () => this.onFailed())
    this.log.on('worker-died', ({ name, cause }) => {
      this.violate(`the ${name} died: ${cause?.stack ?? 'without an error'}`)
    })
    await this.crew.start()
    this.every(STATUS_MS, () => this.sendStatus(false))
    this.every(READ_MS, () => this.readSome())
    if (this.order !== undefined) this.every(FAULT_MS, () => this.orderFault())
    await this.stopped
    for (const timer of this.timers) clearInterval(timer)
    this.order?.cancel()
    this.control.enterState(STOP)
    await this.inTime('the producers do not end', this.crew.end())
    await this.inTime('resume() does not end', this.repair ?? Promise.resolve())
    await this.inTime('close() does not end', this.log.close())
    this.sendStatus(true)
  }

  onRequest(request: HostRequest): void {
    if (request.kind === 'stop') this.stop()
    else if (request.kind === 'pause') this.control.enterState(request.isPaused ? PAUSE : RUN)
    else void this.truncate(request.beforeLsn)
  }

  private every(ms: number, run: () => void): void {
    this.timers.push(setInterval(run, ms))
  }

  private violate(what: string): void {
    this.send({ kind: 'violation', what })
  }

  private async inTime(what: string, work: Promise<void>): Promise<void> {
    const timer = setTimeout(() => this.violate(`${what} within ${HANG_MS} ms`), HANG_MS)
    await work.finally(() => clearTimeout(timer))
  }

  private sendStatus(isClosed: boolean): void {
    const stats = this.log.stats()
    const counts: Partial<HostCounts> = {
      ...this.crew.counts(),
      faults: this.order?.count ?? 0,
      reads: this.reads,
      droppedSegments: this.droppedSegments,
    }
    for (const name of LOG_COUNTERS) counts[name] = stats[name]
    this.send({
      kind: 'status',
      durableLsn: stats.durableLsn,
      counts: counts as HostCounts,
      latencies: this.control.latencies(),
      rssBytes: process.memoryUsage.rss(),
      syncMethod: stats.syncMethod,
      isClosed,
    })
    if (isClosed) return
    this.crew.checkProgress(HANG_MS)
    // A failure that came in the very moment in which the one before it was repaired.
    if (stats.lastCommitFailed && this.spec.faults) this.repairLater()
  }

  private orderFault(): void {
    this.order!.place(this.chance.int(DISK_FAULTS.length), this.chance.int(MOST_CALLS_BEFORE))
  }

  /** As an operator would: sees it, frees the disk, and lets the log go on. */
  private onFailed(): void {
    if (this.spec.faults) this.repairLater()
    else this.violate('the log failed, though no fault was ordered')
  }

  private repairLater(): void {
    this.repair ??= this.resume().finally(() => {
      this.repair = undefined
    })
  }

  private async resume(): Promise<void> {
    for (;;) {
      await delay(this.chance.int(30))
      try {
        await this.log.resume()
        return
      } catch (error) {
        // The fence may meet the next fault.
        if (isOrdered(error)) continue
        const { code } = error as { code?: string }
        // It did not fail: it was repaired before, and no batch has succeeded since. Or it failed just before its end.
        if (code === 'GROUPWAL_RESUME_REFUSED' || code === 'GROUPWAL_CLOSED') return
        this.violate(`resume() failed: ${(error as Error).stack}`)
        return
      }
    }
  }

  private async truncate(beforeLsn: number): Promise<void> {
    try {
      this.firstLsn = Math.max(this.firstLsn, beforeLsn)
      this.droppedSegments += await this.log.truncateBefore(beforeLsn)
    } catch (error) {
      const { code } = error as { code?: string }
      if (code === 'GROUPWAL_CLOSED' || isOrdered(error)) return
      this.violate(`truncateBefore failed: ${(error as Error).stack}`)
    }
  }

  /** A reader in the host itself, somewhere in the log. */
  private readSome(): void {
    const { durableLsn } = this.log
    if (durableLsn < this.firstLsn) return
    const fromLsn = this.firstLsn + this.chance.int(durableLsn - this.firstLsn + 1)
    const endMs = performance.now() + READ_LIMIT_MS
    let lastLsn = fromLsn - 1
    try {
      for (const record of this.log.read({ fromLsn })) {
        if (record.lsn <= lastLsn || record.lsn > this.log.durableLsn) {
          this.violate(`a reader from LSN ${fromLsn} got LSN ${record.lsn} after ${lastLsn}`)
        }
        lastLsn = record.lsn
        if (this.plan.nameOf(record) === undefined) {
          this.violate(`a reader got as LSN ${lastLsn} what no producer wrote`)
        }
        this.reads++
        if (performance.now() > endMs) break
      }
    } catch (error) {
      if ((error as { code?: string }).code === 'GROUPWAL_READ_TRUNCATED' || isOrdered(error)) return
      this.violate(`a reader from LSN ${fromLsn} failed: ${(error as Error).stack}`)
    }
  }
}
