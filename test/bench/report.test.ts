// @timeout 120
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { chartsDirectory, hasChartLibrary, loadChartPackage } from '../../bench/report/chart-library.ts'
import { drawCharts } from '../../bench/report/charts.ts'
import { renderPage } from '../../bench/report/page.ts'
import { readmeTable, updateReadme } from '../../bench/report/readme.ts'
import { renderSummary } from '../../bench/report/summary.ts'
import { skipUnless } from '../support/skip.ts'
import { handmadeResults } from './handmade-results.ts'

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const VIEW = { viewport: { width: 1200, height: 900 } }
const EXPECTED_CHARTS = ['scaling-sync', 'scaling-promise', 'pending', 'latency', 'batch-size', 'recovery']

interface Page {
  on(
    event: 'console' | 'pageerror' | 'request',
    listener: (value: { url?(): string; text?(): string }) => void,
  ): void
  goto(url: string): Promise<unknown>
  evaluate<T>(script: string): Promise<T>
  screenshot(): Promise<Buffer>
}

interface Playwright {
  chromium: {
    launch(options: { executablePath: string; args: string[] }): Promise<{
      newPage(options: object): Promise<Page>
      close(): Promise<void>
    }>
  }
}

const browserPath = BROWSERS.find((path) => existsSync(path))
const noCharts = hasChartLibrary() ? undefined : 'no chart library: npm run bench:charts'
const noBrowser =
  noCharts ??
  (browserPath === undefined
    ? 'no chromium here'
    : existsSync(join(chartsDirectory, 'node_modules', 'playwright-core'))
      ? undefined
      : 'no playwright-core: npm run bench:charts')

test('the summary lists contenders quickest first, and names a peer that could not run', () => {
  const summary = renderSummary(handmadeResults())
  const names = summary
    .slice(summary.indexOf('| 4 producers, blocking'))
    .split('\n')
    .slice(2, 7)
    .map((line) => line.split('|')[1]!.trim())
  assert.equal(names, ['**groupwal**', 'bare group commit', 'a file per worker', 'bare loop', 'lmdb'])
  assert.match(summary, 'not installed')
})

test('the table of README has a line for each contender, quickest first, and stands between its marks', () => {
  const results = handmadeResults()
  const lines = readmeTable(results).split('\n')
  assert.match(lines[0]!, '4 threads')
  assert.equal(
    lines.slice(2).map((line) => line.split('|')[1]!.trim()),
    ['**groupwal**', 'bare group commit', 'a file per worker', 'bare loop', 'lmdb'],
  )
  assert.match(lines.at(-1)!, 'not installed')
  const readme = readFileSync('README.md', 'utf8')
  const once = updateReadme(readme, results, ['scaling-sync'])
  assert.ok(once.includes(lines.join('\n')))
  assert.is(updateReadme(once, results, ['scaling-sync']), once)
  assert.throws(() => updateReadme('# another', results, []), 'lacks its marks')
})

skipUnless(test, noCharts, 'the page holds every chart and figure, and text from outside is escaped', () => {
  const results = handmadeResults()
  results.points[0]!.rows[0]!.label = '<script>alert(1)</script>'
  const charts = drawCharts(results)
  assert.equal(
    charts.map(({ name }) => name),
    EXPECTED_CHARTS,
  )
  const page = renderPage(results, charts)
  assert.not.match(page, '<script')
  assert.match(page, '17,000')
  assert.match(page, results.commit)
})

skipUnless(
  test,
  noCharts,
  'the bare group commit has a line among those that block, where it was measured',
  () => {
    const results = handmadeResults()
    const svgOf = (name: string): string => drawCharts(results).find((chart) => chart.name === name)!.svg
    assert.match(svgOf('scaling-sync'), 'bare group commit')
    assert.not.match(svgOf('scaling-promise'), 'bare group commit')
    for (const point of results.points) {
      point.rows = point.rows.filter(({ subject }) => subject !== 'group-commit')
    }
    const texts = [svgOf('scaling-sync'), renderSummary(results), readmeTable(results)]
    for (const text of texts) assert.not.match(text, 'bare group commit')
  },
)

skipUnless(test, noCharts, 'a chart without figures is left out', () => {
  assert.equal(drawCharts({ ...handmadeResults(), points: [] }), [])
})

skipUnless(
  test,
  noBrowser,
  'a browser shows the charts: lines drawn, no text cut off, nothing loaded',
  async () => {
    const base = join(process.cwd(), '.cache', 'tmp')
    await mkdir(base, { recursive: true })
    const directory = mkdtempSync(join(base, 'report-'))
    const path = join(directory, 'index.html')
    const results = handmadeResults()
    writeFileSync(path, renderPage(results, drawCharts(results)))
    const { chromium } = loadChartPackage<Playwright>('playwright-core')
    const browser = await chromium.launch({ executablePath: browserPath!, args: ['--no-sandbox'] })
    try {
      await lookAt(await browser.newPage(VIEW), path)
      await lookAt(await browser.newPage(VIEW), join(process.cwd(), 'bench', 'report', 'index.html'))
    } finally {
      await browser.close()
      rmSync(directory, { recursive: true, force: true })
    }
  },
)

async function lookAt(page: Page, path: string): Promise<void> {
  const complaints: string[] = []
  const requests: string[] = []
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => complaints.push(message.text!()))
  page.on('request', (request) => requests.push(request.url!()))
  const url = pathToFileURL(path).href
  await page.goto(url)
  const seen = await page.evaluate<SeenChart[]>(LOOK_AT_CHARTS)
  assert.equal(complaints, [])
  assert.equal(requests, [url])
  assert.equal(
    seen.map(({ name }) => name),
    EXPECTED_CHARTS,
  )
  for (const { name, width, lines, texts, cutOff, legendOverPlot } of seen) {
    assert.ok(width > 600, `${path}: ${name} is ${width} wide`)
    assert.ok(lines > 0, `${path}: ${name} shows no line`)
    assert.ok(texts > 6, `${path}: ${name} shows ${texts} texts`)
    assert.equal(cutOff, [], `${path}: ${name}: cut off`)
    assert.equal(legendOverPlot, [], `${path}: ${name}: legend over the plot`)
  }
}

interface SeenChart {
  name: string
  width: number
  /** Coloured lines of some size. */
  lines: number
  texts: number
  cutOff: string[]
  legendOverPlot: string[]
}

/** Runs in the page. The plot ends at 600 of 820; before each text of the legend stands its symbol. */
const LOOK_AT_CHARTS = `Array.from(document.querySelectorAll('figure'), (figure) => {
  const svg = figure.querySelector('svg')
  const outer = svg.getBoundingClientRect()
  const scale = outer.width / 820
  const plotEnd = outer.left + 610 * scale
  const paths = Array.from(svg.querySelectorAll('path, polyline'))
  const lines = paths.filter((path) => {
    const box = path.getBoundingClientRect()
    const style = getComputedStyle(path)
    const isGrey = ['rgb(229, 231, 235)', 'rgb(156, 163, 175)', 'none'].includes(style.stroke)
    return !isGrey && style.fill === 'none' && box.width > 100
  })
  const texts = Array.from(svg.querySelectorAll('text'))
  const isOutside = (box) =>
    box.left < outer.left - 1 || box.right > outer.right + 1 || box.top < outer.top - 1 || box.bottom > outer.bottom + 1
  const labels = texts.filter((text) => text.getBoundingClientRect().left > outer.left + 500 * scale)
  const inLegend = labels.filter((text) => {
    const { top, bottom } = text.getBoundingClientRect()
    return top > outer.top + 45 * scale && bottom < outer.top + 400 * scale
  })
  return {
    name: figure.id,
    width: outer.width,
    lines: lines.length,
    texts: texts.length,
    cutOff: texts.filter((text) => isOutside(text.getBoundingClientRect())).map((text) => text.textContent),
    legendOverPlot: inLegend
      .filter((text) => text.getBoundingClientRect().left < plotEnd)
      .map((text) => text.textContent),
  }
})`

test.run()
