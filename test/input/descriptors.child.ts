// Runs out of file descriptors on purpose, in the scenario that it is told, and tells what happened. Its limit is
// small (prlimit, see descriptors.test.ts).
import { closeSync, openSync } from 'node:fs'
import { GroupWalError, type Log, openLog } from '../../src/index.ts'

const [directory, scenario] = process.argv.slice(2)
const SMALL = { segmentBytes: 1 << 20 }
const taken: number[] = []

if (scenario === 'open') await openWithFew()
else if (scenario === 'connect') await connectWithNone()
else await commitWithNone()

/** Opens the log with 0, 1, 2, … free descriptors, until it works. */
async function openWithFew(): Promise<void> {
  // What is loaded when it is first used is loaded here, so that only the log's own files count.
  await (await openLog(`${directory}-first`, SMALL)).close()
  for (let free = 0; free < 100; free++) {
    takeAll()
    give(free)
    let log: Log
    try {
      log = await openLog(directory, SMALL)
    } catch (error) {
      giveAll()
      tell({ free, ...describe(error) })
      continue
    }
    const deaths: string[] = []
    log.on('worker-died', ({ name }) => deaths.push(name))
    const outcome = await attempt(() => log.connect().commit({ payload: `with ${free} free` }))
    giveAll()
    await log.close()
    tell({ free, opened: true, deaths, ...outcome })
    // A commit that failed names its LSN, too.
    if (outcome.durable === true && deaths.length === 0) return
  }
}

/** The committer has the segment open; a thread that cannot open it leaves the lead to it. */
async function connectWithNone(): Promise<void> {
  const log = await openWithCommitter()
  takeAll()
  const second = log.connect()
  tell(await attempt(() => second.commit({ payload: 'a promise' })))
  tell(await attempt(() => second.commitSync({ payload: 'blocking' })))
  tell(await attempt(() => [...log.read()]))
  giveAll()
  tell(await attempt(() => [...log.read()]))
  await log.close()
}

/** Nobody can open the next segment. */
async function commitWithNone(): Promise<void> {
  const log = await openWithCommitter()
  const producer = log.connect()
  const payload = Buffer.alloc(100_000)
  const acknowledged: number[] = []
  takeAll()
  for (;;) {
    const outcome = await attempt(() => producer.commit({ payload }))
    if (outcome.lsn !== undefined && outcome.code === undefined) acknowledged.push(outcome.lsn)
    else {
      tell({ acknowledged: acknowledged.length, ...outcome })
      break
    }
  }
  tell(await attempt(() => log.resume()))
  giveAll()
  await log.resume()
  tell(await attempt(() => producer.commit({ payload: 'goes on' })))
  tell({ read: [...log.read()].length })
  await log.close()
}

/** An open log whose committer has opened the segment: it has sealed the first record. */
async function openWithCommitter(): Promise<Log> {
  const log = await openLog(directory, SMALL)
  log.connect().commitSync({ payload: 'first' })
  while (log.stats().seals === 0) await new Promise((resolve) => setImmediate(resolve))
  return log
}

async function attempt(
  run: () => unknown,
): Promise<Record<string, unknown> & { lsn?: number; code?: string }> {
  try {
    const value = await run()
    if (Array.isArray(value)) return { count: value.length }
    return { ...(value as object) }
  } catch (error) {
    return describe(error)
  }
}

function describe(error: unknown): Record<string, unknown> {
  const { name, message, code, outcome, lsn, cause } = error as Record<string, unknown>
  const causeCode = (cause as { code?: string } | undefined)?.code
  return { isTyped: GroupWalError.is(error), name, message, code, outcome, lsn, causeCode }
}

function takeAll(): void {
  for (;;) {
    try {
      taken.push(openSync('/dev/null', 'r'))
    } catch {
      return
    }
  }
}

function give(count: number): void {
  for (const fd of taken.splice(0, count)) closeSync(fd)
}

function giveAll(): void {
  give(taken.length)
}

function tell(what: object): void {
  console.log(JSON.stringify(what))
}
