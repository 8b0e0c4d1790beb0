import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'

export const WIDTH = 820
const HEIGHT = 460

interface Echarts {
  init(
    element: null,
    theme: null,
    options: { renderer: 'svg'; ssr: true; width: number; height: number },
  ): { setOption(option: object): void; renderToSVGString(): string; dispose(): void }
}

/** Where the chart library is installed, apart from the project's own packages. */
export const chartsDirectory: string = resolve('bench', 'charts')

export function hasChartLibrary(): boolean {
  return existsSync(join(chartsDirectory, 'node_modules', 'echarts', 'package.json'))
}

/** Loads a package of bench/charts. */
export function loadChartPackage<T>(name: string): T {
  return createRequire(join(chartsDirectory, 'package.json'))(name) as T
}

/**
 * Draws a chart as SVG text that stands by itself.
 *
 * @throws Error when the library is not installed
 */
export function renderSvg(option: object): string {
  if (!hasChartLibrary()) throw new Error('the chart library is not installed: npm run bench:charts')
  const echarts = loadChartPackage<Echarts>('echarts')
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT })
  try {
    chart.setOption(option)
    return chart.renderToSVGString()
  } finally {
    chart.dispose()
  }
}
