// Runs scenarios one after the other with the shim beneath it: which call goes wrong is decided by the process above.

import type { SyncMethod } from '../../../src/index.ts'
import { IoShim } from '../../support/io-shim/shim.ts'
import type { ScriptEvent } from '../io-script/events.ts'
import { ProducerThread } from '../io-script/producer-thread.ts'
import { runScenario, SCENARIOS } from '../io-script/scenarios.ts'
import { keepInternalThreads } from './kept-threads.ts'

/** What the child is told. */
export interface SweepOrder {
  scenario: string
  directory: string
  syncMethod: SyncMethod
  stagingSlots: number
  /** The log's own threads start with it. Otherwise they are those of the logs before it. */
  startsThreads: boolean
  isHarmless: boolean
  firstId: number
}

/** What it answers: events since the last answer; after `capture` it waits for a message. */
export interface SweepAnswer {
  type: 'capture' | 'done'
  events: ScriptEvent[]
}

let startsThreads = false
keepInternalThreads(() => !startsThreads)
const shim = new IoShim(process.env.GROUPWAL_SHIM_CONTROL!)
const threads = [new ProducerThread(), new ProducerThread()] as const
let events: ScriptEvent[] = []
let goOn: (() => void) | undefined

process.on('message', (order: SweepOrder | 'go on') => {
  if (order === 'go on') goOn?.()
  else void perform(order)
})
process.on('disconnect', () => process.exit())
for (const kind of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(kind, (error: unknown) => {
    events.push({ type: 'violation', text: `${kind}: ${(error as Error)?.stack ?? error}` })
  })
}

async function perform({ scenario: name, ...order }: SweepOrder): Promise<void> {
  const scenario = SCENARIOS.find((one) => one.name === name)!
  startsThreads = order.startsThreads
  try {
    await runScenario(scenario, {
      ...order,
      sealIdleMs: scenario.sealIdleMs,
      shim,
      threads,
      tell: (event) => events.push(event),
      capture: () =>
        new Promise((resolve) => {
          goOn = resolve
          send('capture')
        }),
    })
  } catch (error) {
    events.push({ type: 'violation', text: `the script broke: ${(error as Error).stack}` })
  }
  shim.setPhase(0)
  // What is thrown behind it is told, too.
  setImmediate(() => send('done'))
}

function send(type: SweepAnswer['type']): void {
  process.send!({ type, events } satisfies SweepAnswer)
  events = []
}
