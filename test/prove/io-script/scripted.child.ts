// Runs one scenario with the shim beneath it, which ends this process in the midst of a call. Tells every event by a
// line, as it happens.

import { writeSync } from 'node:fs'
import { IoShim } from '../../support/io-shim/shim.ts'
import { EVENT_FD, type ScriptedOrder } from './order.ts'
import { ProducerThread } from './producer-thread.ts'
import { runScenario, SCENARIOS } from './scenarios.ts'

const { scenario: name, ...order } = JSON.parse(process.argv[2]) as ScriptedOrder
const scenario = SCENARIOS.find((one) => one.name === name)!
const threads = [new ProducerThread(), new ProducerThread()] as const

await runScenario(scenario, {
  ...order,
  sealIdleMs: scenario.sealIdleMs,
  isHarmless: true,
  shim: new IoShim(process.env.GROUPWAL_SHIM_CONTROL!),
  threads,
  tell,
  capture: async () => {},
})
process.exit()

/** One write, so that nothing of a line is missing when the process dies. */
function tell(event: unknown): void {
  for (;;) {
    try {
      writeSync(EVENT_FD, `${JSON.stringify(event)}\n`)
      return
    } catch (error) {
      // The reader is behind.
      if ((error as { code?: string }).code !== 'EAGAIN') throw error
    }
  }
}
