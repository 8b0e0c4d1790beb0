import { count } from '../table.ts'
import type { PointResult, Results, Row } from '../types.ts'
import { describeMeasured } from './measured.ts'

const BEGIN = '<!-- what follows, to the end mark, is written by: npm run bench:report -->'
const END = '<!-- end of what npm run bench:report writes -->'

/** The columns; the table is sorted by the first of them that was measured and says `sorts`. */
const COLUMNS: readonly { workload: string; key: string; title: string; sorts?: true }[] = [
  { workload: 'scaling', key: 'sync 1', title: '1 thread' },
  { workload: 'scaling', key: 'sync 4', title: '4 threads' },
  { workload: 'scaling', key: 'sync 16', title: '16 threads', sorts: true },
  { workload: 'scaling', key: 'sync 64', title: '64 threads' },
  { workload: 'pending', key: 'promise 1 x 64', title: '1 x 64 promises' },
  { workload: 'pending', key: 'promise 1 x 1024', title: '1 x 1,024' },
  { workload: 'pending', key: 'promise 4 x 256', title: '4 x 256' },
  { workload: 'pending', key: 'window 4 x 1024', title: 'window 4 x 1,024' },
]
const NOT_SHOWN: ReadonlySet<string> = new Set(['wake', 'memcpy', 'bandwidth'])

/** README with the table and the charts of these results in place of those before. */
export function updateReadme(readme: string, results: Results, chartNames: readonly string[]): string {
  const begin = readme.indexOf(BEGIN)
  const end = readme.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`README.md lacks its marks: ${BEGIN} … ${END}`)
  const { machine, settings } = results
  const shown = columnsOf(results).map(({ point }) => point)
  const facts = [
    `Commits per second, medians of ${settings.runs} runs that take turns; ${describeMeasured(results, shown)}.`,
    `${machine.cpus} processors, ${machine.fileSystem}, Node ${machine.node}, sync method ${settings.syncMethod}.`,
  ]
  const charts = [
    chartNames.includes('scaling-sync')
      ? '![Commits per second against the number of producers that block](bench/report/scaling-sync.svg)'
      : '',
    chartNames.includes('scaling-promise')
      ? '![Commits per second against the number of workers with 64 promises each](bench/report/scaling-promise.svg)'
      : '',
  ].filter((line) => line !== '')
  const written = [facts.join('\n'), readmeTable(results), ...(charts.length > 0 ? [charts.join('\n')] : [])]
  return `${readme.slice(0, begin)}${BEGIN}\n\n${written.join('\n\n')}\n\n${readme.slice(end)}`
}

/** One line per contender, the quickest first. */
export function readmeTable(results: Results): string {
  const columns = columnsOf(results)
  const sorting = (columns.find(({ sorts }) => sorts) ?? columns[0])?.point
  const labels = new Set<string>()
  for (const { point } of columns) {
    for (const { subject, label } of point.rows) if (!NOT_SHOWN.has(subject)) labels.add(label)
  }
  // A variant that was not measured there stands behind the contender that it is one of.
  const order = (label: string): number =>
    rateOf(rowOf(sorting, label) ?? rowOf(sorting, label.split(',')[0]))
  const lines = [...labels]
    .sort((a, b) => order(b) - order(a))
    .map((label) => {
      const name = label.startsWith('groupwal') ? `**${label}**` : label
      return `| ${[name, ...columns.map(({ point }) => cellOf(rowOf(point, label)))].join(' | ')} |`
    })
  return [
    `| | ${columns.map(({ title }) => title).join(' | ')} |`,
    `|---|${columns.map(() => '---:|').join('')}`,
    ...lines,
  ].join('\n')
}

/** Those that were measured. */
function columnsOf(results: Results): ((typeof COLUMNS)[number] & { point: PointResult })[] {
  return COLUMNS.flatMap((column) => {
    const point = results.points.find(
      ({ workload, key }) => workload === column.workload && key === column.key,
    )
    return point === undefined ? [] : [{ ...column, point }]
  })
}

function rowOf(point: PointResult | undefined, label: string): Row | undefined {
  return point?.rows.find((row) => row.label === label)
}

function rateOf(row: Row | undefined): number {
  return row?.values.commitsPerSecond?.median ?? -1
}

function cellOf(row: Row | undefined): string {
  if (row === undefined) return ''
  return row.values.commitsPerSecond === undefined ? (row.note ?? '') : count(rateOf(row))
}
