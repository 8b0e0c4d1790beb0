import type { ModelLedger } from './model-ledger.ts'
import { openAndSettle } from './model-log.ts'
import type { ModelOptions } from './model-writer.ts'
import type { Random } from './random.ts'
import {
  type CrashChoice,
  keepAll,
  loseAll,
  randomChoice,
  SimulatedCrash,
  type SimulatedDisk,
} from './simulated-disk.ts'

/** A disk as a crash left it, with what the users of the log on it know. */
export interface CrashState {
  disk: SimulatedDisk
  ledger: ModelLedger
  /** How it came about, for messages. */
  history: string
}

/** What a crash at this moment can leave: the dead process alone, and power cuts of all kinds. */
export function crashStates(
  { disk, ledger, history }: CrashState,
  random: Random,
  randomCount: number,
): CrashState[] {
  const choices: [string, CrashChoice][] = [
    ['power cut, nothing unsynced kept', loseAll],
    ['power cut, all kept', keepAll],
  ]
  for (let count = 0; count < randomCount; count++) choices.push([`power cut ${count}`, randomChoice(random)])
  const states = [{ disk: disk.fork(), ledger, history: `${history}; process killed` }]
  for (const [name, choice] of choices) {
    states.push({ disk: disk.powerCut(choice), ledger, history: `${history}; ${name}` })
  }
  return states
}

/**
 * Runs an operation on the state once for each of its changing calls, and stops the machine there; then once to the
 * end. Calls `visit` with what is left each time.
 */
export function stopAtEachCall(
  start: CrashState,
  operation: (disk: SimulatedDisk, ledger: ModelLedger) => void,
  visit: (stopped: CrashState) => void,
): void {
  for (let call = 1; ; call++) {
    const disk = start.disk.fork()
    const ledger = start.ledger.copy()
    disk.crashAtCall = call
    let history = `${start.history}; run to the end`
    let isDone = true
    try {
      operation(disk, ledger)
    } catch (error) {
      if (!(error instanceof SimulatedCrash)) throw withHistory(error, start.history)
      history = `${start.history}; ${error.message}`
      isDone = false
    }
    visit({ disk, ledger, history })
    if (isDone) return
  }
}

/**
 * Opens the log that a crash left and checks what it returns; then cuts the power at once or behind some commits, and
 * opens it again: what was returned once must be returned for ever.
 */
export function checkRecovery(state: CrashState, options: ModelOptions, random: Random): void {
  try {
    const ledger = state.ledger.copy()
    const disk = state.disk.fork()
    const writer = openAndSettle(disk, options, ledger)
    if (random.chance(0.5)) writer.commit([1, 2])
    openAndSettle(disk.powerCut(loseAll), options, ledger)
  } catch (error) {
    throw withHistory(error, state.history)
  }
}

export function withHistory(error: unknown, history: string): Error {
  return new Error(`${(error as Error).message}\n  after: ${history}`, { cause: error })
}
