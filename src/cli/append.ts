import type { RecordableHistogram } from 'node:perf_hooks'
import { Command } from 'commander'
import producerUrl from '../../workers/producer.ts?url'
import { rebuildError } from '../host/flat-error.ts'
import type { Log } from '../host/log.ts'
import { openLog } from '../host/open.ts'
import type { ResolvedOptions } from '../host/options.ts'
import { createProducerPool, type ProducerPool } from '../host/pool.ts'
import type { AppendResult, AppendSettings } from './append-task.ts'
import { AppendTurns } from './append-turns.ts'
import { checkOpenOptions, integer, type LogArguments, logOptions, openOptionsOf } from './arguments.ts'
import { thenCleanUp } from './clean-up.ts'
import { reportError } from './exit-code.ts'
import { formatBytes, formatCount, formatMicros } from './format.ts'
import { Interrupt } from './interrupt.ts'
import { type Latency, latencyOf, mergeHistograms } from './latency.ts'
import { checkFiles, type LineChunk, readChunks } from './line-source.ts'
import { printRecovery, printWarnings } from './notices.ts'
import { largestPayload } from './payload-limit.ts'
import { Progress } from './progress.ts'

/** Chunks of lines that are under way in each worker: one at work, the others keep it busy. */
const CHUNKS_PER_PRODUCER = 4

interface AppendArguments extends LogArguments {
  producers: number
  ndjson?: true
  recordType?: number
  tenant?: number
  vshard?: number
  json?: true
}

/** `groupwal append` */
export function appendCommand(finish: (exitCode: number) => void): Command {
  const command = new Command('append')
    .description('Commit the lines of files, or of standard input, each as one record.')
    .argument('<dir>', 'directory of the log; made when it does not exist')
    .argument('[files...]', 'text files; - is standard input, and so is no file at all')
    .option(
      '-p, --producers <n>',
      'worker threads; with more than one the lines keep their order only within each',
      integer(1, 200),
      1,
    )
    .option('--ndjson', 'each line is a JSON object, as dump prints it')
    .option('--record-type <n>', 'record type of lines of text', integer(0, 0xffff))
    .option('--tenant <n>', 'tenant id of lines of text', integer(0, 0xffffffff))
    .option('--vshard <n>', 'vshard id of lines of text', integer(0, 0xffff))
    .option('--json', 'print the summary as JSON')
  for (const option of logOptions()) command.addOption(option)
  return command.action(async (directory: string, files: string[], given: AppendArguments) => {
    finish(await runAppend(directory, files, given))
  })
}

async function runAppend(directory: string, files: string[], given: AppendArguments): Promise<number> {
  try {
    const options = openOptionsOf(given)
    const resolved = checkOpenOptions(directory, options)
    await checkFiles(files)
    const log = await openLog(directory, options)
    const run = (): Promise<number> => {
      printWarnings(log)
      printRecovery(log)
      return appendAll(log, resolved, files, given)
    }
    return await thenCleanUp(run, () => log.close())
  } catch (error) {
    return reportError(error, given.json === true)
  }
}

async function appendAll(
  log: Log,
  { maxBatchBytes }: ResolvedOptions,
  files: string[],
  given: AppendArguments,
): Promise<number> {
  const { producers, ndjson = false, recordType, tenant, vshard } = given
  const turns = AppendTurns.create()
  const settings: AppendSettings = {
    ndjson,
    recordType,
    tenantId: tenant,
    vshardId: vshard,
    maxPayloadBytes: largestPayload(maxBatchBytes),
    turns: turns.words,
  }
  const pool = createProducerPool<LineChunk, AppendResult>(log, {
    filename: producerUrl,
    name: 'append',
    maxThreads: producers,
    concurrentTasksPerWorker: CHUNKS_PER_PRODUCER,
    workerData: settings,
  })
  const append = new Append(pool, turns, producers * CHUNKS_PER_PRODUCER)
  const progress = new Progress(() => append.describe())
  const interrupt = new Interrupt(() => {
    append.stop()
    // Reading may wait for a terminal that says no more.
    process.stdin.destroy()
  })
  const before = log.stats()
  try {
    await append.run(readChunks(files))
  } finally {
    interrupt.end()
    progress.end()
    await pool.close()
  }
  const after = log.stats()
  const summary = append.summarize(after.syncs - before.syncs, log.stats().syncMethod)
  process.stdout.write(given.json ? `${JSON.stringify(summary)}\n` : describeSummary(summary))
  if (append.failure !== undefined) return reportError(append.failure, given.json === true)
  return interrupt.exitCode
}

interface Summary extends Latency {
  records: number
  bytes: number
  firstLsn: number | null
  lastLsn: number | null
  seconds: number
  commitsPerSecond: number
  syncsPerSecond: number
  commitsPerSync: number
  syncMethod: string
}

/** One run: hands chunks to the pool, a bounded number at a time, and adds up what became of them. */
class Append {
  failure: unknown
  private readonly pool: ProducerPool<LineChunk, AppendResult>
  private readonly turns: AppendTurns
  private readonly limit: number
  private readonly startMs: number
  private readonly underWay: Set<Promise<void>>
  private readonly latencies: RecordableHistogram[]
  private records: number
  private bytes: number
  private firstLsn: number
  private lastLsn: number
  private isStopped: boolean

  constructor(pool: ProducerPool<LineChunk, AppendResult>, turns: AppendTurns, limit: number) {
    this.failure = undefined
    this.pool = pool
    this.turns = turns
    this.limit = limit
    this.startMs = performance.now()
    this.underWay = new Set()
    this.latencies = []
    this.records = 0
    this.bytes = 0
    this.firstLsn = Number.POSITIVE_INFINITY
    this.lastLsn = 0
    this.isStopped = false
  }

  /** No further lines are taken; those under way are finished. */
  stop(): void {
    this.isStopped = true
  }

  async run(chunks: AsyncIterable<LineChunk>): Promise<void> {
    try {
      for await (const chunk of chunks) {
        if (this.isStopped) break
        this.start(chunk)
        while (this.underWay.size >= this.limit) await Promise.race(this.underWay)
        if (this.isStopped) break
      }
    } catch (error) {
      // Standard input is destroyed to stop the reading of it.
      if (!this.isStopped) this.fail(error)
    }
    await Promise.all(this.underWay)
  }

  private start(chunk: LineChunk): void {
    const run = this.pool.run(chunk, { transferList: [chunk.bytes.buffer as ArrayBuffer] }).then(
      (result) => this.add(result),
      (error: unknown) => {
        // Its turn, for which others may be waiting, does not come.
        this.turns.stop()
        this.fail(error)
      },
    )
    this.underWay.add(run)
    void run.then(() => this.underWay.delete(run))
  }

  private add(result: AppendResult): void {
    this.records += result.records
    this.bytes += result.bytes
    this.firstLsn = Math.min(this.firstLsn, result.firstLsn)
    this.lastLsn = Math.max(this.lastLsn, result.lastLsn)
    this.latencies.push(result.latency)
    if (this.latencies.length > 100)
      this.latencies.splice(0, Number.POSITIVE_INFINITY, mergeHistograms(this.latencies))
    if (result.failure !== undefined) this.fail(rebuildError(result.failure))
  }

  private fail(error: unknown): void {
    this.failure ??= error
    this.isStopped = true
  }

  describe(): string {
    const elapsed = (performance.now() - this.startMs) / 1000
    const rate = formatCount(this.records / elapsed)
    return `${formatCount(this.records)} records, ${formatBytes(this.bytes)}, ${rate} commits/s`
  }

  summarize(syncs: number, syncMethod: string): Summary {
    const elapsed = (performance.now() - this.startMs) / 1000
    return {
      records: this.records,
      bytes: this.bytes,
      firstLsn: this.records === 0 ? null : this.firstLsn,
      lastLsn: this.records === 0 ? null : this.lastLsn,
      seconds: elapsed,
      commitsPerSecond: this.records / elapsed,
      syncsPerSecond: syncs / elapsed,
      commitsPerSync: syncs === 0 ? 0 : this.records / syncs,
      ...latencyOf(mergeHistograms(this.latencies)),
      syncMethod,
    }
  }
}

function describeSummary(summary: Summary): string {
  const { records, bytes, seconds, firstLsn, lastLsn } = summary
  const range = records === 0 ? '' : `, LSN ${firstLsn} to ${lastLsn}`
  return (
    `${formatCount(records)} records durable${range}, ${formatBytes(bytes)} in ${seconds.toFixed(2)} s (${summary.syncMethod})\n` +
    `${formatCount(summary.commitsPerSecond)} commits/s, ${formatCount(summary.syncsPerSecond)} syncs/s, ` +
    `${summary.commitsPerSync.toFixed(1)} commits per sync\n` +
    `latency p50 ${formatMicros(summary.p50Micros)}, p99 ${formatMicros(summary.p99Micros)}, max ${formatMicros(summary.maxMicros)}\n`
  )
}
