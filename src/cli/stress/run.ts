import { mkdirSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { OpenOptions } from '../../host/options.ts'
import type { Latency } from '../latency.ts'
import { Chance } from './chance.ts'
import { LogChecker } from './checker.ts'
import { latencyOfBuckets } from './control.ts'
import { type HistoryCounts, StressHistory, Violation } from './history.ts'
import { ledgerDirectory, logDirectory } from './host.ts'
import { type HostCounts, type HostStatus, LOG_COUNTERS, OWN_COUNTERS } from './host-messages.ts'
import { HostProcess } from './host-process.ts'
import { listLedgers } from './ledger.ts'
import { isGrowing, type MemoryTrend, memoryTrend } from './memory.ts'
import { type PlanSpec, StressPlan } from './plan.ts'

export interface StressSpec {
  home: string
  seed: number
  producers: number
  seconds: number
  maxBatchBytes: number
  kill: boolean
  faults: boolean
  truncate: boolean
  deaths: boolean
  /** The most that the log may take on the disk, whether or not `truncate` is wanted. */
  keepBytes: number
  /** What is not said here is chosen anew for every host. */
  options: OpenOptions
}

/** How the stress stands, or how it ended. */
export interface StressSummary extends Latency {
  seconds: number
  hosts: number
  kills: number
  counts: HostCounts
  history: HistoryCounts
  /** Of the longest life that was long enough to tell. */
  memory: MemoryTrend | undefined
  syncMethods: string[]
}

/** Records that may wait to be checked before the producers have to pause, and when they go on. */
const MOST_UNCHECKED = 400_000
const FEW_UNCHECKED = 100_000
/** A log can be resumed 64 times before it has to be reopened. */
const FAILURES_PER_HOST = 40
const LONGEST_LIFE_MS = 5000
/** One host of so many is killed early: while it recovers, if the one before it left much to do. */
const EARLY_DEATHS = 4
const LONGEST_EARLY_LIFE_MS = 1000
const TRUNCATE_EVERY_MS = 500
const OPEN_LIMIT_MS = 60_000
const COUNTERS = [...LOG_COUNTERS, ...OWN_COUNTERS]

/** Runs hosts one after the other, kills them, and compares what they leave with what their producers were told. */
export class StressRun {
  private readonly spec: StressSpec
  private readonly plan: PlanSpec
  private readonly chance: Chance
  private readonly history: StressHistory
  private readonly checker: LogChecker
  private readonly startMs: number
  private readonly totals: HostCounts
  private readonly latencies: number[]
  private readonly syncMethods: Set<string>
  private host: HostProcess | undefined
  private memory: MemoryTrend | undefined
  private longestMs: number
  private hosts: number
  private kills: number
  private isStopping: boolean

  constructor(spec: StressSpec) {
    this.spec = spec
    this.plan = { seed: spec.seed, producers: spec.producers, maxBatchBytes: spec.maxBatchBytes }
    this.chance = new Chance(spec.seed)
    mkdirSync(ledgerDirectory(spec.home))
    this.history = new StressHistory(new StressPlan(this.plan), ledgerDirectory(spec.home), spec.faults)
    this.checker = new LogChecker(logDirectory(spec.home), this.history)
    this.startMs = performance.now()
    this.totals = Object.fromEntries(COUNTERS.map((name) => [name, 0])) as HostCounts
    this.latencies = []
    this.syncMethods = new Set()
    this.host = undefined
    this.memory = undefined
    this.longestMs = 0
    this.hosts = 0
    this.kills = 0
    this.isStopping = false
  }

  /** Ends it in order before its time. */
  stop(): void {
    this.isStopping = true
  }

  /** @throws Violation the first one; whatever the reader throws upon a damaged log; what a host's log is refused by */
  async run(): Promise<StressSummary> {
    try {
      // The last host ends in order: what one that was killed left behind is recovered first.
      for (let isKilled = true; isKilled || !this.isOver(); ) isKilled = await this.runHost()
      this.checker.checkAll()
    } finally {
      this.host?.kill()
    }
    return this.summarize()
  }

  summarize(): StressSummary {
    const counts = { ...this.totals }
    const latencies = [...this.latencies]
    addStatus(counts, latencies, this.host?.status)
    return {
      ...latencyOfBuckets(latencies),
      seconds: (performance.now() - this.startMs) / 1000,
      hosts: this.hosts,
      kills: this.kills,
      counts,
      history: this.history.counts,
      memory: this.memory,
      syncMethods: [...this.syncMethods],
    }
  }

  private isOver(): boolean {
    return this.isStopping || performance.now() >= this.startMs + this.spec.seconds * 1000
  }

  /** The life of one host. True when it was killed. */
  private async runHost(): Promise<boolean> {
    const host = this.startHost()
    const isKillDue = this.planKill(host)
    let truncateMs = 0
    while (!host.isEnded) {
      host.check()
      const { status } = host
      const nowMs = performance.now()
      if (status === undefined && nowMs - host.startMs > OPEN_LIMIT_MS) {
        throw new Violation(`a host did not open its log within ${OPEN_LIMIT_MS} ms`)
      }
      if (!host.isKilled && !host.isAsked) {
        if (isKillDue()) {
          host.kill()
          this.kills++
        } else if (status !== undefined && (this.isOver() || status.counts.failures >= FAILURES_PER_HOST)) {
          host.askToEnd()
        } else if (nowMs >= truncateMs) {
          truncateMs = nowMs + TRUNCATE_EVERY_MS
          this.truncate(host)
        }
      }
      if (host.isKilled || status === undefined) await delay(1)
      else await this.checkSome(host, status.durableLsn)
    }
    await host.checkEnd()
    this.endHost(host)
    return host.isKilled
  }

  private startHost(): HostProcess {
    const host = new HostProcess({
      home: this.spec.home,
      plan: this.plan,
      options: this.chooseOptions(),
      // Behind those, too, that a host which was killed did not tell of.
      firstIncarnation: listLedgers(ledgerDirectory(this.spec.home)).reduce((a, b) => Math.max(a, b), -1) + 1,
      seed: this.chance.int(2 ** 31),
      faults: this.spec.faults,
      deaths: this.spec.deaths,
    })
    this.host = host
    this.hosts++
    return host
  }

  /** Another ring, and now and then two batches in flight, or the page cache, where the caller does not care. */
  private chooseOptions(): OpenOptions {
    const { options, maxBatchBytes } = this.spec
    const chosen: OpenOptions = {
      stagingSlots: this.chance.int(2) === 0 ? 1 : 2,
      ringBytes: maxBatchBytes * 2 ** (1 + this.chance.int(5)),
      maxBatchBytes,
    }
    if (this.chance.int(4) === 0) chosen.syncMethod = 'fdatasync'
    return { ...chosen, ...options }
  }

  private planKill(host: HostProcess): () => boolean {
    const isEarly = this.chance.int(EARLY_DEATHS) === 0
    const lifeMs = this.chance.int(isEarly ? LONGEST_EARLY_LIFE_MS : LONGEST_LIFE_MS)
    return () => {
      const livedMs = isEarly ? performance.now() - host.startMs : host.openMs
      return this.spec.kill && !this.isOver() && livedMs > lifeMs
    }
  }

  private truncate(host: HostProcess): void {
    const { truncate, keepBytes } = this.spec
    const lsn = this.checker.droppableLsn(truncate ? this.chance : undefined, keepBytes)
    if (lsn > 0) host.truncateBefore(lsn)
  }

  private async checkSome(host: HostProcess, durableLsn: number): Promise<void> {
    const unchecked = durableLsn - this.history.lastLsn
    host.setPaused(unchecked > (host.hasPaused ? FEW_UNCHECKED : MOST_UNCHECKED))
    await this.checker.checkSome(durableLsn)
  }

  private endHost(host: HostProcess): void {
    const { status, samples, openMs } = host
    this.host = undefined
    this.checker.stopReading()
    addStatus(this.totals, this.latencies, status)
    if (status !== undefined) this.syncMethods.add(status.syncMethod)
    const trend = memoryTrend(samples)
    if (trend === undefined) return
    if (isGrowing(trend)) {
      throw new Violation(`the memory of a host grew from ${trend.earlyBytes} to ${trend.lateBytes} bytes`)
    }
    if (openMs > this.longestMs) this.memory = trend
    this.longestMs = Math.max(this.longestMs, openMs)
  }
}

function addStatus(counts: HostCounts, latencies: number[], status: HostStatus | undefined): void {
  if (status === undefined) return
  for (const name of COUNTERS) counts[name] += status.counts[name]
  for (const [bucket, count] of status.latencies.entries()) {
    latencies[bucket] = (latencies[bucket] ?? 0) + count
  }
}
