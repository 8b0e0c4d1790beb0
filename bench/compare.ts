import { count, decimal } from './table.ts'
import type { PointResult, Results, Row, Spread } from './types.ts'

/** Figures that are compared; for the others lower is better. */
const HIGHER_IS_BETTER: ReadonlySet<string> = new Set([
  'commitsPerSecond',
  'recordsPerSecond',
  'gigabytesPerSecond',
  'ofBare',
  'ofLimit',
])
const COMPARED: readonly string[] = [
  ...HIGHER_IS_BETTER,
  'p50Micros',
  'p99Micros',
  'cpuMicrosPerCommit',
  'openMs',
  'firstCommitMs',
  'replayMs',
  'cpuPercent',
  'rssMostMiB',
]

/**
 * What changed between two runs: only figures whose ranges do not touch. Machine and settings that differ are named,
 * for then only the ratios (ofBare, ofLimit) say something about the code.
 */
export function compareResults(before: Results, after: Results): string {
  const lines = [`A: ${before.commit}, ${before.date}`, `B: ${after.commit}, ${after.date}`]
  for (const part of ['machine', 'settings'] as const) {
    const names = new Set([...Object.keys(before[part]), ...Object.keys(after[part])])
    for (const name of names) {
      const [a, b] = [before[part][name], after[part][name]]
      if (a !== b) lines.push(`differs: ${name}: ${a} | ${b}`)
    }
  }
  let compared = 0
  const changes: string[] = []
  for (const point of after.points) {
    const earlier = before.points.find(
      ({ workload, key }) => workload === point.workload && key === point.key,
    )
    if (earlier === undefined) continue
    compared++
    changes.push(...comparePoint(earlier, point))
  }
  lines.push('', ...changes)
  lines.push(
    '',
    `${compared} points in both, ${changes.length} figures changed beyond the range of their runs`,
  )
  return lines.join('\n')
}

function comparePoint(before: PointResult, after: PointResult): string[] {
  return after.rows.flatMap((row) => {
    const earlier = before.rows.find(({ label }) => label === row.label)
    if (earlier === undefined) return []
    return COMPARED.flatMap((name) => compareFigure(name, earlier, row)).map(
      (text) => `${after.workload}: ${after.key}, ${row.label}: ${text}`,
    )
  })
}

function compareFigure(name: string, before: Row, after: Row): string[] {
  const a = before.values[name]
  const b = after.values[name]
  if (a === undefined || b === undefined || (a.min <= b.max && b.min <= a.max)) return []
  const isBetter = b.median > a.median === HIGHER_IS_BETTER.has(name)
  const factor = a.median === 0 ? '' : ` (x ${decimal(b.median / a.median)})`
  return [`${isBetter ? 'better' : 'WORSE '} ${name} ${show(a)} -> ${show(b)}${factor}`]
}

function show({ median }: Spread): string {
  return median >= 1000 ? count(median) : decimal(median)
}

/** Earlier results with points that were measured later: in place of those they repeat, else behind them. */
export function mergeResults(earlier: Results, later: Results): Results {
  const { date, commit } = later
  const points = [...earlier.points]
  for (const point of later.points) {
    const stamped = { ...point, measured: { date, commit } }
    const at = points.findIndex(({ workload, key }) => workload === point.workload && key === point.key)
    if (at < 0) points.push(stamped)
    else points[at] = stamped
  }
  return { ...earlier, points }
}
