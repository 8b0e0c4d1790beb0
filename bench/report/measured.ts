import type { PointResult, Results } from '../types.ts'

/** Of which commits, and when, these points of the results were measured. */
export function describeMeasured(results: Results, points: readonly PointResult[]): string {
  const stamps = points.map(({ measured = results }) => {
    const { commit, date } = measured
    return `commit ${commit.slice(0, 10)}, ${date.slice(0, 10)}`
  })
  return [...new Set(stamps)].join(' and ')
}
