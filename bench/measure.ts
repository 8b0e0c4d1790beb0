import { Arena } from './arena.ts'
import { PEERS } from './peer-list.ts'
import type { Contender, PointSpec } from './points.ts'
import { peerVersion } from './subjects/peer-package.ts'
import type { PointResult, Row, RunResult, Spread, SubjectOptions, SyncMethodName } from './types.ts'

const MIB = 1024 * 1024
/** What others are put in relation to. */
const LIMITS: ReadonlySet<string> = new Set(['bare', 'bandwidth', 'wake', 'memcpy'])
/** A limit is a loop of a few lines, soon compiled whatever the number of its threads. */
const LIMIT_COMPILE_SHARE = 2

/** How everything is measured. */
export interface Settings {
  directory: string
  syncMethod: SyncMethodName
  quick: boolean
  runs: number
  runMs: number
  /** Before each run, for the disk and the caches. */
  warmUpMs: number
  /** Before the first run, for each thread: every thread compiles its code by itself, and they share the processors. */
  compileMs: number
  stagingSlots: number
  /** Subjects that take part. */
  peers: readonly string[]
  /** Peers that acknowledge before the sync: labelled, not compared. */
  notDurable: readonly string[]
}

interface Player {
  contender: Contender
  arena: Arena
  runs: RunResult[]
  error: string | undefined
}

/**
 * Measures one point: all contenders are opened, each in a process of its own, and then take turns, so that what else
 * the machine does meets all of them alike. Ratios are taken within a turn, and only then their median.
 */
export async function measurePoint(
  workload: string,
  point: PointSpec,
  settings: Settings,
): Promise<PointResult> {
  const { key, parameters } = point
  if (point.measure !== undefined) {
    return { workload, key, parameters, rows: await measuredRows(point.measure, settings) }
  }
  const players: Player[] = []
  const absent: Row[] = []
  try {
    const present: Contender[] = []
    for (const contender of point.contenders) {
      const reason = absence(contender, settings)
      if (reason === undefined) present.push(contender)
      else if (reason !== '')
        absent.push({ subject: contender.subject, label: contender.label, values: {}, note: reason })
    }
    // One by one: the threads of all of them starting at once would keep each other from it.
    for (const contender of present) players.push(await openPlayer(contender, settings))
    for (let round = 0; round < settings.runs; round++) {
      // Nobody always comes after the same neighbour.
      for (let turn = 0; turn < players.length; turn++) {
        await play(players[(turn + round) % players.length]!, settings, round === 0)
      }
    }
  } finally {
    await Promise.all(players.map(({ arena }) => arena.close()))
  }
  return {
    workload,
    key,
    parameters,
    rows: [...players.flatMap((player) => rowsOf(player, players, point)), ...absent],
  }
}

async function measuredRows(
  measure: (settings: Settings) => Promise<Row[]>,
  settings: Settings,
): Promise<Row[]> {
  try {
    return await measure(settings)
  } catch (error) {
    return [{ subject: 'groupwal', label: 'groupwal', values: {}, note: (error as Error).message }]
  }
}

/** Why a contender does not take part: '' when nobody asked for it. */
function absence({ subject, isPeer }: Contender, settings: Settings): string | undefined {
  if (isPeer !== true) return undefined
  if (!settings.peers.includes(subject)) return ''
  const packageName = PEERS.find((peer) => peer.subject === subject)?.packageName
  if (packageName !== undefined && peerVersion(packageName) === undefined)
    return 'not installed (npm run bench:peers)'
  if (settings.notDurable.includes(subject)) return 'acknowledges before the sync: not compared'
  return undefined
}

async function openPlayer(contender: Contender, settings: Settings): Promise<Player> {
  const arena = new Arena(settings.directory)
  const player: Player = { contender, arena, runs: [], error: undefined }
  const options: Omit<SubjectOptions, 'directory'> = {
    syncMethod: settings.syncMethod,
    threads: contender.loads.reduce((sum, load) => sum + load.threads, 0),
    writeBytes: 4096,
    segmentBytes: 64 * MIB,
    ringBytes: 8 * MIB,
    maxBatchBytes: MIB,
    stagingSlots: settings.stagingSlots,
    truncateEveryMs: 0,
    ...contender.options,
  }
  await attempt(player, () => arena.open(contender.subject, options, contender.loads))
  return player
}

async function play(
  player: Player,
  { warmUpMs, compileMs, runMs }: Settings,
  isFirst: boolean,
): Promise<void> {
  if (player.error !== undefined) return
  const threads = player.contender.loads.reduce((sum, load) => sum + load.threads, 0)
  const isLimit = LIMITS.has(player.contender.subject)
  const firstMs = compileMs * (isLimit ? LIMIT_COMPILE_SHARE : 4 + threads)
  await attempt(player, async () => {
    player.runs.push(await player.arena.run(warmUpMs + (isFirst ? firstMs : 0), runMs))
  })
}

async function attempt(player: Player, action: () => Promise<void>): Promise<void> {
  try {
    await action()
  } catch (error) {
    // The report is published: it need not say where it was made.
    player.error = (error as Error).message.replaceAll(process.cwd(), '.')
    await player.arena.kill()
  }
}

function rowsOf(player: Player, players: readonly Player[], point: PointSpec): Row[] {
  const { contender, error } = player
  const { subject, label } = contender
  if (error !== undefined) return [{ subject, label, values: {}, note: error }]
  return contender.loads.map((_, group) => {
    const samples = player.runs.map((run, round) => sampleOf(run, group, contender, round, players, point))
    const middle = middleRun(player.runs, group)
    const part = contender.parts?.[group]
    return { subject, label: part ?? label, values: spreads(samples), cdf: middle.groups[group]!.latency.cdf }
  })
}

/** All figures of one run. */
function sampleOf(
  run: RunResult,
  group: number,
  contender: Contender,
  round: number,
  players: readonly Player[],
  point: PointSpec,
): Record<string, number> {
  const result = run.groups[group]!
  const allCommits = run.groups.reduce((sum, { commits }) => sum + commits, 0)
  const sample: Record<string, number> = {
    commitsPerSecond: result.commitsPerSecond,
    p50Micros: result.latency.p50,
    p99Micros: result.latency.p99,
    p999Micros: result.latency.p999,
    maxMicros: result.latency.max,
    slowestShare: result.slowestShare,
    // A process that does two things at once cannot tell which of them used the CPU.
    cpuMicrosPerCommit: allCommits === 0 ? 0 : (run.cpuSeconds * 1e6) / allCommits,
    rssMiB: run.rssBytes / MIB,
    mibPerSecond: (result.commitsPerSecond * payloadBytesOf(contender, group)) / MIB,
  }
  if (result.serviceLatency !== undefined) sample.serviceP99Micros = result.serviceLatency.p99
  const { syncs, rotations, roomWaits, fullRings, recheckRescues } = run.counters
  if (syncs !== undefined && syncs > 0) {
    sample.syncsPerSecond = syncs / run.seconds
    sample.commitsPerSync = allCommits / syncs
  }
  Object.assign(sample, defined({ rotations, roomWaits, fullRings, recheckRescues }))
  if (LIMITS.has(contender.subject)) return sample
  const base = players.find((other) => other.contender.label === point.base)?.runs[round]?.groups[0]
  if (base !== undefined && base.commitsPerSecond > 0) {
    sample.ofBare = result.commitsPerSecond / base.commitsPerSecond
    sample.p50OfBare = result.latency.p50 / base.latency.p50
  }
  const limit = limitOf(point, players, round)
  if (limit !== undefined) {
    sample.limitPerSecond = limit
    sample.ofLimit = result.commitsPerSecond / limit
  }
  return sample
}

function payloadBytesOf({ subject, loads, options }: Contender, group: number): number {
  if (subject === 'bare' || subject === 'bandwidth') return options.writeBytes ?? 4096
  return loads[group]!.payloadBytes
}

/** The most commits per second that disk, scheduler and memory would allow in this turn. */
function limitOf({ limits }: PointSpec, players: readonly Player[], round: number): number | undefined {
  const rates = (limits ?? []).flatMap(({ label, factor }) => {
    const rate = players.find(({ contender }) => contender.label === label)?.runs[round]?.groups[0]
      ?.commitsPerSecond
    return rate === undefined || rate === 0 ? [] : [rate * factor]
  })
  return rates.length === 0 ? undefined : Math.min(...rates)
}

function middleRun(runs: readonly RunResult[], group: number): RunResult {
  const rate = (run: RunResult): number => run.groups[group]!.commitsPerSecond
  return [...runs].sort((a, b) => rate(a) - rate(b))[Math.floor(runs.length / 2)]!
}

function defined(values: Record<string, number | undefined>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Record<
    string,
    number
  >
}

/** Median and range of each figure. */
export function spreads(samples: readonly Record<string, number>[]): Record<string, Spread> {
  const names = new Set(samples.flatMap((sample) => Object.keys(sample)))
  return Object.fromEntries(
    Array.from(names, (name) => [
      name,
      spreadOf(samples.map((sample) => sample[name]).filter((value) => value !== undefined)),
    ]),
  )
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median: significant(median), min: significant(sorted[0]!), max: significant(sorted.at(-1)!) }
}

/** Four digits say all that such a measurement can. */
function significant(value: number): number {
  return Number(value.toPrecision(4))
}
