import { createRequire } from 'node:module'
import { join } from 'node:path'

/** What happens at the trapped step. */
const ACTIONS = ['none', 'throw', 'exit', 'hold', 'overflow', 'exhaustHeap', 'spin'] as const
export type TrapAction = (typeof ACTIONS)[number]

/** Operations that can be told apart; `wide` are those of 64 bits, `woken` and `timedOut` are returns from a wait. */
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
] as const
export type TrapOperation = (typeof OPERATIONS)[number]

/** Words of the control buffer. */
const FIELDS = { armed: 0, steps: 1, atStep: 2, action: 3, operation: 4, held: 5, gate: 6 }

/** What travels to the thread that is to be trapped. */
export interface TrapData {
  module: string
  control: SharedArrayBuffer
  fields: typeof FIELDS
  operations: typeof OPERATIONS
  actions: typeof ACTIONS
}

/**
 * Traps upon every operation of one thread on the shared memory of a log: an atomic operation is a step, and at a
 * chosen step the thread can be made to die, in whatever way threads die, or to wait.
 */
export class StepTraps {
  readonly data: TrapData
  readonly #words: Int32Array

  constructor() {
    const control = new SharedArrayBuffer(Object.keys(FIELDS).length * 4)
    const module = join(process.cwd(), 'test', 'support', 'step-traps.cjs')
    this.#words = new Int32Array(control)
    this.data = { module, control, fields: FIELDS, operations: OPERATIONS, actions: ACTIONS }
  }

  /** From here on steps are counted, and at number `atStep` (from 1) the action is taken, once. 0: never. */
  arm(atStep: number, action: TrapAction, operation: TrapOperation = 'any'): void {
    this.disarm()
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
