import { once } from 'node:events'
import { closeSync, linkSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { segmentName, spareName } from '../../src/format/segment-name.ts'
import { CorruptLogError, type Log, openLog, ReadTruncatedError } from '../../src/index.ts'
import { eventually } from '../support/eventually.ts'
import { Gate } from '../support/gate.ts'
import { untilNextSegmentReady } from '../support/keeper-rest.ts'
import { openFiles, openFilesIn } from '../support/open-files.ts'
import { failureOf, failureWith } from '../support/rejection.ts'
import { skipNow } from '../support/skip.ts'
import { openSmallLog, textsOf } from '../support/small-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import sequenceUrl from './sequence.worker.ts?url'

test('read returns what is durable when it is called: nothing that is only published, nothing that comes later', async () => {
  const gate = new Gate()
  const log = await openSmallLog({ fileSystem: gate.fileSystem })
  const producer = log.connect()
  assert.equal([...log.read()], [])
  producer.commitSync({ payload: 'durable' })
  gate.shut()
  producer.append({ payload: 'held' })
  await gate.untilHeld(1)
  producer.append({ payload: 'in the ring' })
  assert.equal(textsOf(log), ['durable'])
  const begun = log.read()
  gate.open()
  await producer.flush()
  assert.is([...begun].length, 1)
  assert.equal(textsOf(log), ['durable', 'held', 'in the ring'])
  await log.close()
})

test('reading while others commit gives a prefix without holes, at least up to what was durable before', async () => {
  const log = await openSmallLog()
  const done = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(sequenceUrl, {
    workerData: { handle: log.handle, done, commitCount: 1500, payload: 'p'.repeat(3000) },
  })
  await once(worker, 'message')
  worker.postMessage('go')
  let readCount = 0
  while (Atomics.load(done, 0) === 0) {
    const durableBefore = log.durableLsn
    let next = 1
    for (const { lsn } of log.read()) assert.is(lsn, next++)
    assert.ok(next > durableBefore, `read up to ${next - 1}, ${durableBefore} was durable`)
    readCount++
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(readCount > 0)
  assert.is([...log.read()].length, 1500)
  assert.ok(log.stats().rotations > 0, 'several segments were read')
  await log.close()
})

test('fromLsn begins in the midst, and behind the end there is nothing', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  for (let index = 1; index <= 10; index++) producer.append({ payload: `${index}` })
  await producer.flush()
  const lsnsFrom = (fromLsn: number): number[] => Array.from(log.read({ fromLsn }), ({ lsn }) => lsn)
  assert.equal(lsnsFrom(8), [8, 9, 10])
  assert.equal(lsnsFrom(10), [10])
  assert.equal(lsnsFrom(11), [])
  assert.equal(lsnsFrom(Number.MAX_SAFE_INTEGER), [])
  for (const fromLsn of [0, -1, 1.5, Number.NaN, 2 ** 53]) {
    assert.instance(await failureOf(() => log.read({ fromLsn })), RangeError, String(fromLsn))
  }
  assert.instance(await failureOf(() => log.read({ fromLsn: '1' as unknown as number })), TypeError)
  await log.close()
})

test('a reading that is broken off leaves no file open', async () => {
  if (openFiles() === undefined) return skipNow('there is no /proc')
  const log = await openSmallLog()
  const producer = log.connect()
  for (let index = 1; index <= 10; index++) producer.append({ payload: `${index}` })
  await producer.flush()
  const before = openFilesIn(log.directory).length
  for (let round = 0; round < 50; round++) {
    for (const { lsn } of log.read()) if (lsn === 3) break
  }
  // The keeper may have one open for a while.
  await eventually('they are closed', () => openFilesIn(log.directory).length <= before + 1)
  await log.close()
})

test('truncateBefore drops whole segments only: every record from lsn on stays', async () => {
  const log = await openSmallLog()
  const lsns = await fillSegments(log, 4)
  assert.is(await log.truncateBefore(1), 0)
  const before = segmentNames(log)
  const lsn = lsns[2] + 1
  const dropped = await log.truncateBefore(lsn)
  assert.is(dropped, 3)
  assert.equal(segmentNames(log), before.slice(3))
  const rest = Array.from(log.read(), (record) => record.lsn)
  assert.ok(rest[0] > 1 && rest[0] <= lsn, `begins with ${rest[0]}, asked for ${lsn}`)
  assert.is(rest.at(-1), log.durableLsn)
  assert.is(rest.length, log.durableLsn - rest[0] + 1)
  const refused = (await failureOf(() => [...log.read({ fromLsn: 2 })])) as ReadTruncatedError
  assert.instance(refused, ReadTruncatedError)
  assert.equal([refused.code, refused.lsn, refused.firstLsn], ['GROUPWAL_READ_TRUNCATED', 2, rest[0]])
  // 1, the default, is the beginning, wherever that is by now.
  assert.is(log.read({ fromLsn: 1 }).next().value.lsn, rest[0])
  await log.close()
})

test('dropped segments are recycled: the files serve again as new segments', async () => {
  const log = await openSmallLog({ keepSpares: 2 })
  await fillSegments(log, 4)
  // Else it may yet be made of one of the two spares.
  await untilNextSegmentReady(log)
  const inodes = segmentNames(log).map((name) => inodeOf(log, name))
  await log.truncateBefore(log.durableLsn)
  const spares = readdirSync(log.directory).filter((name) => name.startsWith('spare-'))
  assert.is(spares.length, 2)
  const kept = spares.map((name) => inodeOf(log, name))
  assert.ok(kept.every((inode) => inodes.includes(inode)))
  await fillSegments(log, 4)
  const reused = segmentNames(log).filter((name) => kept.includes(inodeOf(log, name)))
  assert.is(reused.length, 2, `${spares} became ${reused}`)
  // Nothing of their first life shows.
  const lsns = Array.from(log.read(), ({ lsn }) => lsn)
  assert.equal(
    lsns,
    lsns.map((_, index) => lsns[0] + index),
  )
  await log.close()
})

test('no more spares are kept than keepSpares says, and truncating again drops nothing', async () => {
  const log = await openSmallLog({ keepSpares: 0 })
  await fillSegments(log, 3)
  const dropped = await log.truncateBefore(log.durableLsn)
  assert.ok(dropped >= 2)
  assert.is(readdirSync(log.directory).filter((name) => name.startsWith('spare-')).length, 0)
  assert.is(await log.truncateBefore(log.durableLsn), 0)
  await log.close()
})

test('truncateBefore(durableLsn) of a log without records drops nothing', async () => {
  const log = await openSmallLog()
  const before = segmentNames(log)
  assert.is(log.durableLsn, 0)
  assert.is(await log.truncateBefore(log.durableLsn), 0)
  assert.equal(segmentNames(log), before)
  await log.close()
})

test('truncateBefore takes no more than what is durable, and keeps the segment that is written', async () => {
  const log = await openSmallLog()
  await fillSegments(log, 3)
  await log.truncateBefore(Number.MAX_SAFE_INTEGER)
  const next = log.connect().commitSync({ payload: 'next' }).lsn
  assert.is(Array.from(log.read(), ({ lsn }) => lsn).at(-1), next)
  for (const lsn of [-1, 1.5, Number.NaN, 2 ** 53]) {
    assert.instance(await failureOf(log.truncateBefore(lsn)), RangeError, String(lsn))
  }
  await log.close()
})

test('a truncated log opens again, begins where it was cut, and goes on behind its end', async () => {
  const log = await openSmallLog()
  const lsns = await fillSegments(log, 4)
  await log.truncateBefore(lsns[2] + 1)
  const texts = textsOf(log)
  const { durableLsn, directory } = log
  await log.close()
  const again = await openLog(directory, { segmentBytes: 1 << 20 })
  assert.equal(textsOf(again), texts)
  assert.is(again.connect().commitSync({ payload: 'next' }).lsn, durableLsn + 1)
  await failureWith('GROUPWAL_READ_TRUNCATED', () => [...again.read({ fromLsn: 2 })])
  await again.close()
})

test('a reading that a truncation overtakes says so, and never skips a record', async () => {
  const log = await openSmallLog()
  await fillSegments(log, 4)
  const reading = log.read()
  let next = 1
  assert.is(reading.next().value.lsn, next++)
  await log.truncateBefore(log.durableLsn)
  const failure = await failureOf(() => {
    for (const { lsn } of { [Symbol.iterator]: () => reading }) assert.is(lsn, next++)
  })
  assert.is(failure.code, 'GROUPWAL_READ_TRUNCATED', failure.stack)
  assert.is((failure as ReadTruncatedError).lsn, next)
  await log.close()
})

test('flush waits for an LSN of any producer, and refuses one that nobody was given', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  const other = log.connect()
  await producer.flush()
  producer.flushSync()
  for (const lsn of [1, 0, -1, 1.5, Number.NaN]) await refusesFlush(lsn)
  const lsn = other.append({ payload: 'of the other' })
  await producer.flush(lsn)
  producer.flushSync(lsn)
  assert.is(log.durableLsn, lsn)
  for (const wrong of [lsn + 1, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]) await refusesFlush(wrong)
  await log.close()

  async function refusesFlush(wrong: number): Promise<void> {
    assert.instance(await failureOf(() => producer.flush(wrong)), RangeError, String(wrong))
    assert.instance(await failureOf(() => producer.flushSync(wrong)), RangeError, String(wrong))
  }
})

test('a promise that is resolved and a flush that returned mean durable for everybody', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  for (let round = 0; round < 100; round++) {
    const { lsn } = await producer.commit({ payload: 'x' })
    assert.ok(log.durableLsn >= lsn && producer.durableLsn >= lsn)
    const appended = producer.append({ payload: 'y' })
    producer.flushSync()
    assert.ok(log.durableLsn >= appended)
  }
  await log.close()
})

/** Commits until that many more segments were begun; returns the last LSN of each round. */
async function fillSegments(log: Log, count: number): Promise<number[]> {
  using producer = log.connect()
  const payload = Buffer.alloc(450_000, 'f')
  const lsns: number[] = []
  for (const first = log.stats().segmentSequence; log.stats().segmentSequence < first + count; ) {
    lsns.push((await producer.commitBatch([{ payload }, { payload }])).lastLsn)
  }
  return lsns
}

function segmentNames(log: Log): string[] {
  const names = readdirSync(log.directory).filter((name) => name.startsWith('wal-') && name.endsWith('.seg'))
  // The one that the keeper prepared ahead of need is not in use yet.
  return names.sort().slice(0, names.length - countUnused(log, names))
}

function countUnused(log: Log, names: string[]): number {
  return names.filter((name) => Number(name.slice(4, -4)) > log.stats().segmentSequence).length
}

function inodeOf(log: Log, name: string): number {
  return statSync(join(log.directory, name)).ino
}

test('a dropped segment that has a second name is not written over', async () => {
  const log = await openSmallLog({ keepSpares: 2 })
  await fillSegments(log, 4)
  const backup = temporaryDirectory()
  const names = segmentNames(log).slice(0, 4)
  for (const name of names) linkSync(join(log.directory, name), join(backup, name))
  const before = names.map((name) => readFileSync(join(backup, name)))
  assert.is(await log.truncateBefore(log.durableLsn), 4)
  await fillSegments(log, 6)
  for (const [index, name] of names.entries()) {
    assert.ok(before[index].equals(readFileSync(join(backup, name))), name)
    assert.is(statSync(join(backup, name)).nlink, 1, 'its name in the log is gone')
  }
  await log.close()
})

test('a second name of a segment in the log itself, which is a spare, does not make that written over', async () => {
  const log = await openSmallLog({ keepSpares: 2 })
  await fillSegments(log, 2)
  await log.close()
  linkSync(join(log.directory, segmentName(1)), join(log.directory, spareName(99)))
  const again = await openLog(log.directory, { segmentBytes: 1 << 20 })
  const lsns = await fillSegments(again, 3)
  assert.is([...again.read()].length, lsns.at(-1))
  await again.close()
})

test('truncateBefore() that cannot read a segment says why, with class and fields of the cause', async () => {
  const log = await openSmallLog({ keepSpares: 0 })
  const producer = log.connect()
  const payload = 'p'.repeat(400_000)
  while (log.stats().rotations < 2) await producer.commit({ payload })
  const name = segmentName(2)
  const fd = openSync(join(log.directory, name), 'r+')
  writeSync(fd, new Uint8Array(4096), 0, 4096, 0)
  closeSync(fd)
  const failure = await failureWith('GROUPWAL_TRUNCATE_FAILED', log.truncateBefore(log.durableLsn))
  const { cause } = failure as { cause?: unknown }
  assert.instance(cause, CorruptLogError)
  assert.equal(
    [(cause as CorruptLogError).code, (cause as CorruptLogError).segment],
    ['GROUPWAL_CORRUPT', name],
  )
  await log.close()
})

test.run()
