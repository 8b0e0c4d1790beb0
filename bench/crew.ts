import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { LoadTask } from './load.worker.ts'
import loadWorkerUrl from './load.worker.ts?url'
import { PHASE_MEASURE, PHASE_STOP, PHASE_WARM_UP, summarizeLatency, type ThreadReport } from './recorder.ts'
import { subjects } from './subjects/index.ts'
import type { GroupResult, Load, RunResult, Stage, SubjectOptions } from './types.ts'

interface Member {
  worker: Worker
  group: number
}

/** One subject, opened, with its threads, in this process. */
export class Crew {
  readonly #stage: Stage
  readonly #members: Member[]
  readonly #control: Int32Array
  readonly #groups: number

  private constructor(stage: Stage, members: Member[], control: Int32Array, groups: number) {
    this.#stage = stage
    this.#members = members
    this.#control = control
    this.#groups = groups
  }

  /** Opens the subject and starts the threads of all loads. */
  static async start(subject: string, options: SubjectOptions, loads: readonly Load[]): Promise<Crew> {
    const stage = await subjects[subject]!.open(options)
    const control = new Int32Array(new SharedArrayBuffer(64))
    const members: Member[] = []
    for (const [group, load] of loads.entries()) {
      for (let thread = 0; thread < load.threads; thread++) {
        const index = members.length
        const port = stage.portFor?.(index)
        const task: LoadTask = { subject, shared: stage.shared, index, port, load, control }
        const worker = new Worker(loadWorkerUrl, { workerData: task, transferList: port ? [port] : [] })
        members.push({ worker, group })
      }
    }
    // 'error' rejects: a peer that cannot be joined is told as such.
    await Promise.all(members.map(({ worker }) => once(worker, 'message')))
    return new Crew(stage, members, control, loads.length)
  }

  async run(warmUpMs: number, runMs: number): Promise<RunResult> {
    Atomics.store(this.#control, 0, PHASE_WARM_UP)
    const reports = this.#members.map(({ worker }) => once(worker, 'message') as Promise<[ThreadReport]>)
    for (const { worker } of this.#members) worker.postMessage('run')
    await delay(warmUpMs)
    const countersBefore = this.#stage.counters?.() ?? {}
    const cpuBefore = process.cpuUsage()
    const startedMs = performance.now()
    Atomics.store(this.#control, 0, PHASE_MEASURE)
    await delay(runMs)
    Atomics.store(this.#control, 0, PHASE_STOP)
    const seconds = (performance.now() - startedMs) / 1000
    const cpu = process.cpuUsage(cpuBefore)
    const countersAfter = this.#stage.counters?.() ?? {}
    const rssBytes = process.memoryUsage.rss()
    const done = (await Promise.all(reports)).map(([report]) => report)
    await this.#stage.tidy?.()
    const counters: Record<string, number> = {}
    for (const [name, value] of Object.entries(countersAfter)) counters[name] = value - countersBefore[name]!
    return {
      groups: Array.from({ length: this.#groups }, (_, group) =>
        summarizeGroup(done.filter((_, index) => this.#members[index]!.group === group)),
      ),
      seconds,
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
      rssBytes,
      counters,
    }
  }

  async close(): Promise<void> {
    const exits = this.#members.map(({ worker }) => once(worker, 'exit'))
    for (const { worker } of this.#members) worker.postMessage('close')
    await Promise.all(exits)
    await this.#stage.close()
  }
}

function summarizeGroup(reports: readonly ThreadReport[]): GroupResult {
  const commits = reports.reduce((sum, report) => sum + report.commits, 0)
  const rates = reports.map((report) =>
    report.elapsedMs === 0 ? 0 : (report.commits * 1000) / report.elapsedMs,
  )
  const service = reports.flatMap((report) => report.serviceLatency ?? [])
  return {
    commits,
    commitsPerSecond: rates.reduce((sum, rate) => sum + rate, 0),
    slowestShare:
      commits === 0 ? 0 : Math.min(...reports.map((report) => report.commits)) / (commits / reports.length),
    latency: summarizeLatency(reports.map((report) => report.latency)),
    serviceLatency: service.length === 0 ? undefined : summarizeLatency(service),
  }
}
