import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Log, openLog } from '../../src/index.ts'
import { LogChild } from '../support/log-child.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import fillUrl from './fill.child.ts?url'

const KIB = 1024
const MIB = 1024 * KIB
const SMALL = { segmentBytes: MIB }
const SEALED = 100
/** A segment costs a read of its header, of its first frame's, and of that of the frame that its successor names. */
const MOST_BYTES_PER_SEGMENT = (16 + 64 + 64) * KIB
const MOST_OPENS_PER_SEGMENT = 3

test('a log of a hundred sealed segments opens without reading them through, after a kill and after a close', async () => {
  const directory = join(temporaryDirectory(), 'log')
  const child = new LogChild(fileURLToPath(fillUrl), [directory, `${SEALED}`])
  const { lastLsn } = await child.next<{ lastLsn: number }>()
  await child.kill()
  for (const how of ['killed', 'closed in order']) {
    const counting = new Counting()
    const startedMs = performance.now()
    const log = await openLog(directory, { ...SMALL, fileSystem: counting.module })
    const lastedMs = performance.now() - startedMs
    const counts = counting.counts()
    console.log(`${how}: opened in ${lastedMs.toFixed(0)} ms, ${JSON.stringify(counts)}`)
    assert.is(log.durableLsn, lastLsn)
    const sealed = sealedCount(directory)
    assert.ok(sealed >= SEALED, `${sealed} sealed segments`)
    // The tail may be read whole, and more than once: for its frames, for what proves them, and to copy them.
    const most = sealed * MOST_BYTES_PER_SEGMENT + 4 * MIB
    assert.ok(counts.bytesRead <= most, `${counts.bytesRead} bytes read, ${most} would do`)
    assert.ok(counts.opens <= sealed * MOST_OPENS_PER_SEGMENT + 50, `${counts.opens} files opened`)
    // Nothing about sealed segments is written or synced again.
    assert.ok(counts.syncs <= 40, `${counts.syncs} syncs`)
    assert.ok(counts.bytesWritten <= 3 * MIB, `${counts.bytesWritten} bytes written`)
    await log.close()
  }
})

test('what is read does not grow with the size of the sealed segments', async () => {
  // The same number of segments, each with four times as much in it.
  const bytesRead: number[] = []
  for (const segmentBytes of [MIB, 4 * MIB]) {
    const directory = join(temporaryDirectory(), 'log')
    const child = new LogChild(fileURLToPath(fillUrl), [directory, '8', `${segmentBytes}`])
    await child.next()
    child.goOn()
    await child.ended
    const counting = new Counting()
    const log = await openLog(directory, { segmentBytes, fileSystem: counting.module })
    bytesRead.push(counting.counts().bytesRead)
    await log.close()
  }
  // The tail of the larger one may be larger, by one segment.
  assert.ok(bytesRead[1] - bytesRead[0] <= 4 * MIB, `${bytesRead[0]} and ${bytesRead[1]} bytes read`)
})

test('after a clean close a log goes on without a gap, life after life', async () => {
  const directory = temporaryDirectory()
  let lsn = 0
  for (let life = 0; life < 5; life++) {
    const log = await openLog(directory, SMALL)
    assert.is(log.recovery.gap, undefined)
    assert.is(log.recovery.tornTail, undefined)
    assert.is(log.recovery.salvagedRecords, 0)
    assert.is(log.durableLsn, lsn)
    const producer = log.connect()
    for (let index = 0; index <= life; index++) assert.is(producer.commitSync({ payload: 'x' }).lsn, ++lsn)
    await log.close()
  }
  const log = await openLog(directory, SMALL)
  assert.equal(
    lsnsOf(log),
    Array.from({ length: lsn }, (_, index) => index + 1),
  )
  await log.close()
})

test('a log that is opened and closed and never written to takes no more room and no LSN', async () => {
  const directory = temporaryDirectory()
  for (let life = 0; life < 10; life++) await (await openLog(directory, SMALL)).close()
  assert.ok(readdirSync(directory).length <= 4, `${readdirSync(directory)}`)
  const log = await openLog(directory, SMALL)
  assert.is(log.connect().commitSync({ payload: 'x' }).lsn, 1)
  await log.close()
})

test('after a kill there is a recorded gap, and no LSN that may have been handed out is handed out again', async () => {
  const directory = temporaryDirectory()
  const seen = new Set<number>()
  let newest = 0
  for (let life = 0; life < 4; life++) {
    // It goes on committing, so that it is killed in the midst of it.
    const child = new LogChild(fileURLToPath(fillUrl), [directory, '0'])
    const { lastLsn } = await child.next<{ lastLsn: number }>()
    assert.ok(lastLsn > newest, `life ${life}: ${lastLsn} follows ${newest}`)
    await child.kill()
    const log = await openLog(directory, SMALL)
    const { gap } = log.recovery
    assert.ok(gap !== undefined, 'the gap is told')
    const lsns = lsnsOf(log)
    assert.ok(lsns.includes(lastLsn), 'what was acknowledged is there')
    assert.is(gap.first, lsns.at(-1)! + 1)
    assert.ok(lsns.every((lsn) => lsn < gap.first || lsn > gap.last))
    const next = log.connect().commitSync({ payload: 'next' }).lsn
    assert.is(next, gap.last + 1)
    for (const lsn of [...lsns, next]) seen.add(lsn)
    assert.is(seen.size, lsns.length + 1, 'every record of earlier lives is still there, none is new')
    assert.equal(lsnsOf(log), [...lsns, next])
    newest = next
    await log.close()
  }
})

/** Counts what opening asks of the file system, in this thread. */
class Counting {
  readonly #counts = new Float64Array(new SharedArrayBuffer(8 * 16))
  readonly module = {
    module: join(process.cwd(), 'test/support/counting-file-system.cjs'),
    data: { counts: this.#counts },
  }

  counts(): Record<'opens' | 'reads' | 'bytesRead' | 'writes' | 'bytesWritten' | 'syncs' | 'lists', number> {
    const [opens, reads, bytesRead, writes, bytesWritten, syncs, lists] = this.#counts
    return { opens, reads, bytesRead, writes, bytesWritten, syncs, lists }
  }
}

function sealedCount(directory: string): number {
  return readdirSync(directory).filter((name) => name.startsWith('wal-') && name.endsWith('.seg')).length - 2
}

function lsnsOf(log: Log): number[] {
  return Array.from(log.read(), ({ lsn }) => lsn)
}

test.run()
