import * as points from './points.ts'

/** One ratio that must hold, within a turn of the same run. */
export interface RatioLimit {
  name: string
  point: points.PointSpec
  figure: string
  least?: number
  most?: number
}

/**
 * Far below what a quiet machine shows, because a busy one shows less; far above what a lost wake-up, a second sync
 * per batch, or batches that no longer gather would leave.
 */
export const RATIO_LIMITS: readonly RatioLimit[] = [
  {
    name: 'a lone blocking producer keeps up with the bare loop',
    point: points.commits('sync', 1, 1),
    figure: 'ofBare',
    least: 0.6,
  },
  {
    name: 'four blocking producers share syncs',
    point: points.commits('sync', 4, 1),
    figure: 'commitsPerSync',
    least: 1.4,
  },
  {
    name: 'sixteen blocking producers share syncs',
    point: points.commits('sync', 16, 1),
    figure: 'commitsPerSync',
    least: 4,
  },
  {
    name: 'sixteen blocking producers outrun the bare loop',
    point: points.commits('sync', 16, 1),
    figure: 'ofBare',
    least: 2.5,
  },
  {
    name: 'no blocking producer starves',
    point: points.commits('sync', 16, 1),
    figure: 'slowestShare',
    least: 0.3,
  },
  {
    name: 'a lone promise is not much slower than the bare loop',
    point: points.commits('promise', 1, 1),
    figure: 'p50OfBare',
    most: 2,
  },
  {
    name: 'pending promises share syncs',
    point: points.commits('promise', 1, 64),
    figure: 'commitsPerSync',
    least: 25,
  },
  {
    name: 'pending promises outrun the bare loop',
    point: points.commits('promise', 1, 64),
    figure: 'ofBare',
    least: 12,
  },
  {
    name: 'windows outrun the bare loop',
    point: points.commits('window', 4, 256),
    figure: 'ofBare',
    least: 40,
  },
]

/** Bytes of JavaScript heap per call: the same on every machine. */
export const HEAP_LIMITS: Record<string, number> = {
  append: 40,
  commitSync: 300,
  commit: 700,
}

/** Durable writes per lone commit, as a tracer counts them: the same on every machine. */
export const SYNCS_PER_LONE_COMMIT = 1
