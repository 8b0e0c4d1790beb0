import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AssertionError } from '../../src/assert.ts'
import { GroupWalError } from '../../src/errors.ts'
import { fence } from '../../src/recovery/fence.ts'
import { listSegments } from '../../src/storage/directory.ts'
import { checkRecovery, crashStates } from '../support/crash-explorer.ts'
import { BLOCK_BYTES, LOG_DIRECTORY, modelOptions } from '../support/model-log.ts'
import { ModelWorld } from '../support/model-world.ts'
import type { ModelWriter } from '../support/model-writer.ts'
import { chooseSeed, createRandom } from '../support/random.ts'
import { keepAll, loseAll, randomChoice } from '../support/simulated-disk.ts'

const random = createRandom(chooseSeed('fence'))

/** A log whose last commit failed, although its bytes reached the disk. */
function failedLog(prepare?: (writer: ModelWriter) => void): { world: ModelWorld; writer: ModelWriter } {
  const world = new ModelWorld(modelOptions(random))
  const writer = world.open()
  writer.commit([2])
  prepare?.(writer)
  world.failCommit(writer, { method: 'write', call: 1, code: 'EIO', written: keepAll }, [2, 1])
  return { world, writer }
}

test('frames that failed never come back once the fence is there, though they are whole on the disk', () => {
  const { world, writer } = failedLog()
  writer.resume()
  // The ledger of the model refuses a failed LSN, and one that is handed out twice.
  checkRecovery(
    { disk: world.disk.powerCut(loseAll), ledger: world.ledger, history: 'fence' },
    world.options,
    random,
  )
  assert.is(writer.nextLsn, 6)
  writer.commit([1])
  checkRecovery(
    { disk: world.disk.powerCut(loseAll), ledger: world.ledger, history: 'commit' },
    world.options,
    random,
  )
})

test('a fence needs no free block when a segment was made ahead', () => {
  const { world, writer } = failedLog((log) => log.prepareAhead())
  world.disk.isFull = true
  writer.resume()
  writer.commit([3])
  assert.is(writer.durableLsn, 8)
})

test('a fence needs no free block when there is a spare', () => {
  const { world, writer } = failedLog((log) => {
    for (let round = 0; round < 2; round++) {
      log.prepareAhead()
      log.rotate()
      log.commit([1])
    }
  })
  world.dropBefore(writer, writer.durableLsn)
  assert.is(listSegments(world.disk, LOG_DIRECTORY).spares.length, 1)
  world.disk.isFull = true
  writer.resume()
  writer.commit([1])
})

test('a fence on a full disk without anything to reuse is refused, and succeeds when there is space', () => {
  const { world, writer } = failedLog()
  world.disk.isFull = true
  assert.throws(
    () => writer.resume(),
    (error: GroupWalError) =>
      error.code === 'GROUPWAL_RESUME_REFUSED' && (error.cause as { code?: string }).code === 'ENOSPC',
  )
  assert.equal(listSegments(world.disk, LOG_DIRECTORY).strays, [])
  world.disk.isFull = false
  writer.resume()
  writer.commit([1])
})

test('a fence can fail at any call, be tried again, and the machine can stop then', () => {
  for (const prepare of [undefined, (writer: ModelWriter) => writer.prepareAhead()]) {
    for (let call = 1; ; call++) {
      const { world, writer } = failedLog(prepare)
      world.disk.faults.add({ call, code: 'EIO', written: randomChoice(random) })
      const isDone = tryResume(writer)
      world.disk.faults.clear()
      const state = { disk: world.disk, ledger: world.ledger, history: `failed at call ${call}` }
      for (const left of crashStates(state, random, 3)) checkRecovery(left, world.options, random)
      if (isDone) break
      writer.resume()
      writer.commit([1])
      state.history += ', then a commit'
      for (const left of crashStates(state, random, 3)) checkRecovery(left, world.options, random)
    }
  }
})

test('a fence that would cut a plain segment at its beginning is a bug of the caller', () => {
  const world = new ModelWorld(modelOptions(random))
  const writer = world.open()
  writer.commit([1])
  writer.rotate()
  const spec = {
    ...world.options,
    logId: new Uint8Array(16),
    blockBytes: BLOCK_BYTES,
    cut: { segment: 2, offset: BLOCK_BYTES, lastLsn: 1, frameSequence: 1, checksum: 1 },
    gap: undefined,
    nextLsn: 2,
  }
  assert.throws(
    () => fence(world.disk, LOG_DIRECTORY, spec),
    (error: unknown) => error instanceof AssertionError,
  )
})

/** True when the fence was through. */
function tryResume(writer: ModelWriter): boolean {
  try {
    writer.resume()
    return true
  } catch (error) {
    // Behind the fence the model opens its new segment.
    if (!GroupWalError.is(error)) return true
    assert.is(error.code, 'GROUPWAL_RESUME_REFUSED')
    return false
  }
}

test.run()
