// Stops the machine at each changing call of a recovery, from every state that a log can be left in.
// EXHAUSTIVE=1 takes every sync method instead of one by chance.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { listSegments } from '../../src/storage/directory.ts'
import { checkRecovery, crashStates, stopAtEachCall } from '../support/crash-explorer.ts'
import { chooseMethods, LOG_DIRECTORY, modelOptions, openModel, settle } from '../support/model-log.ts'
import { FAILED_LIVES, LIVES, ModelWorld } from '../support/model-world.ts'
import { ModelWriter } from '../support/model-writer.ts'
import { chooseSeed, createRandom } from '../support/random.ts'
import { loseAll, randomChoice, type SimulatedDisk } from '../support/simulated-disk.ts'

const random = createRandom(chooseSeed('recover-crash'))

for (const [name, life] of Object.entries({ ...LIVES, ...FAILED_LIVES })) {
  test(`recovery can stop at any call, what it returns stays: ${name}`, () => {
    for (const method of chooseMethods(random)) {
      const options = modelOptions(random, { method })
      const world = new ModelWorld(options)
      life(world)
      for (const start of crashStates({ disk: world.disk, ledger: world.ledger, history: name }, random, 1)) {
        checkRecovery(start, options, random)
        stopAtEachCall(
          start,
          (disk) => {
            openModel(disk, options)
          },
          (stopped) => {
            for (const state of crashStates(stopped, random, 1)) checkRecovery(state, options, random)
          },
        )
      }
    }
  })
}

for (const name of ['an unproven frame behind a gap', 'copied frames only', 'a segment made ahead']) {
  test(`recovery can stop twice, and the second time the power fails: ${name}`, () => {
    const options = modelOptions(random)
    const world = new ModelWorld(options)
    LIVES[name]!(world)
    const open = (disk: SimulatedDisk): void => {
      openModel(disk, options)
    }
    stopAtEachCall({ disk: world.disk, ledger: world.ledger, history: name }, open, (killed) => {
      stopAtEachCall(killed, open, (stopped) => {
        for (const state of crashStates(stopped, random, 16)) checkRecovery(state, options, random)
      })
    })
  })
}

test('a loop of crashes leaves no more and more segments', () => {
  const world = new ModelWorld(modelOptions(random))
  world.open().commit([2])
  for (let crash = 0; crash < 20; crash++) {
    world.open().handOutOnly(1)
    const { segments, spares, strays } = listSegments(world.disk, LOG_DIRECTORY)
    assert.ok(segments.length <= 3, `${segments.length} segments after ${crash} crashes`)
    assert.ok(spares.length <= 2)
    assert.is(strays.length, 0)
  }
})

test('a larger ring than before gets a segment of its own, since more LSNs can be lost', () => {
  const small = modelOptions(random, { maxOutstandingRecords: 2 })
  const world = new ModelWorld(small)
  const writer = world.open()
  writer.commit([1])
  writer.close()
  const large = new ModelWorld({ ...small, maxOutstandingRecords: 50 }, world.disk, world.ledger)
  const next = large.open()
  assert.is(next.segment.sequence, writer.segment.sequence + 1)
  next.handOutOnly(50)
  large.open()
})

for (const directReads of [true, false]) {
  test(`frames that a failed sync dropped are lost or made durable, directReads ${directReads}`, () => {
    const options = modelOptions(random, { method: 'fdatasync' })
    for (let round = 0; round < 50; round++) {
      const world = new ModelWorld(options)
      const writer = world.open()
      writer.commit([1])
      // They still stand in the page cache, whole, but no sync will ever write them again.
      world.failCommit(
        writer,
        { method: 'dataSync', call: 1, code: 'EIO', written: randomChoice(random) },
        [2, 1],
      )
      world.disk.killProcess()
      settle(world.disk, openModel(world.disk, options, { directReads }), world.ledger)
      const after = world.disk.powerCut(loseAll)
      settle(after, openModel(after, options, { directReads }), world.ledger)
    }
  })
}

test('a close whose sync failed and dropped the seal harms nothing that is committed behind it', () => {
  const options = modelOptions(random, { method: 'fdatasync' })
  const world = new ModelWorld(options)
  const writer = world.open()
  writer.commit([2])
  world.fail({ method: 'dataSync', call: 1, code: 'EIO' }, () => writer.close())
  world.disk.killProcess()
  const opened = openModel(world.disk, options, { directReads: false })
  settle(world.disk, opened, world.ledger)
  new ModelWriter(world.disk, LOG_DIRECTORY, opened, options, world.ledger).commit([1])
  new ModelWorld(options, world.disk.powerCut(loseAll), world.ledger).open()
})

test.run()
