// Defect (g) of the original: a crash just after a change of segments began again at LSN 1, damage in an older segment
// was passed over in silence, a torn tail was not cut, so that old records came back behind new ones, and an unknown
// record at the end was overwritten.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CorruptLogError, openLog } from '../../src/index.ts'
import { closeAll, openFaulty } from '../support/failing-log.ts'
import { HandmadeLog } from '../support/handmade-log.ts'
import { contentAfterReopen, contentOf, crashImageOf } from '../support/log-content.ts'
import { endLeftovers } from '../support/scripted-producer.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

test.after.each(endLeftovers)

const LARGE = 'x'.repeat(300 * 1024)

test('a crash just after a change of segments goes on behind the last LSN, with every record', async () => {
  const { log, faults, producers, directory } = await openFaulty({}, 1)
  const [producer] = producers
  const { segmentSequence } = log.stats()
  for (let index = 0; index < 3; index++) assert.is((await producer.commitSync(LARGE)).error, undefined)
  // The next frame is the first one of the next segment; the crash comes before it is written.
  const hold = faults.hold('write-frame')
  const rolled = producer.commitSync(LARGE)
  await hold.reached()
  assert.is(log.stats().segmentSequence, segmentSequence + 1)
  const image = crashImageOf(directory)
  hold.release()
  assert.is((await rolled).value?.lsn, 4)
  await closeAll(log, producers)

  const again = await openLog(image)
  assert.equal([...contentOf(again).keys()], [1, 2, 3])
  const next = again.connect()
  assert.ok(next.commitSync({ payload: 'next' }).lsn > 4)
  next.close()
  await again.close()
  assert.equal([...(await contentAfterReopen(image)).values()], [LARGE, LARGE, LARGE, 'next'])
})

test('damage in an older segment is an error that names segment, offset and LSNs', async () => {
  const { log, producers, directory } = await openFaulty({}, 1)
  for (let index = 0; index < 10; index++) await producers[0].commitSync(LARGE)
  const segments = log.stats().segmentSequence
  assert.ok(segments >= 3)
  await closeAll(log, producers)
  const [oldest] = segmentFiles(directory)
  const bytes = readFileSync(join(directory, oldest))
  bytes[4096 + 128 + 24 + 5000] ^= 1
  writeFileSync(join(directory, oldest), bytes)
  const error = await contentAfterReopen(directory).then(
    () => undefined,
    (thrown) => thrown,
  )
  if (!(error instanceof CorruptLogError)) throw new Error(`no CorruptLogError: ${error}`)
  assert.is(error.segment, oldest)
  assert.is(error.offset, 4096)
  assert.is(error.firstLsn, 1)
  assert.ok(error.lastLsn! >= 1)
})

test('a torn tail is cut and told, and what stood behind it does not come back behind new records', async () => {
  // Two frames are on their way when the crash comes: the first one is torn, the second one is whole.
  const { log, faults, producers, directory } = await openFaulty({ stagingSlots: 2 }, 2)
  assert.is((await producers[0].commitSync('acknowledged')).error, undefined)
  const hold = faults.hold('sync-frame', 'before', { times: 2 })
  const torn = producers[0].commitSync('torn')
  await hold.reached(1)
  const old = producers[1].commitSync('old')
  await hold.reached(2)
  const image = crashImageOf(directory)
  hold.release()
  await Promise.all([torn, old])
  await closeAll(log, producers)
  const [segment] = segmentFiles(image)
  const bytes = readFileSync(join(image, segment))
  const tornAt = bytes.indexOf('torn')
  assert.ok(tornAt > 0 && bytes.indexOf('old') > tornAt)
  writeFileSync(join(image, segment), bytes.fill(0, tornAt, tornAt + 4))

  const expected = ['acknowledged']
  for (let round = 0; round < 3; round++) {
    const again = await openLog(image)
    if (round === 0) {
      assert.is(again.recovery.tornTail?.segment, segment)
      assert.is(again.recovery.tornTail?.firstUnreadableLsn, 2)
    }
    assert.equal([...contentOf(again).values()], expected)
    const producer = again.connect()
    for (const payload of [`new ${round}`, `newer ${round}`]) {
      expected.push(payload)
      assert.ok(producer.commitSync({ payload }).lsn > 3)
    }
    producer.close()
    await again.close()
  }
  assert.equal([...(await contentAfterReopen(image)).values()], expected)
})

test('an unknown record at the end is passed over, and neither overwritten nor its LSN used again', async () => {
  const marker = 'of a later version'
  for (const isClosed of [false, true]) {
    const directory = temporaryDirectory()
    const handmade = new HandmadeLog().segment({}, 1 << 20).put('one')
    // One of the log's own types, not required, that this version does not know.
    handmade.frame({ records: [{ lsn: 2, recordType: 0x7f55, payload: new TextEncoder().encode(marker) }] })
    if (isClosed) handmade.seal(true)
    for (const [name, bytes] of handmade.files) writeFileSync(join(directory, name), bytes)
    const log = await openLog(directory, { segmentBytes: 1 << 20 })
    assert.equal([...contentOf(log).entries()], [[1, 'one']])
    const producer = log.connect()
    assert.ok(producer.commitSync({ payload: 'three' }).lsn > 2)
    producer.close()
    await log.close()
    assert.equal([...(await contentAfterReopen(directory)).values()], ['one', 'three'])
    const files = segmentFiles(directory).map((name) => readFileSync(join(directory, name)))
    assert.ok(files.some((bytes) => bytes.includes(marker)))
  }
})

function segmentFiles(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => /^wal-\d+\.seg$/.test(name))
    .sort()
}

test.run()
