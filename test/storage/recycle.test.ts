import { constants } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { listSegments } from '../../src/storage/directory.ts'
import { dropSegmentsBefore } from '../../src/storage/recycle.ts'
import { crashStates, stopAtEachCall } from '../support/crash-explorer.ts'
import { LOG_DIRECTORY, modelOptions } from '../support/model-log.ts'
import { ModelWorld } from '../support/model-world.ts'
import type { ModelWriter } from '../support/model-writer.ts'
import { createRandom } from '../support/random.ts'
import type { SimulatedDisk } from '../support/simulated-disk.ts'

/** Four segments, with LSNs 1 to 3, 4 to 6, 7 to 9 and 10 to 12; the last is current. */
function fourSegments(): { world: ModelWorld; writer: ModelWriter } {
  const world = new ModelWorld(modelOptions(createRandom(1)))
  const writer = world.open()
  for (let segment = 0; segment < 4; segment++) {
    if (segment > 0) {
      writer.prepareAhead()
      writer.rotate()
    }
    writer.commit([2, 1])
  }
  return { world, writer }
}

function drop(world: ModelWorld, lsn: number, current = 4, keepSpares = 2): number {
  return dropSegmentsBefore(world.disk, LOG_DIRECTORY, lsn, current, keepSpares).dropped
}

function left(world: ModelWorld): { segments: number[]; spares: number[] } {
  const { segments, spares } = listSegments(world.disk, LOG_DIRECTORY)
  return { segments: segments.map(({ number }) => number), spares: spares.map(({ number }) => number) }
}

test('only segments all of whose LSNs are below are dropped', () => {
  for (const [lsn, dropped] of [
    [1, 0],
    [3, 0],
    [4, 1],
    [6, 1],
    [7, 2],
    [10, 3],
  ] as const) {
    const { world } = fourSegments()
    assert.is(drop(world, lsn), dropped, `before ${lsn}`)
    assert.equal(left(world).segments, [1, 2, 3, 4].slice(dropped))
  }
})

test('the current segment and those behind it stay, however high the LSN', () => {
  const { world, writer } = fourSegments()
  writer.prepareAhead()
  assert.is(drop(world, 1000, 3), 2)
  assert.equal(left(world).segments, [3, 4, 5])
  assert.is(drop(world, 1000), 1)
  assert.equal(left(world).segments, [4, 5])
})

test('full segments become spares as long as there is room for spares, the others are removed', () => {
  const { world } = fourSegments()
  assert.is(drop(world, 10), 3)
  // Segment 1 was never filled up.
  assert.equal(left(world), { segments: [4], spares: [2, 3] })
  const other = fourSegments().world
  drop(other, 10, 4, 1)
  assert.equal(left(other).spares, [2])
  const third = fourSegments().world
  drop(third, 10, 4, 0)
  assert.equal(left(third).spares, [])
})

test('a segment made ahead of need, without a frame, says nothing of those before it', () => {
  const { world, writer } = fourSegments()
  writer.prepareAhead()
  writer.rotate()
  assert.is(drop(world, 1000, 5), 3)
})

test('void segments go with what they follow', () => {
  const { world, writer } = fourSegments()
  writer.rotate()
  world.failCommit(writer, { method: 'write', call: 1, code: 'EIO' })
  writer.resume()
  writer.commit([1])
  assert.is(drop(world, writer.durableLsn, writer.segment.sequence), 4)
  assert.equal(left(world).segments, [writer.segment.sequence])
})

test('dropping stops at a damaged header and changes nothing', () => {
  const { world } = fourSegments()
  const { path } = listSegments(world.disk, LOG_DIRECTORY).segments[2]!
  const fd = world.disk.open(path, constants.O_RDWR, 0)
  world.disk.write(fd, new Uint8Array(512), 0, 512, 0)
  world.disk.close(fd)
  assert.throws(() => drop(world, 10), /no valid header/)
  assert.equal(left(world).segments, [1, 2, 3, 4])
})

test('wherever a crash stops the dropping, those that are left follow each other up to the current one', () => {
  const random = createRandom(1)
  const { world } = fourSegments()
  const start = { disk: world.disk, ledger: world.ledger, history: 'four segments' }
  const dropAll = (disk: SimulatedDisk): void => {
    dropSegmentsBefore(disk, LOG_DIRECTORY, 10, 4, 1)
  }
  stopAtEachCall(start, dropAll, (stopped) => {
    for (const { disk, history } of crashStates(stopped, random, 8)) {
      const numbers = listSegments(disk, LOG_DIRECTORY).segments.map(({ number }) => number)
      assert.equal(numbers, [1, 2, 3, 4].slice(-numbers.length), history)
    }
  })
})

test.run()
