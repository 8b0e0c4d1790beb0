// Stops the machine at each changing call in the whole life of a log: creation, commits, rotation, recycling, fences,
// dropping, closing, and the recoveries between them. EXHAUSTIVE=1 takes every sync method instead of one by chance.

import { test } from 'uvu'
import { checkRecovery, crashStates, stopAtEachCall } from '../support/crash-explorer.ts'
import { ModelLedger } from '../support/model-ledger.ts'
import { chooseMethods, modelOptions } from '../support/model-log.ts'
import { FAILED_LIVES, LIVES, ModelWorld } from '../support/model-world.ts'
import { chooseSeed, createRandom } from '../support/random.ts'
import { SimulatedDisk } from '../support/simulated-disk.ts'

const random = createRandom(chooseSeed('life-crash'))

for (const [name, life] of Object.entries({ ...LIVES, ...FAILED_LIVES })) {
  test(`the machine can stop at any call, nothing acknowledged is lost: ${name}`, () => {
    for (const method of chooseMethods(random)) {
      const options = modelOptions(random, { method })
      const start = { disk: new SimulatedDisk(), ledger: new ModelLedger(), history: name }
      stopAtEachCall(
        start,
        (disk, ledger) => life(new ModelWorld(options, disk, ledger)),
        (stopped) => {
          for (const state of crashStates(stopped, random, 1)) checkRecovery(state, options, random)
        },
      )
    }
  })
}

test.run()
