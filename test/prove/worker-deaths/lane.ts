import type { Pipe } from '../../support/pipe.ts'
import type { DeathResult } from './death.ts'
import { InternalDeaths } from './internal-deaths.ts'
import { KINDS, type Series, WORKS } from './plan.ts'
import { ProducerDeaths } from './producer-deaths.ts'
import { Stage } from './stage.ts'

/** What a log held after a series of deaths. */
export interface SeriesEnd {
  holes: number
  inherited: number
  acknowledged: number
  /** See Ledger.check. */
  wrong: string[]
}

/** One death of a series. Without `result` nothing came to that step. */
export interface DeathNote {
  result: DeathResult | undefined
  bareMs: number
}

/** Steps of a call, by operation: when its thread makes its first one, and later. */
export interface Rehearsal {
  first: Record<string, number>
  later: Record<string, number>
}

function open(stage: Stage, series: Series): ProducerDeaths | InternalDeaths {
  const work = WORKS[series.work]
  const kind = KINDS[series.kind]
  return work.role === 'producer'
    ? new ProducerDeaths(stage, kind, work, series.host)
    : new InternalDeaths(stage, kind, work, series.host)
}

export async function rehearse(series: Series, base: string, pipe: Pipe): Promise<Rehearsal> {
  const rehearsal: Rehearsal = { first: {}, later: {} }
  const stage = await Stage.open(WORKS[series.work], KINDS[series.kind], series.slots, base, pipe)
  const deaths = open(stage, series)
  for (const operation of ['any', 'memory', 'file', 'fileDone'] as const) {
    rehearsal.first[operation] = await deaths.rehearse(operation, true)
    rehearsal.later[operation] = await deaths.rehearse(operation, false)
  }
  await deaths.close()
  const wrong = await stage.close(2)
  if (wrong.length > 0) throw new Error(`a rehearsal went wrong: ${wrong.join('; ')}`)
  return rehearsal
}

/**
 * Deaths in one log, and then what the log holds.
 *
 * @param tell what became of each step, in their order
 */
export async function runSeries(
  series: Series,
  base: string,
  pipe: Pipe,
  tell: (note: DeathNote) => void,
): Promise<SeriesEnd> {
  const work = WORKS[series.work]
  const stage = await Stage.open(work, KINDS[series.kind], series.slots, base, pipe)
  const deaths = open(stage, series)
  for (const [index, step] of series.steps.entries()) {
    const result = await deaths.dieAt(step, index === 0)
    tell({ result, bareMs: await stage.blocking.bareWakeUp() })
  }
  await deaths.close()
  const wrong = await stage.close(work.task === 'drop' ? 2 : 1)
  const { holes, inherited, acknowledgedCount } = stage.ledger
  return { holes, inherited, acknowledged: acknowledgedCount, wrong }
}
