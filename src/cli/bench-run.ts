import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import producerUrl from '../../workers/producer.ts?url'
import { frameBytes } from '../format/frame.ts'
import { recordBytes } from '../format/record.ts'
import type { Log } from '../host/log.ts'
import { createProducerPool } from '../host/pool.ts'
import {
  type BareSpec,
  BenchControl,
  type BenchMode,
  type BenchTask,
  PHASE_BARE_AFTER,
  PHASE_BARE_BEFORE,
  PHASE_DRAIN,
  PHASE_MEASURE,
  PHASE_STOP,
  PHASE_WARM_UP,
} from './bench-control.ts'
import type { BenchResult } from './bench-task.ts'
import { formatCount } from './format.ts'
import { type Latency, latencyOf, mergeHistograms } from './latency.ts'
import { Progress } from './progress.ts'

/** The bare loop goes round in a file of this size. */
const BARE_FILE_BYTES = 64 * 1024 * 1024
const TRUNCATE_EVERY_MS = 100

/** One workload. */
export interface Workload {
  mode: BenchMode
  producers: number
  pending: number
  payloadBytes: number
  seconds: number
  warmUpSeconds: number
  /** Both halves of the bare loop together; 0 leaves it out. */
  bareSeconds: number
  /** What is durable is dropped again and again: segments are reused, and no zeros are written ahead. */
  truncates: boolean
}

/** What a workload has given. */
export interface Measurement extends Latency {
  commits: number
  seconds: number
  commitsPerSecond: number
  syncsPerSecond: number
  commitsPerSync: number
  /** Segments that were dropped while it ran. */
  droppedSegments: number
  /** The bare loop of the same run, by the first producer's thread. */
  bare: (Latency & { syncsPerSecond: number }) | undefined
  /** commitsPerSecond of bare.syncsPerSecond */
  ratioToBare: number | undefined
}

/**
 * Runs a workload once in an open log.
 *
 * @throws the reason of `stop`, when it is aborted and all producers have come to rest
 * @throws what a worker fails with, at once
 */
export async function runWorkload(
  log: Log,
  directory: string,
  workload: Workload,
  stop: AbortSignal,
): Promise<Measurement> {
  stop.throwIfAborted()
  const { producers, mode, pending, payloadBytes } = workload
  const pool = createProducerPool<BenchTask, BenchResult>(log, {
    filename: producerUrl,
    name: 'bench',
    maxThreads: producers,
  })
  const control = BenchControl.create(producers)
  // Ends all phases: `stop`, or a failure.
  const end = new AbortController()
  const onStop = (): void => end.abort(stop.reason)
  stop.addEventListener('abort', onStop)
  end.signal.addEventListener('abort', () => control.enterPhase(PHASE_STOP))
  try {
    const bare = workload.bareSeconds > 0 ? bareSpecOf(log, directory, workload) : undefined
    const runs = Array.from({ length: producers }, (_, index) =>
      pool.run({
        words: control.words,
        index,
        mode,
        pending,
        payloadBytes,
        bare: index === 0 ? bare : undefined,
      }),
    )
    const finished = Promise.all(runs)
    finished.catch((error: unknown) => end.abort(error))
    const measured = await lead(log, control, workload, end, finished)
    const results = await finished
    stop.throwIfAborted()
    return summarize(measured, results)
  } finally {
    stop.removeEventListener('abort', onStop)
    await pool.destroy()
  }
}

function bareSpecOf(log: Log, directory: string, workload: Workload): BareSpec {
  const { blockBytes } = log.environment
  const writeBytes = frameBytes(recordBytes(workload.payloadBytes), blockBytes)
  return {
    path: join(directory, 'bare'),
    method: log.stats().syncMethod,
    writeBytes,
    fileBytes: Math.max(writeBytes, BARE_FILE_BYTES),
    halfMs: (workload.bareSeconds * 1000) / 2,
  }
}

interface Measured {
  commits: number
  syncs: number
  seconds: number
  droppedSegments: number
}

/** Leads the workers through the phases, and counts during one of them. When it is ended, the phases are over at once. */
async function lead(
  log: Log,
  control: BenchControl,
  workload: Workload,
  end: AbortController,
  finished: Promise<unknown>,
): Promise<Measured> {
  const { producers } = workload
  // A worker that fails never arrives: its error ends the wait.
  const whenArrived = (count: number): Promise<unknown> =>
    Promise.race([control.whenArrived(count), finished])
  let arrivals = producers
  await whenArrived(arrivals)
  if (workload.bareSeconds > 0) {
    control.enterPhase(PHASE_BARE_BEFORE)
    await whenArrived(++arrivals)
  }
  const truncation = workload.truncates ? new Truncation(log, end) : undefined
  control.enterPhase(PHASE_WARM_UP)
  await passTime(workload.warmUpSeconds, end.signal)
  control.enterPhase(PHASE_MEASURE)
  const before = snapshot(log, control)
  const progress = new Progress(() => {
    const { commits, seconds } = difference(before, snapshot(log, control))
    return `${seconds.toFixed(1)} of ${workload.seconds} s, ${formatCount(commits / seconds)} commits/s`
  })
  await passTime(workload.seconds, end.signal)
  const after = snapshot(log, control)
  control.enterPhase(PHASE_DRAIN)
  progress.end()
  arrivals += producers
  await whenArrived(arrivals)
  const droppedSegments = (await truncation?.end()) ?? 0
  control.enterPhase(PHASE_BARE_AFTER)
  return { ...difference(before, after), droppedSegments }
}

/** Resolves after so many seconds, or when it is ended. */
async function passTime(seconds: number, ended: AbortSignal): Promise<void> {
  try {
    await delay(seconds * 1000, undefined, { signal: ended })
  } catch (error) {
    if (!ended.aborted) throw error
  }
}

/** Drops what is durable, again and again, one call after the other. A call that fails ends the workload. */
class Truncation {
  private readonly log: Log
  private readonly stopped: AbortSignal
  private readonly ended: Promise<void>
  private isEnded: boolean
  private dropped: number

  constructor(log: Log, workload: AbortController) {
    this.log = log
    this.stopped = workload.signal
    this.isEnded = false
    this.dropped = 0
    this.ended = this.run()
    // Told by end(), or by the worker that failed first.
    this.ended.catch((error: unknown) => workload.abort(error))
  }

  /** How many segments it has dropped; rejects when a call has failed. */
  async end(): Promise<number> {
    this.isEnded = true
    await this.ended
    return this.dropped
  }

  private async run(): Promise<void> {
    while (!this.isEnded && !this.stopped.aborted) {
      this.dropped += await this.log.truncateBefore(this.log.durableLsn)
      await delay(TRUNCATE_EVERY_MS)
    }
  }
}

interface Snapshot {
  counts: number[]
  syncs: number
  ms: number
}

function snapshot(log: Log, control: BenchControl): Snapshot {
  return { counts: control.counts(), syncs: log.stats().syncs, ms: performance.now() }
}

function difference(before: Snapshot, after: Snapshot): Omit<Measured, 'droppedSegments'> {
  let commits = 0
  // Counters are 32 bit and may wrap once.
  for (const [index, count] of after.counts.entries()) commits += (count - before.counts[index]!) >>> 0
  return { commits, syncs: after.syncs - before.syncs, seconds: (after.ms - before.ms) / 1000 }
}

function summarize(
  { commits, syncs, seconds, droppedSegments }: Measured,
  results: BenchResult[],
): Measurement {
  const bare = results[0]!.bare
  const commitsPerSecond = commits / seconds
  const bareSyncsPerSecond = bare === undefined ? undefined : (bare.writes * 1000) / bare.elapsedMs
  return {
    commits,
    seconds,
    commitsPerSecond,
    syncsPerSecond: syncs / seconds,
    commitsPerSync: syncs === 0 ? 0 : commits / syncs,
    droppedSegments,
    ...latencyOf(mergeHistograms(results.map(({ latency }) => latency))),
    bare: bare && { syncsPerSecond: bareSyncsPerSecond!, ...latencyOf(bare.latency) },
    ratioToBare: bareSyncsPerSecond && commitsPerSecond / bareSyncsPerSecond,
  }
}
