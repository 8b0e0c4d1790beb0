import type { PointResult, Row, Spread } from './types.ts'

/** A figure as tables show it. */
export interface Column {
  name: string
  title: string
  show(value: number): string
}

const COLUMNS: readonly Column[] = [
  { name: 'commitsPerSecond', title: 'commits/s', show: count },
  { name: 'recordsPerSecond', title: 'records/s', show: count },
  { name: 'mibPerSecond', title: 'MiB/s', show: decimal },
  { name: 'gigabytesPerSecond', title: 'GB/s', show: decimal },
  { name: 'ofBare', title: 'x bare', show: decimal },
  { name: 'ofLimit', title: 'of limit', show: decimal },
  { name: 'syncsPerSecond', title: 'syncs/s', show: count },
  { name: 'commitsPerSync', title: 'per sync', show: decimal },
  { name: 'p50Micros', title: 'p50 us', show: count },
  { name: 'p99Micros', title: 'p99 us', show: count },
  { name: 'p999Micros', title: 'p99.9 us', show: count },
  { name: 'maxMicros', title: 'max us', show: count },
  { name: 'slowestShare', title: 'slowest', show: decimal },
  { name: 'cpuMicrosPerCommit', title: 'cpu us', show: decimal },
  { name: 'rssMiB', title: 'rss MiB', show: count },
  { name: 'openMs', title: 'open ms', show: decimal },
  { name: 'firstCommitMs', title: 'first commit ms', show: decimal },
  { name: 'replayMs', title: 'replay ms', show: decimal },
  { name: 'cpuPercent', title: 'cpu %', show: decimal },
  { name: 'rssEarlyMiB', title: 'rss early MiB', show: count },
  { name: 'rssLateMiB', title: 'rss late MiB', show: count },
  { name: 'rssMostMiB', title: 'rss most MiB', show: count },
  { name: 'pageCacheGrowthMiB', title: 'page cache MiB', show: count },
  { name: 'bytesPerProducer', title: 'bytes/producer', show: count },
]

/** One point as text, median (range of the first figure) per contender. */
export function formatPoint({ workload, key, rows }: PointResult): string {
  const columns = columnsOf(rows)
  const lines = [
    [`${workload}: ${key}`, ...columns.map(({ title }) => title), columns.length > 0 ? 'min to max' : ''],
  ]
  for (const row of rows) lines.push(cellsOf(row, columns))
  const widths = lines[0]!.map((_, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((cell, index) => (index === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[index]!)))
        .join('  '),
    )
    .join('\n')
}

/** The columns for which these rows have figures. */
export function columnsOf(rows: readonly Row[]): Column[] {
  return COLUMNS.filter(({ name }) => rows.some(({ values }) => values[name] !== undefined))
}

function cellsOf({ label, values, note }: Row, columns: readonly Column[]): string[] {
  if (note !== undefined) return [`  ${label}: ${note}`]
  const cells = columns.map(({ name, show }) => (values[name] === undefined ? '' : show(values[name].median)))
  const first = columns.find(({ name }) => values[name] !== undefined)
  return [`  ${label}`, ...cells, first === undefined ? '' : range(values[first.name]!, first)]
}

function range({ min, max }: Spread, { show }: Column): string {
  return `${show(min)} to ${show(max)}`
}

export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

export function decimal(value: number): string {
  return value >= 100 ? count(value) : value.toFixed(value >= 10 ? 1 : value >= 0.1 ? 2 : 3)
}
