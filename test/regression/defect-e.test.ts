// Defect (e) of the original: the padding of O_DIRECT stopped every reader after the first batch, it held stale bytes
// that were replayed as records, and LSNs were used again after a reopen.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openLog } from '../../src/index.ts'
import { closeAll, openFaulty } from '../support/failing-log.ts'
import { contentAfterReopen, contentOf, crashImageOf } from '../support/log-content.ts'
import { endLeftovers } from '../support/scripted-producer.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

test.after.each(endLeftovers)

const BLOCK_BYTES = 4096
const FRAME_HEADER_BYTES = 128
/** Where a frame header says how long its body is. */
const BODY_BYTES_OFFSET = 72

test('every batch is readable, whatever padding stands behind it', async () => {
  const directory = temporaryDirectory()
  const log = await openLog(directory, { segmentBytes: 1 << 20 })
  const producer = log.connect()
  // A body of 3944 bytes fills its block exactly.
  const sizes = [0, 1, 100, 3911, 3912, 3943, 3944, 3945, 5000, 9000, 1, 60_000, 2]
  const payloads = sizes.map((size, index) => `${index}`.padEnd(size, 'x').slice(0, size))
  for (const payload of payloads) producer.commitSync({ payload })
  assert.equal([...contentOf(log).values()], payloads)
  producer.close()
  await log.close()
  assert.equal([...(await contentAfterReopen(directory)).values()], payloads)
})

test('padding holds zeros, not what an earlier batch left in the buffer', async () => {
  for (const stagingSlots of [1, 2]) {
    const directory = temporaryDirectory()
    const log = await openLog(directory, { segmentBytes: 1 << 20, stagingSlots })
    const producer = log.connect()
    for (let round = 0; round < 4; round++) {
      producer.commitSync({ payload: 'A'.repeat(7000) })
      producer.commitSync({ payload: 'b' })
    }
    producer.close()
    await log.close()
    let frames = 0
    for (const padding of paddingsOf(directory)) {
      frames++
      assert.ok(padding.every((byte) => byte === 0))
    }
    assert.ok(frames >= 8)
  }
})

function* paddingsOf(directory: string): Iterable<Uint8Array> {
  for (const name of readdirSync(directory).filter((file) => file.startsWith('wal-'))) {
    const bytes = readFileSync(join(directory, name))
    let offset = BLOCK_BYTES
    while (bytes.toString('latin1', offset, offset + 4) === 'GWFR') {
      const end = offset + FRAME_HEADER_BYTES + bytes.readUInt32LE(offset + BODY_BYTES_OFFSET)
      offset = Math.ceil(end / BLOCK_BYTES) * BLOCK_BYTES
      yield bytes.subarray(end, offset)
    }
  }
}

test('records of an earlier life of a recycled segment do not come back', async () => {
  const { log, producers, directory } = await openFaulty({}, 1)
  const [producer] = producers
  const old = 'old'.padEnd(200_000, '.')
  for (let index = 0; index < 16; index++) assert.is((await producer.commitSync(old)).error, undefined)
  const firstLsn = log.durableLsn - 1
  assert.ok((await log.truncateBefore(firstLsn)) > 1)
  const next = 'next'.padEnd(250_000, '.')
  for (let index = 0; index < 8; index++) await producer.commitSync(next)
  const content = await contentAfterReopen(crashImageOf(directory))
  assert.equal(content, contentOf(log))
  assert.is([...content.values()].filter((payload) => payload === next).length, 8)
  await closeAll(log, producers)
})

test('an LSN that was handed out is not handed out again, after close() and after a crash', async () => {
  const { log, faults, producers, directory } = await openFaulty({}, 2)
  const [leader, other] = producers
  assert.is((await leader.commitSync('acknowledged')).value?.lsn, 1)
  const hold = faults.hold('write-frame')
  const led = leader.commitSync('being written')
  await hold.reached()
  let lastLsn = 0
  for (let index = 0; index < 20; index++) lastLsn = (await other.append('in the ring')).value!
  assert.is(lastLsn, 22)
  const image = crashImageOf(directory)
  hold.release()
  await led
  await other.flushSync()
  await closeAll(log, producers)

  for (const [where, highest] of [
    [image, lastLsn],
    [directory, lastLsn],
  ] as const) {
    let previous = highest
    for (let reopened = 0; reopened < 3; reopened++) {
      const again = await openLog(where)
      const producer = again.connect()
      const { lsn } = producer.commitSync({ payload: 'again' })
      assert.ok(lsn > previous, `${lsn} after ${previous}`)
      previous = lsn
      producer.close()
      await again.close()
    }
  }
})

test.run()
