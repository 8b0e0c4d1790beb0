import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { Command, Option } from 'commander'
import type { Log } from '../host/log.ts'
import { openLog } from '../host/open.ts'
import type { OpenOptions } from '../host/options.ts'
import {
  byteSize,
  checkOpenOptions,
  integer,
  type LogArguments,
  logOptions,
  openOptionsOf,
  seconds,
} from './arguments.ts'
import { BENCH_MODES, type BenchMode } from './bench-control.ts'
import { type Measurement, runWorkload, type Workload } from './bench-run.ts'
import { thenCleanUp } from './clean-up.ts'
import { reportError, UsageError } from './exit-code.ts'
import { formatCount, formatTable } from './format.ts'
import { Interrupt } from './interrupt.ts'
import { printWarnings } from './notices.ts'
import { largestPayload } from './payload-limit.ts'

interface BenchArguments extends LogArguments {
  mode: BenchMode
  producers: number
  pending: number
  payload: number
  seconds: number
  warmUp: number
  bareSeconds: number
  bare: boolean
  truncate?: true
  runs: number
  json?: true
}

/** `groupwal bench` */
export function benchCommand(finish: (exitCode: number) => void): Command {
  const command = new Command('bench')
    .description('Measure commits per second, beside a bare loop that only writes and syncs.')
    .argument(
      '<dir>',
      'a directory on the disk to measure; the log is made in a folder of its own there, and removed',
    )
    .addOption(
      new Option('-m, --mode <mode>', 'sync: commitSync; promise: commit; window: append and flush')
        .choices(BENCH_MODES)
        .default('sync'),
    )
    .option('-p, --producers <n>', 'worker threads', integer(1, 200), 4)
    .option(
      '-n, --pending <n>',
      'commits each producer has pending, in modes promise and window',
      integer(1, 65_536),
      64,
    )
    .option('--payload <size>', 'bytes per record', byteSize, 128)
    .option('-s, --seconds <s>', 'how long to measure', seconds, 5)
    .option('--warm-up <s>', 'how long to commit before that', seconds, 1)
    .option('--bare-seconds <s>', 'how long the bare loop runs, half before and half after', seconds, 2)
    .option('--no-bare', 'leave out the bare loop')
    .option(
      '--truncate',
      'drop what is durable as it goes, so that segments are reused, as the bare loop reuses its file',
    )
    .option('-r, --runs <n>', 'repeat, and give the median too', integer(1, 1000), 1)
    .option('--json', 'print the result as JSON')
  for (const option of logOptions()) command.addOption(option)
  return command.action(async (directory: string, given: BenchArguments) => {
    finish(await runBench(directory, given))
  })
}

async function runBench(directory: string, given: BenchArguments): Promise<number> {
  const stop = new AbortController()
  const interrupt = new Interrupt(() => stop.abort())
  try {
    const options = checkedOptions(directory, given)
    await inOwnFolder(directory, async (home) => {
      const log = await openLog(join(home, 'log'), options)
      const run = (): Promise<void> => {
        printWarnings(log)
        return measure(log, home, given, stop.signal)
      }
      await thenCleanUp(run, () => log.close())
    })
    return interrupt.exitCode
  } catch (error) {
    const isInterrupted = stop.signal.aborted && error === stop.signal.reason
    return isInterrupted ? interrupt.exitCode : reportError(error, given.json === true)
  } finally {
    interrupt.end()
  }
}

function checkedOptions(directory: string, given: BenchArguments): OpenOptions {
  const options = openOptionsOf(given)
  const limit = largestPayload(checkOpenOptions(directory, options).maxBatchBytes)
  if (given.payload <= limit) return options
  throw new UsageError(
    `--payload can be at most ${limit} with this --ring-bytes and --segment-bytes, got ${given.payload}`,
  )
}

/** Makes a folder for the log below the directory, and removes it however the benchmark ends. */
async function inOwnFolder(directory: string, run: (home: string) => Promise<void>): Promise<void> {
  const made: string[] = []
  try {
    makeDirectory(resolve(directory), made)
    const home = mkdtempSync(join(directory, 'groupwal-bench-'))
    await thenCleanUp(
      () => run(home),
      () => rmSync(home, { recursive: true, force: true }),
    )
  } finally {
    removeEmpty(made)
  }
}

/** Makes a directory, and those above it. The ones that were missing are added to `made`, the innermost last. */
function makeDirectory(path: string, made: string[]): void {
  const parent = dirname(path)
  // A root that does not exist, as of a drive, has none.
  if (existsSync(path) || parent === path) return
  makeDirectory(parent, made)
  // Somebody else may have made it by now, which is then not ours to remove.
  if (mkdirSync(path, { recursive: true }) !== undefined) made.push(path)
}

/** Somebody may have put something into one of them: that stays, with those above it. */
function removeEmpty(made: string[]): void {
  try {
    for (const path of made.reverse()) rmdirSync(path)
  } catch {
    // A directory that is left does no harm, and the benchmark has its result.
  }
}

async function measure(log: Log, home: string, given: BenchArguments, stop: AbortSignal): Promise<void> {
  const workload: Workload = {
    mode: given.mode,
    producers: given.producers,
    pending: given.mode === 'sync' ? 1 : given.pending,
    payloadBytes: given.payload,
    seconds: given.seconds,
    warmUpSeconds: given.warmUp,
    bareSeconds: given.bare ? given.bareSeconds : 0,
    truncates: given.truncate === true,
  }
  const runs: Measurement[] = []
  if (!given.json) process.stdout.write(describeMachine(log, workload))
  for (let run = 0; run < given.runs; run++) runs.push(await runWorkload(log, home, workload, stop))
  const median = medianOf(runs)
  if (given.json) {
    const machine = { ...machineOf(log), workload }
    process.stdout.write(`${JSON.stringify({ ...machine, runs, median })}\n`)
  } else {
    process.stdout.write(`${describeRuns(runs, median)}\n`)
  }
}

function machineOf(log: Log): {
  node: string
  cpus: number
  fsType: string
  device: string
  syncMethod: string
} {
  const { fsType, device } = log.environment
  const { version: node } = process
  return { node, cpus: availableParallelism(), fsType, device, syncMethod: log.stats().syncMethod }
}

function describeMachine(log: Log, workload: Workload): string {
  const { node, cpus, fsType, device } = machineOf(log)
  const { mode, producers, pending, payloadBytes } = workload
  const each = mode === 'sync' ? '' : ` x ${pending} pending`
  return (
    `${fsType} on ${device}, ${log.stats().syncReason}; Node ${node}, ${cpus} processors\n` +
    `${mode}, ${producers} producer${producers === 1 ? '' : 's'}${each}, ${payloadBytes} bytes per record, ` +
    `${workload.seconds} s${workload.truncates ? ', truncated behind' : ''}\n\n`
  )
}

function describeRuns(runs: Measurement[], median: Measurement): string {
  const rows = [['', 'commits/s', 'commits/sync', 'syncs/s', 'p50 us', 'p99 us', 'max us', 'x bare']]
  const shown = runs.length === 1 ? runs : [...runs, median]
  for (const [index, measurement] of shown.entries()) {
    const isMedian = runs.length > 1 && index === shown.length - 1
    const name = isMedian ? 'median' : runs.length > 1 ? `run ${index + 1}` : 'groupwal'
    if (measurement.bare !== undefined && (isMedian || runs.length === 1))
      rows.push(bareRow(measurement.bare))
    rows.push([
      name,
      formatCount(measurement.commitsPerSecond),
      measurement.commitsPerSync.toFixed(2),
      formatCount(measurement.syncsPerSecond),
      formatCount(measurement.p50Micros),
      formatCount(measurement.p99Micros),
      formatCount(measurement.maxMicros),
      measurement.ratioToBare?.toFixed(2) ?? '',
    ])
  }
  return formatTable(rows)
}

function bareRow(bare: NonNullable<Measurement['bare']>): string[] {
  const rate = formatCount(bare.syncsPerSecond)
  const { p50Micros, p99Micros, maxMicros } = bare
  return [
    'bare loop',
    rate,
    '1.00',
    rate,
    formatCount(p50Micros),
    formatCount(p99Micros),
    formatCount(maxMicros),
    '1.00',
  ]
}

/** The median of each figure by itself; the ratio is the median of the runs' ratios. */
function medianOf(runs: Measurement[]): Measurement {
  const middle = (of: (run: Measurement) => number | undefined): number => {
    const values = runs.map((run) => of(run) ?? 0).sort((a, b) => a - b)
    const half = values.length >> 1
    return values.length % 2 === 1 ? values[half]! : (values[half - 1]! + values[half]!) / 2
  }
  return {
    commits: middle((run) => run.commits),
    seconds: middle((run) => run.seconds),
    commitsPerSecond: middle((run) => run.commitsPerSecond),
    syncsPerSecond: middle((run) => run.syncsPerSecond),
    commitsPerSync: middle((run) => run.commitsPerSync),
    droppedSegments: middle((run) => run.droppedSegments),
    p50Micros: middle((run) => run.p50Micros),
    p99Micros: middle((run) => run.p99Micros),
    maxMicros: middle((run) => run.maxMicros),
    bare: runs[0]!.bare && {
      syncsPerSecond: middle((run) => run.bare?.syncsPerSecond),
      p50Micros: middle((run) => run.bare?.p50Micros),
      p99Micros: middle((run) => run.bare?.p99Micros),
      maxMicros: middle((run) => run.bare?.maxMicros),
    },
    ratioToBare: runs[0]!.bare && middle((run) => run.ratioToBare),
  }
}
