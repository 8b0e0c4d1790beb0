import { attachHandle } from '../../src/host/handle.ts'
import type { Log } from '../../src/index.ts'
import { COMMITTER_IDLE, Doorbell } from '../../src/shared/doorbell.ts'
import { COMMITTER_SLEEPING } from '../../src/shared/layout.ts'
import { eventually } from './eventually.ts'

/**
 * Resolves when the committer sleeps until it is rung again; nothing may be under way in the log. Who then commits and
 * blocks leads by itself. Before that the committer may lead in its place: its thread may only just start, and after
 * the first record behind a seal it looks at the ring every 20 ms as long as anything is in flight.
 */
export async function untilCommitterSleeps(log: Log): Promise<void> {
  const memory = attachHandle(log.handle)
  const doorbell = new Doorbell(memory)
  // Out of a sleep that began while something was in flight, and so has an end.
  doorbell.ringCommitter()
  await eventually(
    'the committer sleeps',
    () => !doorbell.hasCommitterDuty() && Atomics.load(memory.words, COMMITTER_SLEEPING) === COMMITTER_IDLE,
  )
}
