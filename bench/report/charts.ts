import type { PointResult, Results, Row } from '../types.ts'
import { renderSvg, WIDTH } from './chart-library.ts'

/** A chart of the report; its file is `<name>.svg`. */
export interface Chart {
  name: string
  title: string
  svg: string
}

type Style = 'ours' | 'ours, varied' | 'bare' | 'limit'

interface Series {
  label: string
  points: [number, number][]
  /** Drawn to stand out, or to step back; the others by their colours alone. */
  style?: Style
}

interface Axes {
  x: string
  y: string
  xType?: 'log' | 'value'
  yType?: 'log' | 'value'
  /** Ticks of a logarithmic axis: powers of this. */
  xBase?: number
}

/** The rest of the width is the legend's. */
const PLOT_END = 600
const OURS_LABEL = 'groupwal'
const STYLES: Record<Style, { color: string; type: string }> = {
  ours: { color: '#c2410c', type: 'solid' },
  'ours, varied': { color: '#c2410c', type: 'dotted' },
  bare: { color: '#111827', type: 'dashed' },
  limit: { color: '#6b7280', type: 'dashed' },
}
/** Told apart also by those who do not see red and green alike. */
const OTHERS = ['#0072b2', '#009e73', '#cc79a7', '#e6a700', '#56b4e9', '#7b4bb0', '#444444']

/** All charts for which there are figures. */
export function drawCharts(results: Results): Chart[] {
  const pick = (workload: string): PointResult[] =>
    results.points.filter((point) => point.workload === workload)
  const scaling = pick('scaling')
  const pending = pick('pending')
  return [
    chart('scaling-sync', 'Blocking commits: commits/s against producers', producers, [
      ...against('threads', scaling.filter(inMode('sync'))),
    ]),
    chart(
      'scaling-promise',
      'Promise commits, 64 pending per producer: commits/s against producers',
      producers,
      [...against('threads', scaling.filter(inMode('promise'))), ...window('threads', scaling)],
    ),
    chart(
      'pending',
      'One worker: commits/s against commits pending',
      { ...producers, x: 'commits pending', xBase: 4 },
      [
        ...against('pending', pending.filter(inMode('promise')).filter(withThreads(1))),
        ...window('pending', pending.filter(withThreads(1))),
      ],
    ),
    chart(
      'latency',
      'Latency from the time a commit was due, by arrival rate (4 workers)',
      cdfAxes,
      latencySeries(results),
    ),
    chart(
      'batch-size',
      'Commits per sync against arrival rate (4 workers)',
      { x: 'commits/s asked for', y: 'commits per sync', xType: 'log', yType: 'log' },
      figure('ratePerSecond', 'commitsPerSync', pick('arrival')),
    ),
    chart(
      'recovery',
      'After an unclean end: time to open, and to replay, against size of the log',
      { x: 'log, MiB', y: 'ms', xType: 'log', yType: 'log' },
      recoverySeries(pick('recovery')),
    ),
  ].filter((drawn) => drawn !== undefined)
}

const producers: Axes = { x: 'producers', y: 'commits/s', xType: 'log', yType: 'log', xBase: 2 }
const cdfAxes: Axes = { x: 'latency, us', y: '% of commits', xType: 'log', yType: 'value' }

function chart(name: string, title: string, axes: Axes, series: Series[]): Chart | undefined {
  const drawn = series
    .map((one) => ({
      ...one,
      points: one.points.filter(([x, y]) => isDrawable(x, axes.xType) && isDrawable(y, axes.yType)),
    }))
    .filter(({ points }) => points.length > 0)
  return drawn.length === 0 ? undefined : { name, title, svg: renderSvg(optionOf(title, axes, drawn)) }
}

function isDrawable(value: number, type: Axes['xType']): boolean {
  return Number.isFinite(value) && (type !== 'log' || value > 0)
}

function optionOf(title: string, axes: Axes, series: readonly Series[]): object {
  let next = 0
  const text = { fontFamily: 'system-ui, sans-serif', color: '#1f2937' }
  const axis = (name: string, type: Axes['xType'], base: number | undefined): object => ({
    type: type ?? 'value',
    name,
    nameLocation: 'middle',
    nameTextStyle: { ...text, fontSize: 13 },
    axisLabel: { ...text, formatter: shortNumber, hideOverlap: true },
    splitLine: { lineStyle: { color: '#e5e7eb' } },
    axisLine: { show: true, lineStyle: { color: '#9ca3af' } },
    ...(type === 'log' ? { logBase: base ?? 10 } : {}),
  })
  return {
    backgroundColor: '#ffffff',
    animation: false,
    title: { text: title, left: 16, top: 10, textStyle: { ...text, fontSize: 16, fontWeight: 600 } },
    // Without a browser the width of text is a guess: so the legend has a column of its own.
    legend: { type: 'plain', orient: 'vertical', left: PLOT_END + 15, top: 52, textStyle: text },
    grid: { left: 78, right: WIDTH - PLOT_END, top: 52, bottom: 58 },
    xAxis: { ...axis(axes.x, axes.xType, axes.xBase), nameGap: 32 },
    yAxis: { ...axis(axes.y, axes.yType, undefined), nameGap: 56 },
    series: series.map(({ label, points, style }) => {
      const { color, type } =
        style === undefined ? { color: OTHERS[next++ % OTHERS.length], type: 'solid' } : STYLES[style]
      return {
        type: 'line',
        name: label,
        data: points,
        color,
        symbol: style === 'limit' ? 'none' : 'circle',
        symbolSize: style === 'ours' ? 8 : 6,
        lineStyle: { color, width: style === 'ours' ? 3.5 : 1.8, type },
        z: style === 'ours' ? 5 : 2,
      }
    }),
  }
}

/** A series for groupwal, for the limit, for what it is compared with, sorted as the legend shows them. */
function against(parameter: string, points: readonly PointResult[]): Series[] {
  const subjects = new Map<string, string>()
  for (const { rows } of points) for (const { subject, label } of rows) subjects.set(label, subject)
  const series: Series[] = []
  for (const [label, subject] of subjects) {
    if (['wake', 'memcpy', 'bandwidth', 'bare'].includes(subject)) continue
    const line = lineOf(parameter, 'commitsPerSecond', points, (row) => row.label === label)
    const style = styleOf(subject, label)
    series.push({ label, points: line, ...(style === undefined ? {} : { style }) })
  }
  series.push({
    label: 'limit',
    points: lineOf(parameter, 'limitPerSecond', points, ({ subject }) => subject === 'groupwal'),
    style: 'limit',
  })
  return series
}

function styleOf(subject: string, label: string): Style | undefined {
  if (subject === 'group-commit') return 'bare'
  if (subject !== 'groupwal') return undefined
  return label === OURS_LABEL ? 'ours' : 'ours, varied'
}

function window(parameter: string, points: readonly PointResult[]): Series[] {
  const line = lineOf(parameter, 'commitsPerSecond', points.filter(inMode('window')), isOurs)
  return [{ label: 'groupwal, window', points: line }]
}

function figure(parameter: string, name: string, points: readonly PointResult[]): Series[] {
  return [{ label: OURS_LABEL, points: lineOf(parameter, name, points, isOurs), style: 'ours' }]
}

function recoverySeries(points: readonly PointResult[]): Series[] {
  const inMebibytes = (series: [number, number][]): [number, number][] =>
    series.map(([x, y]) => [x / 2 ** 20, y])
  const line = (name: string, subject: string): [number, number][] =>
    inMebibytes(lineOf('logBytes', name, points, (row) => row.subject === subject))
  return [
    { label: 'groupwal: open', points: line('openMs', 'groupwal'), style: 'ours' },
    { label: 'groupwal: replay', points: line('replayMs', 'groupwal') },
    { label: 'reading the files', points: line('replayMs', 'files'), style: 'limit' },
  ]
}

function latencySeries(results: Results): Series[] {
  return results.points
    .filter(({ workload }) => workload === 'arrival')
    .flatMap(({ rows, parameters }) =>
      rows.filter(isOurs).map(({ cdf }) => ({
        label: `${shortNumber(Number(parameters.ratePerSecond))} commits/s`,
        points: (cdf ?? []).map(([percentile, micros]): [number, number] => [micros, percentile]),
      })),
    )
}

function lineOf(
  parameter: string,
  name: string,
  points: readonly PointResult[],
  isWanted: (row: Row) => boolean,
): [number, number][] {
  return points
    .flatMap(({ parameters, rows }): [number, number][] => {
      const value = rows.find(isWanted)?.values[name]?.median
      return value === undefined ? [] : [[Number(parameters[parameter]), value]]
    })
    .sort(([a], [b]) => a - b)
}

function isOurs({ subject }: Row): boolean {
  return subject === 'groupwal'
}

function inMode(mode: string): (point: PointResult) => boolean {
  return ({ parameters }) => parameters.mode === mode
}

function withThreads(threads: number): (point: PointResult) => boolean {
  return ({ parameters }) => parameters.threads === threads
}

/** 1200 is 1.2k. */
export function shortNumber(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`
  return value >= 1000 ? `${Number((value / 1000).toPrecision(3))}k` : String(Number(value.toPrecision(3)))
}
