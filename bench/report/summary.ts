import { count, decimal } from '../table.ts'
import type { PointResult, Results, Row } from '../types.ts'
import { describeMeasured } from './measured.ts'

/** Points that the summary shows, where they were measured. */
const SHOWN: readonly [workload: string, key: string, title: string][] = [
  ['scaling', 'sync 1', '1 producer, blocking'],
  ['scaling', 'sync 4', '4 producers, blocking'],
  ['scaling', 'sync 16', '16 producers, blocking'],
  ['scaling', 'sync 64', '64 producers, blocking'],
  ['pending', 'promise 1 x 64', '1 worker, 64 promises'],
  ['pending', 'promise 1 x 1024', '1 worker, 1024 promises'],
  ['scaling', 'promise 4 x 64', '4 workers, 64 promises each'],
  ['pending', 'window 4 x 1024', '4 workers, window of 1024 each'],
]
const NOT_SHOWN: ReadonlySet<string> = new Set(['wake', 'memcpy', 'bandwidth'])

/** The result in a few Markdown tables, quickest first, for README. */
export function renderSummary(results: Results): string {
  const { machine, settings } = results
  const shown = SHOWN.flatMap(([workload, key, title]) => {
    const point = results.points.find((candidate) => candidate.workload === workload && candidate.key === key)
    return point === undefined ? [] : [{ title, point }]
  })
  const measured = describeMeasured(
    results,
    shown.map(({ point }) => point),
  )
  const where = `${machine.cpu}, ${machine.cpus} CPUs, ${machine.fileSystem}, ${machine.kernel}, Node ${machine.node}`
  return [
    `Of ${measured}. ${where}. 128-byte records, sync method ${settings.syncMethod}, median of ${settings.runs} runs.`,
    ...shown.map(({ title, point }) => tableOf(title, point)),
  ].join('\n\n')
}

function tableOf(title: string, { rows }: PointResult): string {
  const rate = ({ values }: Row): number => values.commitsPerSecond?.median ?? -1
  const lines = rows
    .filter(({ subject }) => !NOT_SHOWN.has(subject))
    .sort((a, b) => rate(b) - rate(a))
    .map(({ subject, label, values, note }) => {
      const name = subject === 'groupwal' ? `**${label}**` : label
      const { commitsPerSecond, p50Micros, p99Micros, ofBare } = values
      if (note !== undefined || commitsPerSecond === undefined) return `| ${name} | ${note ?? ''} | | | |`
      const cells = [count(commitsPerSecond.median), count(p50Micros!.median), count(p99Micros!.median)]
      return `| ${name} | ${cells.join(' | ')} | ${ofBare === undefined ? '1' : decimal(ofBare.median)} |`
    })
  return [
    `| ${title} | commits/s | p50 us | p99 us | x bare loop |`,
    '|---|---:|---:|---:|---:|',
    ...lines,
  ].join('\n')
}
