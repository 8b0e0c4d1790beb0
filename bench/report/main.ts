// Makes the report of a measurement: `npm run bench:report -- [RESULTS.json] [--output DIR]`
// Without --output it is the published one, and README.md gets its table and charts.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Results } from '../types.ts'
import { drawCharts } from './charts.ts'
import { renderPage } from './page.ts'
import { updateReadme } from './readme.ts'
import { renderSummary } from './summary.ts'

const { values: args, positionals } = parseArgs({
  allowPositionals: true,
  options: { output: { type: 'string' } },
})
const published = join('bench', 'report')

const text = readFileSync(positionals[0] ?? join('.cache', 'bench', 'results.json'), 'utf8')
const results = JSON.parse(text) as Results
const charts = drawCharts(results)
const output = resolve(args.output ?? published)
mkdirSync(output, { recursive: true })
writeFileSync(join(output, 'index.html'), renderPage(results, charts))
writeFileSync(join(output, 'results.json'), text)
writeFileSync(join(output, 'summary.md'), `${renderSummary(results)}\n`)
for (const { name, svg } of charts) writeFileSync(join(output, `${name}.svg`), `${svg}\n`)
if (args.output === undefined) {
  const chartNames = charts.map(({ name }) => name)
  writeFileSync('README.md', updateReadme(readFileSync('README.md', 'utf8'), results, chartNames))
}
console.log(
  `${join(args.output ?? published, 'index.html')}, summary.md and ${charts.map(({ name }) => `${name}.svg`).join(', ')}`,
)
