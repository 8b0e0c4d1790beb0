import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Log, openLog } from '../../src/index.ts'
import { Gate } from '../support/gate.ts'
import { LogChild } from '../support/log-child.ts'
import { causeCode, type Failure, failureOf, failureWith } from '../support/rejection.ts'
import { openSmallLog } from '../support/small-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import exitUrl from './exit.child.ts?url'

const SMALL = { segmentBytes: 1 << 20 }
/** Commits into a file without a name are noticed after a second or so; on a busy machine a little later. */
const NOTICED_WITHIN_MS = 10_000

test('a directory or segment removed while the log is open is noticed: commits fail and do not go on for ever', async () => {
  // At the same time, because each takes its second.
  await Promise.all([
    noticesRemoval('the directory, promises', (log) => rmSync(log.directory, { recursive: true }), 'commit'),
    noticesRemoval(
      'the directory, blocking',
      (log) => rmSync(log.directory, { recursive: true }),
      'commitSync',
    ),
    noticesRemoval('the segment, promises', (log) => unlinkSync(newestSegment(log)), 'commit'),
  ])
})

async function noticesRemoval(
  what: string,
  remove: (log: Log) => void,
  method: 'commit' | 'commitSync',
): Promise<void> {
  const log = await openSmallLog()
  const producer = log.connect()
  producer.commitSync({ payload: 'x' })
  remove(log)
  const removedMs = performance.now()
  let failure: Failure | undefined
  while (failure === undefined) {
    assert.ok(performance.now() - removedMs < NOTICED_WITHIN_MS, `${what}: not noticed`)
    try {
      await producer[method]({ payload: 'into nowhere' })
    } catch (error) {
      failure = error as Failure
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  console.log(`${what}: noticed after ${Math.round(performance.now() - removedMs)} ms`)
  assert.equal([failure.code, causeCode(failure)], ['GROUPWAL_COMMIT_FAILED', 'ENOENT'], failure.stack)
  assert.ok(log.lastCommitFailed)
  // What is gone stays gone: no resume() makes a log of nothing.
  await failureWith('GROUPWAL_RESUME_REFUSED', log.resume())
  await failureWith('GROUPWAL_COMMIT_FAILED', producer.commit({ payload: 'y' }))
  assert.ok(await failureOf(() => [...log.read()]))
  await log.close()
}

test('a clock that runs backwards harms neither order, nor reading, nor reopening', async () => {
  const directory = temporaryDirectory()
  const hour = 3_600_000
  const startMs = Date.now()
  const clock = [0, -hour, -2 * hour, 10, -3 * hour, -startMs, -startMs - hour, 5 * hour]
  let written = 0
  for (let life = 0; life < 2; life++) {
    const log = await openLog(directory, SMALL)
    const producer = log.connect()
    for (const offset of clock) {
      // Before 1970 there is no time to store.
      const expectedMs = Math.max(0, startMs + offset)
      const mostTries = written + 100
      let storedMs: number
      do {
        assert.ok(written < mostTries, 'this thread never leads')
        withClock(startMs + offset, () => {
          assert.is(producer.commitSync({ payload: `${offset}` }).lsn, ++written)
        })
        storedMs = [...log.read({ fromLsn: written })][0].wallClockMs
        // Whoever leads stores the time of its own thread: behind a seal that may be the committer, whose clock is right.
      } while (storedMs >= startMs && storedMs <= Date.now() && storedMs !== expectedMs)
      assert.is(storedMs, expectedMs)
    }
    assert.equal(
      Array.from(log.read(), ({ lsn }) => lsn),
      Array.from({ length: written }, (_, index) => index + 1),
    )
    await log.close()
  }
})

for (const [direction, offsetMs] of [
  ['back', -3_600_000],
  ['forward', 3_600_000],
] as const) {
  test(`a clock that is set ${direction} neither hides a stall nor makes one up`, async () => {
    const gate = new Gate()
    const log = await openSmallLog({ stallWarnMs: 50, fileSystem: gate.fileSystem })
    const producer = log.connect()
    // Told once: it may be before this thread, should it be held up, hears that the write is held.
    const stalled = once(log, 'stalled')
    gate.shut()
    const realNow = Date.now
    // Of this thread only, which looks for the stall. The write begins in the committer, whose clock stays right.
    Date.now = () => realNow() + offsetMs
    let committed: Promise<unknown>
    try {
      producer.append({ payload: 'held' })
      await gate.untilHeld(1)
      committed = producer.commit({ payload: 'behind' })
      const [{ lastsMs }] = await stalled
      assert.ok(lastsMs >= 50 && lastsMs < 60_000, `${lastsMs} ms`)
    } finally {
      Date.now = realNow
      gate.open()
    }
    await committed
    await log.close()
  })
}

for (const first of ['host', 'worker'] as const) {
  test(`process.exit in the ${first} with commits pending: the acknowledged are there, others may be, no more`, async () => {
    const directory = temporaryDirectory()
    const toldPath = join(temporaryDirectory(), 'told')
    const child = new LogChild(fileURLToPath(exitUrl), [directory, toldPath, first])
    assert.equal(await child.ended, [3, null])
    const told = readFileSync(toldPath, 'utf8').trim().split('\n')
    const acknowledged = told.map((line) => JSON.parse(line) as { lsn: number; text: string })
    assert.ok(acknowledged.length >= 50, `${acknowledged.length} acknowledged`)
    const log = await openLog(directory, SMALL)
    const read = new Map<number, string>()
    for (const { lsn, payload } of log.read()) {
      const text = Buffer.from(payload).toString()
      assert.match(text, /^(host|worker|blocking) \d+$/)
      assert.not(read.has(lsn))
      read.set(lsn, text)
    }
    for (const { lsn, text } of acknowledged) assert.is(read.get(lsn), text, `record ${lsn}`)
    assert.is(new Set(read.values()).size, read.size, 'no record twice')
    assert.ok(log.connect().commitSync({ payload: 'goes on' }).lsn > Math.max(...read.keys()))
    await log.close()
  })
}

function newestSegment(log: Log): string {
  const number = log.stats().segmentSequence
  const name = readdirSync(log.directory).find((name) => Number(name.slice(4, -4)) === number)
  return join(log.directory, name!)
}

function withClock(nowMs: number, run: () => void): void {
  const realNow = Date.now
  Date.now = () => nowMs
  try {
    run()
  } finally {
    Date.now = realNow
  }
}

test.run()
