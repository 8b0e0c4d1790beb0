import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Log } from '../../src/index.ts'
import { eventually } from '../support/eventually.ts'
import { Gate } from '../support/gate.ts'
import { chooseSeed } from '../support/random.ts'
import { RemoteProducer } from '../support/remote-producer.ts'
import { checkRescues } from '../support/rescues.ts'
import { openSmallLog, textsOf } from '../support/small-log.ts'
import mixedCallsUrl from './mixed-calls.worker.ts?url'

/** 128 places for the smallest records. */
const RING_BYTES = 4096

test('append waits while the ring is full, and returns when a sync has made room', async () => {
  await withFullRing(async ({ log, gate, remote, filled }) => {
    const { fullRings } = log.stats()
    let isBack = false
    const appended = remote.call('append', { payload: 'waits' }).then((lsn) => {
      isBack = true
      return lsn
    })
    await eventually('append finds the ring full', () => log.stats().fullRings === fullRings + 1)
    assert.not(isBack)
    gate.open()
    assert.is(await appended, filled + 1)
    await remote.call('flushSync')
    assert.is(textsOf(log).at(-1), 'waits')
  })
})

test('tryAppend says that the ring is full, and takes no LSN', async () => {
  await withFullRing(async ({ gate, remote, filled }) => {
    assert.is(await remote.call('tryAppend', { payload: 'refused' }), undefined)
    gate.open()
    await remote.call('flushSync')
    assert.is(await remote.call('tryAppend', { payload: 'taken' }), filled + 1)
  })
})

test('stats().fullRings counts each call that finds the ring full, whatever it is', async () => {
  await withFullRing(async ({ log, gate, remote }) => {
    const counts = [log.stats().fullRings]
    const queued: Promise<unknown>[] = []
    const note = (): number => counts.push(log.stats().fullRings)
    await remote.call('tryAppend', { payload: 'refused' })
    note()
    queued.push(remote.call('commit', { payload: 'queued' }))
    // Answered by the same thread, after the commit was queued.
    await remote.call('tryAppend', { payload: 'refused' })
    note()
    queued.push(remote.call('commitBatch', [{ payload: 'queued' }, { payload: 'too' }]))
    await remote.call('tryAppend', { payload: 'refused' })
    note()
    gate.open()
    await Promise.all(queued)
    assert.equal(
      counts.map((count) => count - counts[0]!),
      [0, 1, 3, 5],
    )
    // The one that ended the filling of the ring.
    assert.is(counts[0], 1)
  })
})

test('a full ring holds what it says: the records, and no more', async () => {
  await withFullRing(async ({ log, filled }) => {
    // One is with the disk, the others take one granule of 32 bytes each.
    assert.is(filled, 1 + RING_BYTES / 32)
    assert.is(log.stats().pendingRecords, filled)
    assert.is(log.durableLsn, 0)
  })
})

test('while a commit waits for space, later calls queue behind it, whatever they are', async () => {
  await withFullRing(async ({ log, gate, remote, filled }) => {
    const first = remote.call('commit', { payload: 'first' })
    const batch = remote.call('commitBatch', [{ payload: 'batch 1' }, { payload: 'batch 2' }])
    const third = remote.call('commit', { payload: 'third' })
    assert.is(await remote.call('tryAppend', { payload: 'overtakes' }), undefined)
    gate.open()
    assert.equal(await first, { lsn: filled + 1, durable: true })
    assert.equal(await batch, { firstLsn: filled + 2, lastLsn: filled + 3, durable: true })
    assert.equal(await third, { lsn: filled + 4, durable: true })
    assert.equal(textsOf(log).slice(filled), ['first', 'batch 1', 'batch 2', 'third'])
  })
})

for (const method of ['commitSync', 'append', 'commitBatchSync'] as const) {
  test(`${method} pushes the commits that wait before it, though its thread's event loop stands still`, async () => {
    await withFullRing(async ({ log, gate, remote, filled }) => {
      const { fullRings } = log.stats()
      const queued = [
        remote.call('commit', { payload: 'queued 1' }),
        remote.call('commit', { payload: 'queued 2' }),
      ]
      const last =
        method === 'commitBatchSync'
          ? remote.call(method, [{ payload: 'last' }])
          : remote.call(method, { payload: 'last' })
      await eventually('all three find the ring full', () => log.stats().fullRings === fullRings + 3)
      gate.open()
      await last
      assert.equal(
        (await Promise.all(queued)).map(({ lsn }) => lsn),
        [filled + 1, filled + 2],
      )
      await remote.call('flush')
      assert.equal(textsOf(log).slice(filled), ['queued 1', 'queued 2', 'last'])
    })
  })
}

for (const method of ['flushSync', 'flush'] as const) {
  test(`${method} without an LSN covers the commits that wait for space`, async () => {
    await withFullRing(async ({ log, gate, remote, filled }) => {
      const queued = remote.call('commit', { payload: 'queued' })
      const flushed = remote.call(method)
      gate.open()
      await flushed
      assert.ok(log.durableLsn >= filled + 1, `durable up to ${log.durableLsn} of ${filled + 1}`)
      await queued
    })
  })
}

test('a batch waits until there is room for all of it', async () => {
  await withFullRing(async ({ log, gate, remote, filled }) => {
    const batch = Array.from({ length: 64 }, (_, index) => ({ payload: `b${index}` }))
    const committed = remote.call('commitBatch', batch)
    gate.open()
    assert.equal(await committed, { firstLsn: filled + 1, lastLsn: filled + 64, durable: true })
    assert.equal(
      textsOf(log).slice(filled),
      batch.map(({ payload }) => payload),
    )
  })
})

test('closing a producer rejects what waits for space as not written, and settles what is published', async () => {
  const gate = new Gate()
  const log = await openSmallLog({ ringBytes: RING_BYTES, fileSystem: gate.fileSystem })
  const producer = log.connect()
  gate.shut()
  producer.append({ payload: 'held' })
  await gate.untilHeld(1)
  const published = producer.commit({ payload: 'published' })
  while (producer.tryAppend({ payload: 'filler' }) !== undefined);
  const queued = producer.commit({ payload: 'queued' }).catch((error) => error)
  producer.close()
  const { code, outcome, lsn } = await queued
  assert.equal([code, outcome, lsn], ['GROUPWAL_CLOSED', 'not-written', undefined])
  gate.open()
  assert.is((await published).lsn, 2)
  await log.close()
})

test('many more commits than the ring has places are all committed, in the order of the calls', async () => {
  const log = await openSmallLog({ ringBytes: RING_BYTES })
  const producer = log.connect()
  const commits = Array.from({ length: 3000 }, (_, index) =>
    producer.commit({ payload: `${index}`.padStart(index % 90) }),
  )
  const lsns = (await Promise.all(commits)).map(({ lsn }) => lsn)
  assert.equal(
    lsns,
    lsns.map((_, index) => index + 1),
  )
  assert.equal(
    textsOf(log).map(Number),
    lsns.map((_, index) => index),
  )
  checkRescues(log.stats().recheckRescues)
  producer.close()
  await log.close()
})

test('three threads that mix all calls over a tiny ring each find their records in the order of their calls', async () => {
  const seed = chooseSeed('mixed calls')
  const log = await openSmallLog({ ringBytes: RING_BYTES })
  const results = await Promise.all(
    ['a', 'b', 'c'].map(async (name, index) => {
      const worker = new Worker(mixedCallsUrl, {
        workerData: { handle: log.handle, name, seed: seed + index, callCount: 400 },
      })
      const [records] = (await once(worker, 'message')) as [[number, string][]]
      return records
    }),
  )
  const stored = new Map(Array.from(log.read(), ({ lsn, payload }) => [lsn, Buffer.from(payload).toString()]))
  for (const records of results) {
    for (const [index, [lsn, text]] of records.entries()) {
      assert.is(stored.get(lsn), text)
      assert.ok(index === 0 || lsn > records[index - 1][0], `record ${lsn} stands before ${text}`)
    }
  }
  assert.is(stored.size, results.flat().length)
  checkRescues(log.stats().recheckRescues)
  await log.close()
})

interface FullRing {
  log: Log
  gate: Gate
  remote: RemoteProducer
  /** LSN of the newest record. */
  filled: number
}

/** A log whose disk stands still with one frame in flight, and whose ring is full. */
async function withFullRing(run: (full: FullRing) => Promise<void>): Promise<void> {
  const gate = new Gate()
  const log = await openSmallLog({ ringBytes: RING_BYTES, fileSystem: gate.fileSystem })
  const remote = await RemoteProducer.connect(log.handle)
  gate.shut()
  let filled = await remote.call('append', { payload: 'held' })
  await gate.untilHeld(1)
  for (let lsn: number | undefined = filled; lsn !== undefined; ) {
    filled = lsn
    lsn = await remote.call('tryAppend', { payload: 'filler' })
  }
  try {
    await run({ log, gate, remote, filled })
  } finally {
    gate.open()
    await remote.end()
    await log.close()
  }
}

test.run()
