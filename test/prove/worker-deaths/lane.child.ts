// A process in which threads die: does jobs of its parent's. After a failure it is of no use any more.

import { Pipe } from '../../support/pipe.ts'
import { type DeathNote, type Rehearsal, rehearse, runSeries, type SeriesEnd } from './lane.ts'
import type { Series } from './plan.ts'

export interface Job {
  id: number
  series: Series
  /** Only counts the steps. */
  isRehearsal: boolean
}

/** `id` of the job, except where the process itself is broken. */
export type LaneMessage =
  | { id: number; note: DeathNote }
  | { id: number; end: SeriesEnd }
  | { id: number; rehearsal: Rehearsal }
  | { id: number | undefined; failure: string }

const [base] = process.argv.slice(2)
const freePipes: Pipe[] = []

process.on('message', async ({ id, series, isRehearsal }: Job) => {
  const pipe = freePipes.pop() ?? new Pipe(base)
  try {
    if (isRehearsal) say({ id, rehearsal: await rehearse(series, base, pipe) })
    else say({ id, end: await runSeries(series, base, pipe, (note) => say({ id, note })) })
  } catch (error) {
    fail(id, error)
  }
  freePipes.push(pipe)
})
process.on('unhandledRejection', (error) => fail(undefined, error))
// The parent has gone.
process.on('disconnect', () => process.exit(1))

function fail(id: number | undefined, error: unknown): void {
  say({ id, failure: (error as Error).message.split('\n')[0] })
}

function say(message: LaneMessage): void {
  process.send!(message)
}
