// What a leader may have to wait for: zeros that the segment-keeper writes behind the newest frame.

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openLog } from '../../src/index.ts'
import { CLIENT_KEEPER } from '../../src/shared/clients.ts'
import { SimulatedLog } from '../regression/simulated-threads.ts'
import { eventually } from '../support/eventually.ts'
import { closeAll, openFaulty } from '../support/failing-log.ts'
import { Faults } from '../support/faults.ts'
import { untilNextSegmentReady } from '../support/keeper-rest.ts'
import { endLeftovers } from '../support/scripted-producer.ts'
import { textsOf } from '../support/small-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

test.after.each(endLeftovers)

const MIB = 1 << 20
const SEGMENT_BYTES = 16 * MIB
/** Of one block each, so that the last one ends where the zeros do. */
const FRAME_LIMIT = SEGMENT_BYTES / 4096

test('zeros that come late begin behind the newest frame: no acknowledged byte is overwritten', async () => {
  const faults = new Faults()
  const directory = temporaryDirectory()
  const log = await openLog(directory, { segmentBytes: SEGMENT_BYTES, fileSystem: faults.fileSystem })
  const producer = log.connect()
  const held = faults.hold('write-other')
  let count = 0
  while (log.stats().roomWaits === 0 && count < FRAME_LIMIT) {
    const commit = producer.commit({ payload: String(count++) })
    await Promise.race([commit, waitForRoom(() => log.stats().roomWaits)])
  }
  assert.is(log.stats().roomWaits, 1)
  // Released before it comes there, a keeper that starts late would be held for ever.
  await held.reached()
  held.release()
  await producer.flush()
  const expected = Array.from({ length: count }, (_, index) => String(index))
  assert.equal(textsOf(log), expected)
  await log.close()
})

test('with two slots, no frame is written to the next segment while one of the segment before is under way', async () => {
  const { log, faults, producers } = await openFaulty({ stagingSlots: 2, maxBatchBytes: MIB / 2 }, 2)
  // The segment that comes next is there, so nothing but the frame in flight is in the way.
  const large = 'x'.repeat(0.4 * MIB)
  // The second one finds that a part of the segment is used, and asks for the next.
  for (const payload of [large, 'x']) {
    assert.is((await producers[0].commitSync(payload)).error, undefined)
  }
  await untilNextSegmentReady(log)
  const hold = faults.hold('write-frame')
  const first = producers[0].commitSync(large)
  await hold.reached()
  const writes = faults.calls('write-frame')
  const second = producers[1].commitSync(large)
  await eventually('both are published', () => log.stats().pendingRecords === 2)
  // Time enough to look again, and again.
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.equal([faults.calls('write-frame'), log.stats().rotations], [writes, 0])
  hold.release()
  for (const { error } of await Promise.all([first, second])) assert.is(error, undefined)
  assert.is(log.stats().rotations, 1)
  await closeAll(log, producers)
})

test('the segment-keeper makes the next segment in larger pieces when it falls behind the frames', () => {
  const log = new SimulatedLog({ segmentBytes: 8 * MIB })
  const [keeper, producer] = [log.start(CLIENT_KEEPER), log.start()]
  const { control, supply } = keeper.context
  keeper.context.keeper.storeKeeperClient(keeper.context.client)
  while (supply.makeRoom()) {
    // Zeros up to the end of the segment; the next one is not due yet.
  }
  const useUpTo = (part: number): void => {
    while (control.writeOffset() < part * 8 * MIB) producer.commit('x'.repeat(200_000))
  }
  const madeBytes = (): number => {
    const made = readdirSync(log.directory).filter((name) => name.endsWith('.tmp'))
    return made.reduce((sum, name) => sum + statSync(join(log.directory, name)).size, 0)
  }
  useUpTo(0.25)
  const sizes = [0.25, 0.3, 0.75].map((part) => {
    useUpTo(part)
    supply.makeRoom()
    return madeBytes()
  })
  assert.equal(sizes, [MIB / 2, MIB, 5 * MIB])
  supply.abandon()
})

/** Resolves when somebody waits for room, or soon. */
async function waitForRoom(roomWaits: () => number): Promise<void> {
  for (let turns = 0; turns < 1000 && roomWaits() === 0; turns++) {
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

test.run()
