import { columnsOf } from '../table.ts'
import type { PointResult, Results } from '../types.ts'
import type { Chart } from './charts.ts'

/** The report as one file that needs nothing else. */
export function renderPage(results: Results, charts: readonly Chart[]): string {
  const workloads = [...new Set(results.points.map(({ workload }) => workload))]
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>groupwal: benchmark</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; margin: 2rem auto; max-width: 76rem; padding: 0 1rem }
figure { margin: 1.5rem 0; overflow-x: auto }
figure svg { max-width: 100%; height: auto; border: 1px solid #e5e7eb }
table { border-collapse: collapse; font-size: 13px; margin: .5rem 0 1.5rem; font-variant-numeric: tabular-nums }
th, td { padding: .15rem .6rem; border-bottom: 1px solid #e5e7eb; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
td.note { text-align: left; color: #6b7280 }
tr.ours { background: #fff7ed; font-weight: 600 }
.wide { overflow-x: auto }
</style>
</head>
<body>
<h1>groupwal: benchmark</h1>
<p>Begun with commit ${escapeHtml(results.commit)}, ${escapeHtml(results.date)}; a table that names a commit was measured with that one. Medians over the runs; hover a figure for its range.
"x bare" is the ratio to a loop that writes and syncs preallocated blocks in one thread and does nothing else, taken in
the same turn; "of limit" the ratio to what disk, wake-ups and memory would allow at most. A "bare group commit" counts,
elects a leader, writes one block and wakes the others, without any records. Ratios mean something on other machines,
times do not.</p>
${factsTable({ ...results.machine, ...results.settings })}
${charts.map(({ name, svg }) => `<figure id="${escapeHtml(name)}">${svg}</figure>`).join('\n')}
<h2>Peers</h2>
${peersTable(results)}
${workloads.map((name) => workloadSection(name, results)).join('\n')}
</body>
</html>
`
}

function factsTable(facts: Record<string, string | number | boolean>): string {
  const rows = Object.entries(facts).map(
    ([name, value]) => `<tr><th>${escapeHtml(name)}</th><td>${escapeHtml(String(value))}</td></tr>`,
  )
  return `<table>${rows.join('')}</table>`
}

function peersTable({ peers }: Results): string {
  const rows = Object.entries(peers).map(
    ([name, { version, durable, note }]) =>
      `<tr><td>${escapeHtml(name)}</td><td>${escapeHtml(version)}</td><td>${durable ? 'yes' : 'no'}</td><td class="note">${escapeHtml(note)}</td></tr>`,
  )
  return `<table><tr><th>peer</th><th>version</th><th>compared</th><th></th></tr>${rows.join('')}</table>`
}

function workloadSection(name: string, { points }: Results): string {
  const tables = points.filter(({ workload }) => workload === name).map(pointTable)
  return `<h2>${escapeHtml(name)}</h2>\n${tables.join('\n')}`
}

function pointTable({ key, rows, measured }: PointResult): string {
  const anew =
    measured === undefined ? '' : ` (${measured.commit.slice(0, 10)}, ${measured.date.slice(0, 16)})`
  const columns = columnsOf(rows)
  const head = columns.map(({ title }) => `<th>${escapeHtml(title)}</th>`).join('')
  const body = rows.map(({ subject, label, values, note }) => {
    const cells =
      note === undefined
        ? columns.map(({ name, show }) => {
            const value = values[name]
            if (value === undefined) return '<td></td>'
            return `<td title="${show(value.min)} to ${show(value.max)}">${show(value.median)}</td>`
          })
        : [`<td class="note" colspan="${Math.max(1, columns.length)}">${escapeHtml(note)}</td>`]
    return `<tr${subject === 'groupwal' ? ' class="ours"' : ''}><td>${escapeHtml(label)}</td>${cells.join('')}</tr>`
  })
  return `<div class="wide"><table><tr><th>${escapeHtml(key + anew)}</th>${head}</tr>${body.join('')}</table></div>`
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
