// Looks whether groupwal has become slower, by figures that a noisy machine does not bend: `npm run bench:guard`
//
// No times. Ratios are taken against a bare loop that takes turns with groupwal; noise makes them worse, never better,
// so each has some attempts. Syncs and heap bytes per commit are counted. Prints `N passed, N failed[, N skipped]`.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Arena } from './arena.ts'
import { HEAP_LIMITS, RATIO_LIMITS, type RatioLimit, SYNCS_PER_LONE_COMMIT } from './guard-limits.ts'
import { measurePoint, type Settings } from './measure.ts'
import type { PointResult } from './types.ts'
import { verify } from './verify-peers.ts'

const ATTEMPTS = 4

const base = resolve('.cache', 'bench')
mkdirSync(base, { recursive: true })
const directory = mkdtempSync(join(base, 'guard-'))
const settings: Settings = {
  directory,
  // Everywhere to be had; what is compared uses the same.
  syncMethod: 'fdatasync',
  quick: true,
  runs: 3,
  runMs: 200,
  warmUpMs: 150,
  compileMs: 20,
  stagingSlots: 1,
  peers: [],
  notDurable: [],
}
const counts = { passed: 0, failed: 0, skipped: 0 }

try {
  await checkSyncs()
  await checkHeap()
  await checkRatios()
} finally {
  rmSync(directory, { recursive: true, force: true })
}
console.log(
  `\n${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''}`,
)
process.exitCode = counts.failed > 0 ? 1 : 0

function tell(name: string, holds: boolean, text: string): void {
  counts[holds ? 'passed' : 'failed']++
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${name}: ${text}`)
}

async function checkSyncs(): Promise<void> {
  const name = 'a lone commit costs one durable write'
  if (spawnSync('strace', ['-V'], { stdio: 'ignore' }).status !== 0) {
    counts.skipped++
    console.log(`SKIP ${name} (no strace here)`)
    return
  }
  for (const method of ['dsync', 'fdatasync'] as const) {
    let verdict = await verify(directory, 'groupwal', '', method)
    for (let attempt = 1; attempt < ATTEMPTS && verdict.syncsPerCommit !== SYNCS_PER_LONE_COMMIT; attempt++) {
      verdict = await verify(directory, 'groupwal', '', method)
    }
    const { durable, syncsPerCommit, note } = verdict
    const isExact = durable && syncsPerCommit === SYNCS_PER_LONE_COMMIT
    tell(`${name} (${method})`, isExact, `${syncsPerCommit} per commit; ${note}`)
  }
}

async function checkHeap(): Promise<void> {
  const arena = new Arena(directory)
  try {
    const spec = { directory: arena.directory, syncMethod: settings.syncMethod }
    const bytes = await arena.task<Record<string, number>>('heapBytes', spec)
    for (const [call, limit] of Object.entries(HEAP_LIMITS)) {
      tell(
        `${call} leaves at most ${limit} bytes on the heap`,
        bytes[call]! <= limit,
        `${Math.round(bytes[call]!)} bytes`,
      )
    }
  } finally {
    await arena.close()
  }
}

/** Each point is measured until all its limits hold, or its attempts are used up. */
async function checkRatios(): Promise<void> {
  const byPoint = new Map<string, RatioLimit[]>()
  for (const limit of RATIO_LIMITS)
    byPoint.set(limit.point.key, [...(byPoint.get(limit.point.key) ?? []), limit])
  for (const limits of byPoint.values()) {
    const best = new Map<RatioLimit, number>()
    for (
      let attempt = 0;
      attempt < ATTEMPTS && !limits.every((limit) => holds(limit, best.get(limit)));
      attempt++
    ) {
      const result = await measurePoint('guard', limits[0]!.point, settings)
      for (const limit of limits) noteBest(best, limit, figureOf(result, limit))
    }
    for (const limit of limits) {
      const { name, figure, least, most } = limit
      const bound = least === undefined ? `at most ${most}` : `at least ${least}`
      tell(name, holds(limit, best.get(limit)), `${figure} ${best.get(limit) ?? 'missing'}, ${bound}`)
    }
  }
}

function figureOf({ rows }: PointResult, { figure }: RatioLimit): number | undefined {
  return rows.find(({ subject }) => subject === 'groupwal')?.values[figure]?.median
}

function noteBest(best: Map<RatioLimit, number>, limit: RatioLimit, value: number | undefined): void {
  if (value === undefined) return
  const known = best.get(limit)
  const isBetter = known === undefined || (limit.least !== undefined ? value > known : value < known)
  if (isBetter) best.set(limit, value)
}

function holds({ least, most }: RatioLimit, value: number | undefined): boolean {
  return (
    value !== undefined &&
    value >= (least ?? Number.NEGATIVE_INFINITY) &&
    value <= (most ?? Number.POSITIVE_INFINITY)
  )
}
