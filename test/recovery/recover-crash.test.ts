// Stops the machine at each changing call of a recovery, from every state that a log can be left in.

import { test } from 'uvu'
import { checkRecovery, crashStates, stopAtEachCall } from '../support/crash-explorer.ts'
import { modelOptions, openModel } from '../support/model-log.ts'
import { FAILED_LIVES, LIVES, ModelWorld } from '../support/model-world.ts'
import { chooseSeed, createRandom } from '../support/random.ts'

const random = createRandom(chooseSeed('recover-crash'))
const methods = ['dsync', 'fdatasync'] as const

for (const [name, life] of Object.entries({ ...LIVES, ...FAILED_LIVES })) {
  test(`recovery can stop at any call, what it returns stays: ${name}`, () => {
    for (const method of methods) {
      const options = modelOptions(random, { method })
      const world = new ModelWorld(options)
      life(world)
      for (const start of crashStates({ disk: world.disk, ledger: world.ledger, history: name }, random, 1)) {
        checkRecovery(start, options)
        stopAtEachCall(
          start,
          (disk) => {
            openModel(disk, options)
          },
          (stopped) => {
            for (const state of crashStates(stopped, random, 1)) checkRecovery(state, options)
          },
        )
      }
    }
  })
}

test.run()
