import { closeSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { IoShim } from '../../support/io-shim/shim.ts'
import { payloadOf, type ScriptEvent } from './events.ts'
import { ProducerThread } from './producer-thread.ts'
import { copyLog } from './recovered.ts'
import { ScriptRun } from './run.ts'

const LARGE_BYTES = 300 << 10
/** Together with three large ones more than a segment. */
const MEDIUM_BYTES = 100 << 10

/** A directory to start from, and what is known of its records. */
export interface Template {
  directory: string
  events: readonly ScriptEvent[]
}

/**
 * Two directories below `base`, made by a process that nothing happens to. `closed`: ended in order. `crashed`: as
 * after a power cut, with a torn frame behind whole ones that nothing proves durable, a segment made ahead, and a
 * segment and a probe file in the making. Both have dropped a segment, which is kept as a spare.
 */
export async function makeTemplates(base: string): Promise<Record<'closed' | 'crashed', Template>> {
  const shim = IoShim.create(base, 'template')
  const threads = [new ProducerThread(), new ProducerThread()] as const
  const setting = {
    syncMethod: 'fdatasync',
    stagingSlots: 1,
    sealIdleMs: 0,
    isHarmless: true,
    firstId: 1,
  } as const
  const inDirectory = (name: string): { run: ScriptRun; events: ScriptEvent[]; directory: string } => {
    const events: ScriptEvent[] = []
    const directory = join(base, name)
    const tell = (event: ScriptEvent): number => events.push(event)
    const run = new ScriptRun({ ...setting, directory, shim, threads, tell, capture: async () => {} })
    return { run, events, directory }
  }
  try {
    const closed = inDirectory('template-closed')
    await fillTwoSegments(closed.run)
    await closed.run.commitBatch('host', 3)
    await closed.run.close()

    const crashed = inDirectory('template-crashed')
    await fillTwoSegments(crashed.run)
    await crashed.run.commit('left', LARGE_BYTES)
    await crashed.run.commitBatch('host', 3)
    await crashed.run.wait(() => crashed.run.log.stats().nextSegmentReady)
    const lastEvents = crashed.events.length
    await crashed.run.commit('left')
    const directory = join(base, 'template-crashed-image')
    copyLog(crashed.directory, directory)
    const events = tearLast(directory, crashed.events, lastEvents)
    await crashed.run.close()
    return { closed, crashed: { directory, events } }
  } finally {
    await Promise.all(threads.map((thread) => thread.end()))
    shim.remove()
  }
}

/** And begins the third, of which less than a quarter is used: nothing is made ahead yet. */
async function fillTwoSegments(run: ScriptRun): Promise<void> {
  await run.open()
  for (let count = 0; count < 6; count++) {
    await run.commit('left', LARGE_BYTES)
    await run.commit('right')
    await run.wait(() => run.log.stats().nextSegmentReady)
  }
  await run.commit('left', MEDIUM_BYTES)
  await run.truncateBefore(run.log.durableLsn)
}

/** Damages the last record, as if the machine had stopped before it was written: nobody was told of it, then. */
function tearLast(directory: string, events: readonly ScriptEvent[], from: number): ScriptEvent[] {
  const [submitted, acknowledged] = events.slice(from)
  if (submitted?.type !== 'submitted' || acknowledged?.type !== 'acknowledged') {
    throw new Error('the last record was to be committed')
  }
  const payload = payloadOf(submitted.id, submitted.payloadBytes)
  const names = readdirSync(directory).filter((name) => name.startsWith('wal-'))
  const places = names.map((name) => ({ name, at: readFileSync(join(directory, name)).indexOf(payload) }))
  const { name, at } = places.find((place) => place.at >= 0)!
  const fd = openSync(join(directory, name), 'r+')
  writeSync(fd, '#', at)
  closeSync(fd)
  writeFileSync(join(directory, 'wal-00000000000000000099.tmp'), 'unfinished')
  writeFileSync(join(directory, 'probe-1-1.tmp'), 'unfinished')
  const { id, lsn } = acknowledged
  return [...events.slice(0, from + 1), { type: 'failed', id, outcome: 'indeterminate', lsn }]
}
