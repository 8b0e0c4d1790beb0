import type { SyncMethod } from '../../../src/index.ts'

/** What a scripted host is told on its command line, as JSON. */
export interface ScriptedOrder {
  scenario: string
  directory: string
  syncMethod: SyncMethod
  stagingSlots: number
  firstId: number
}

/** On which it tells every event by a line. */
export const EVENT_FD = 3
