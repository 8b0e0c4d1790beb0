import { createRequire } from 'node:module'
import { join } from 'node:path'

/** What happens at the trapped step. */
const ACTIONS = [
  'none',
  'throw',
  'exit',
  'hold',
  'holdInCall',
  'holdWithJob',
  'overflow',
  'exhaustHeap',
  'spin',
] as const
export type TrapAction = (typeof ACTIONS)[number]

/**
 * Operations that can be told apart; `wide` are those of 64 bits, `woken` and `timedOut` are returns from a wait. `file`
 * and `fileDone` come with trapped-file-system.cjs only, and `fileDone` is no step of its own unless it is asked for;
 * `memory` is any but those two.
 */
const OPERATIONS = [
  'any',
  'load',
  'store',
  'add',
  'and',
  'or',
  'compareExchange',
  'notify',
  'wait',
  'woken',
  'timedOut',
  'waitAsync',
  'wide',
  'file',
  'fileDone',
  'memory',
] as const
export type TrapOperation = (typeof OPERATIONS)[number]

/** Words of the control buffer. */
const FIELDS = { armed: 0, steps: 1, atStep: 2, action: 3, operation: 4, held: 5, gate: 6, pauses: 7 }
/** Behind the words, in bytes: when the action was taken, in milliseconds of process.hrtime(). */
const TIMES_AT = 40

/** What travels to the thread that is to be trapped. */
export interface TrapData {
  module: string
  control: SharedArrayBuffer
  fields: typeof FIELDS
  timesAt: number
  operations: typeof OPERATIONS
  actions: typeof ACTIONS
  pipe: number | undefined
}

/**
 * Traps upon every operation of one thread on the shared memory of a log: an atomic operation is a step, and at a
 * chosen step the thread can be made to die, in whatever way threads die, or to wait.
 */
export class StepTraps {
  readonly data: TrapData
  readonly #words: Int32Array
  readonly #times: Float64Array
  #reached: Promise<unknown> | undefined

  /** @param pipe fd of a named pipe, for the actions that need one: a byte written to it ends them */
  constructor(pipe?: number) {
    const control = new SharedArrayBuffer(TIMES_AT + 8)
    const module = join(process.cwd(), 'test', 'support', 'step-traps.cjs')
    this.#words = new Int32Array(control)
    this.#times = new Float64Array(control, TIMES_AT)
    this.#reached = undefined
    const lists = { operations: OPERATIONS, actions: ACTIONS }
    this.data = { module, control, fields: FIELDS, timesAt: TIMES_AT, ...lists, pipe }
  }

  /**
   * From here on steps are counted, and at number `atStep` (from 1) the action is taken, once. 0: never. With `pauses`
   * the thread is held there first, and takes the action upon `release`.
   */
  arm(
    atStep: number,
    action: TrapAction,
    operation: TrapOperation = 'any',
    { pauses = false }: { pauses?: boolean } = {},
  ): void {
    this.disarm()
    Atomics.store(this.#words, FIELDS.pauses, pauses ? 1 : 0)
    Atomics.store(this.#words, FIELDS.steps, 0)
    Atomics.store(this.#words, FIELDS.atStep, atStep)
    Atomics.store(this.#words, FIELDS.action, ACTIONS.indexOf(action))
    Atomics.store(this.#words, FIELDS.operation, OPERATIONS.indexOf(operation))
    Atomics.store(this.#words, FIELDS.held, 0)
    Atomics.store(this.#words, FIELDS.armed, 1)
  }

  disarm(): void {
    Atomics.store(this.#words, FIELDS.armed, 0)
  }

  /** Steps since it was armed. */
  get steps(): number {
    return Atomics.load(this.#words, FIELDS.steps)
  }

  /** Is the thread waiting at its trap? */
  get isHeld(): boolean {
    return Atomics.load(this.#words, FIELDS.held) === 1
  }

  /** Resolves when the thread waits at its trap. */
  async reached(): Promise<void> {
    while (!this.isHeld) {
      // One for all that ask: a waiter that is never woken would stay for ever.
      this.#reached ??= Promise.resolve(Atomics.waitAsync(this.#words, FIELDS.held, 0).value)
      await this.#reached
      this.#reached = undefined
    }
  }

  /** When the newest action was taken, in milliseconds of process.hrtime(). */
  get actedAtMs(): number {
    return this.#times[0]
  }

  /** Was the trapped step reached? */
  get isSprung(): boolean {
    const atStep = Atomics.load(this.#words, FIELDS.atStep)
    return atStep > 0 && this.steps >= atStep
  }

  /** Lets a thread that waits at its trap go on. */
  release(): void {
    Atomics.store(this.#words, FIELDS.held, 0)
    Atomics.add(this.#words, FIELDS.gate, 1)
    Atomics.notify(this.#words, FIELDS.gate)
  }
}

/** In the thread that is to be trapped, before it connects to the log. */
export function installTraps(data: TrapData): void {
  createRequire(data.module)(data.module).installTraps(data)
}
