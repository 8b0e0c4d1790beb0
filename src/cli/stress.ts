import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Command } from 'commander'
import { flattenError } from '../host/flat-error.ts'
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
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE, reportError, UsageError } from './exit-code.ts'
import { formatBytes, formatCount, formatMicros } from './format.ts'
import { Interrupt } from './interrupt.ts'
import { Progress } from './progress.ts'
import { Violation } from './stress/history.ts'
import { runHost } from './stress/host.ts'
import type { HostMessage, HostSpec } from './stress/host-messages.ts'
import { StressRun, type StressSummary } from './stress/run.ts'

const MAX_BATCH_BYTES = 256 * 1024
const ROTATE_SEGMENT_BYTES = 1024 * 1024
const SEED_LIMIT = 2 ** 31 - 1

interface StressArguments extends LogArguments {
  producers: number
  seconds: number
  kill?: true
  faults?: true
  rotate?: true
  truncate?: true
  deaths: boolean
  keepBytes: number
  seed?: number
  json?: true
}

/** `groupwal stress` */
export function stressCommand(finish: (exitCode: number) => void): Command {
  const command = new Command('stress')
    .description(
      'Commit in every way at once while things go wrong, and compare all that was acknowledged with the log.',
    )
    .argument(
      '<dir>',
      'a directory on the disk to use; the log is made in a folder of its own there, and removed',
    )
    .option(
      '-p, --producers <n>',
      'worker threads; a quarter of them commits in each of four ways',
      integer(1, 200),
      16,
    )
    .option('-s, --seconds <s>', 'how long', seconds, 60)
    .option('--kill', 'end the process that holds the log by SIGKILL, and open the log anew, again and again')
    .option('--faults', 'let writes, syncs, opens and renames fail, and resume')
    .option('--rotate', `small segments, of ${formatBytes(ROTATE_SEGMENT_BYTES)}`)
    .option('--truncate', 'drop what was checked, again and again')
    .option('--no-deaths', 'let no producer exit, throw or be terminated')
    .option('--keep-bytes <size>', 'drop what was checked when the log is larger', byteSize, 1024 ** 3)
    .option(
      '--seed <n>',
      'decides on contents and on what goes wrong, though not on when threads run',
      integer(0, SEED_LIMIT),
    )
    .option('--json', 'print the result as JSON')
  for (const option of logOptions()) command.addOption(option)
  return command.action(async (directory: string, given: StressArguments) => {
    finish(await runStress(directory, given))
  })
}

/** The process that holds the log in a stress. Started by `groupwal stress`, never by hand. */
export function stressHostCommand(finish: (exitCode: number) => void): Command {
  return new Command('stress-host').description('The host of a stress.').action(async () => {
    finish(await beHost())
  })
}

async function beHost(): Promise<number> {
  if (process.send === undefined) {
    process.stderr.write('groupwal: stress-host is a part of stress\n')
    return EXIT_USAGE
  }
  const abandon = (): void => process.exit(EXIT_FAILED)
  process.on('disconnect', abandon)
  // An interrupt from the terminal reaches the parent as well, which ends this process in order.
  process.on('SIGINT', () => {})
  const send = (message: HostMessage): Promise<void> =>
    new Promise((resolve) => process.send!(message, () => resolve()))
  const spec = await new Promise<HostSpec>((resolve) => process.once('message', resolve as () => void))
  try {
    let newest = Promise.resolve()
    await runHost(spec, (message) => {
      newest = send(message)
    })
    await newest
    return EXIT_OK
  } catch (error) {
    const what = `the log cannot be opened, or closed: ${(error as Error).stack}`
    const isRefused = isRefusal(error)
    await send(isRefused ? { kind: 'refusal', error: flattenError(error) } : { kind: 'violation', what })
    return EXIT_FAILED
  } finally {
    process.off('disconnect', abandon)
    process.disconnect()
  }
}

/** The options are wrong, or the disk has not the sync method that was asked for: the log has no part in that. */
function isRefusal(error: unknown): boolean {
  return (
    error instanceof UsageError || (error as { code?: string }).code === 'GROUPWAL_SYNC_METHOD_UNAVAILABLE'
  )
}

async function runStress(directory: string, given: StressArguments): Promise<number> {
  const seed = given.seed ?? Math.trunc(Math.random() * SEED_LIMIT)
  let home: string | undefined
  let made: string | undefined
  try {
    const log = logSpecOf(directory, given)
    made = mkdirSync(directory, { recursive: true })
    home = mkdtempSync(join(resolve(directory), 'groupwal-stress-'))
    if (!given.json) process.stdout.write(`seed ${seed}, ${given.producers} producers, ${given.seconds} s\n`)
    const code = await stressIn(home, seed, log, given)
    rmSync(home, { recursive: true, force: true })
    // Only the directory itself, and only when it was not there before.
    if (made !== undefined) rmdirSync(directory)
    return code
  } catch (error) {
    if (home !== undefined) {
      process.stderr.write(`groupwal: stress with seed ${seed} failed; log and ledgers are kept in ${home}\n`)
    }
    if (!(error instanceof Violation)) return reportError(error, given.json === true)
    if (given.json) process.stdout.write(`${JSON.stringify({ seed, violation: error.message })}\n`)
    else process.stderr.write(`violation: ${error.message}\n`)
    return EXIT_FAILED
  }
}

interface LogSpec {
  options: OpenOptions
  maxBatchBytes: number
}

/** A small ring holds smaller batches than usual. */
function logSpecOf(directory: string, given: StressArguments): LogSpec {
  const options = openOptionsOf(given)
  if (given.rotate) options.segmentBytes ??= ROTATE_SEGMENT_BYTES
  const { maxBatchBytes } = checkOpenOptions(directory, options)
  return { options, maxBatchBytes: Math.min(MAX_BATCH_BYTES, maxBatchBytes) }
}

async function stressIn(
  home: string,
  seed: number,
  { options, maxBatchBytes }: LogSpec,
  given: StressArguments,
): Promise<number> {
  const run = new StressRun({
    home,
    seed,
    producers: given.producers,
    seconds: given.seconds,
    maxBatchBytes,
    kill: given.kill === true,
    faults: given.faults === true,
    truncate: given.truncate === true,
    deaths: given.deaths,
    keepBytes: given.keepBytes,
    options,
  })
  const interrupt = new Interrupt(() => run.stop())
  const progress = new Progress(() => describeProgress(run.summarize(), given.seconds))
  try {
    const summary = await run.run()
    progress.end()
    process.stdout.write(given.json ? `${JSON.stringify({ seed, ...summary })}\n` : describeSummary(summary))
  } finally {
    progress.end()
    interrupt.end()
  }
  return interrupt.exitCode
}

function describeProgress(summary: StressSummary, limitSeconds: number): string {
  const { seconds: elapsed, counts, kills, p50Micros, p99Micros } = summary
  return (
    `${elapsed.toFixed(1)} of ${limitSeconds} s, ${formatCount(counts.acknowledged / elapsed)} commits/s, ` +
    `${formatCount(counts.syncs / elapsed)} syncs/s, p50 ${formatMicros(p50Micros)}, p99 ${formatMicros(p99Micros)}, ` +
    `${counts.takeovers} takeovers, ${counts.failures} failures, ${counts.deaths} deaths, ${kills} kills`
  )
}

function describeSummary(summary: StressSummary): string {
  const { seconds: elapsed, counts, history, memory, hosts, kills } = summary
  const { records, bytes, acknowledged, failed, unacknowledged } = history
  const trend =
    memory === undefined
      ? 'no host lived long enough to judge its memory'
      : `memory ${formatBytes(memory.earlyBytes)} in the second quarter of the longest life, ${formatBytes(memory.lateBytes)} in the last`
  return (
    `${formatCount(acknowledged)} records acknowledged in ${elapsed.toFixed(1)} s: ` +
    `${formatCount(acknowledged / elapsed)} commits/s, ${formatCount(counts.syncs / elapsed)} syncs/s, ` +
    `latency p50 ${formatMicros(summary.p50Micros)}, p99 ${formatMicros(summary.p99Micros)} (${summary.syncMethods.join(', ')})\n` +
    `${hosts} hosts, ${kills} killed; ${counts.deaths} producers died: ${counts.takeovers} takeovers, ${counts.noops} noops\n` +
    `${counts.faults} faults: ${counts.failures} failures of the log, ${counts.resumes} times resumed\n` +
    `${counts.rotations} rotations, ${counts.droppedSegments} segments dropped, ${formatCount(counts.reads)} records read meanwhile\n` +
    `${trend}\n` +
    `checked: all ${formatCount(acknowledged)} acknowledged records are in the log, once, unchanged, in order and in whole batches; ` +
    `of ${formatCount(failed)} that failed none is; ${formatCount(unacknowledged)} more were found that nobody was told of ` +
    `(${formatCount(records)} records, ${formatBytes(bytes)})\n`
  )
}
