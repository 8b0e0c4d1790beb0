/**
 * Traps upon every operation on the shared memory of a log: an atomic operation is a step, and at a chosen step the
 * thread can be made to die, in whatever way threads die, or to wait. Runs in the thread that is trapped; the test
 * steers it through a SharedArrayBuffer. Needs no change of the production code: that looks up `Atomics` and
 * `WebAssembly.Instance` when it uses them.
 */

/** What happens at the trapped step. */
export const TRAP_ACTIONS = ['none', 'throw', 'exit', 'hold', 'overflow', 'exhaust-heap', 'spin'] as const
export type TrapAction = (typeof TRAP_ACTIONS)[number]

/** Operations that can be told apart; `wide` are those of 64 bits, `woken` is the return from a wait. */
export const TRAP_OPERATIONS = [
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
  'waitAsync',
  'wide',
] as const
export type TrapOperation = (typeof TRAP_OPERATIONS)[number]

// Words of the control buffer.
const ARMED = 0
const STEPS = 1
const AT_STEP = 2
const ACTION = 3
const OPERATION = 4
const HELD = 5
const GATE = 6
const WORDS = 8

/** What the trapped thread throws. */
export const TRAP_MESSAGE = 'the trapped step'

/** The test's side. */
export class StepTraps {
  readonly control: SharedArrayBuffer = new SharedArrayBuffer(WORDS * 4)
  readonly #words: Int32Array = new Int32Array(this.control)

  /** From here on steps are counted, and at number `atStep` (from 1) the action is taken, once. 0: never. */
  arm(atStep: number, action: TrapAction, operation: TrapOperation = 'any'): void {
    const words = this.#words
    Atomics.store(words, ARMED, 0)
    Atomics.store(words, STEPS, 0)
    Atomics.store(words, AT_STEP, atStep)
    Atomics.store(words, ACTION, TRAP_ACTIONS.indexOf(action))
    Atomics.store(words, OPERATION, TRAP_OPERATIONS.indexOf(operation))
    Atomics.store(words, HELD, 0)
    Atomics.store(words, ARMED, 1)
  }

  disarm(): void {
    Atomics.store(this.#words, ARMED, 0)
  }

  /** Steps since it was armed. */
  get steps(): number {
    return Atomics.load(this.#words, STEPS)
  }

  /** Is the thread waiting at its trap? */
  get isHeld(): boolean {
    return Atomics.load(this.#words, HELD) === 1
  }

  /** Was the trapped step reached? */
  get isSprung(): boolean {
    return Atomics.load(this.#words, AT_STEP) > 0 && this.steps >= Atomics.load(this.#words, AT_STEP)
  }

  /** Lets a thread that waits at its trap go on. */
  release(): void {
    Atomics.store(this.#words, HELD, 0)
    Atomics.add(this.#words, GATE, 1)
    Atomics.notify(this.#words, GATE)
  }
}

type AnyFunction = (...args: unknown[]) => unknown

const { load, store, add, notify, wait } = Atomics

/** In the thread that is to be trapped, before it connects to the log. */
export function installTraps(control: SharedArrayBuffer): void {
  const words = new Int32Array(control)
  const step = (operation: TrapOperation): void => takeStep(words, operation)
  const atomics = Atomics as unknown as Record<string, AnyFunction>
  for (const operation of TRAP_OPERATIONS) {
    const real = atomics[operation]
    if (real === undefined) continue
    atomics[operation] = (...args) => {
      step(operation)
      const result = real(...args)
      if (operation === 'wait') step('woken')
      return result
    }
  }
  trapWideWords(step)
}

/** The 64-bit operations are exports of a WebAssembly module. */
function trapWideWords(step: (operation: TrapOperation) => void): void {
  const webAssembly = (
    globalThis as unknown as { WebAssembly: { Instance: new (...args: unknown[]) => object } }
  ).WebAssembly
  const RealInstance = webAssembly.Instance
  webAssembly.Instance = function Instance(...args: unknown[]): object {
    const { exports } = new RealInstance(...args) as { exports: Record<string, AnyFunction> }
    const trapped: Record<string, AnyFunction> = {}
    for (const [name, real] of Object.entries(exports)) {
      trapped[name] = (...values) => {
        step('wide')
        return real(...values)
      }
    }
    return { exports: trapped }
  } as unknown as new (
    ...args: unknown[]
  ) => object
}

function takeStep(words: Int32Array, operation: TrapOperation): void {
  if (load(words, ARMED) === 0) return
  const wanted = load(words, OPERATION)
  if (wanted !== 0 && TRAP_OPERATIONS[wanted] !== operation) return
  if (add(words, STEPS, 1) + 1 !== load(words, AT_STEP)) return
  switch (TRAP_ACTIONS[load(words, ACTION)]) {
    case 'throw':
      throw new Error(TRAP_MESSAGE)
    case 'exit':
      process.exit(0)
      break
    case 'hold':
      hold(words)
      break
    case 'overflow':
      overflow(0)
      break
    case 'exhaust-heap':
      exhaustHeap()
      break
    case 'spin':
      for (;;) {
        // until a timeout of `vm` ends it
      }
  }
}

function hold(words: Int32Array): void {
  const gate = load(words, GATE)
  store(words, HELD, 1)
  notify(words, HELD)
  while (load(words, GATE) === gate) wait(words, GATE, gate)
}

function overflow(depth: number): number {
  return overflow(depth + 1) + 1
}

function exhaustHeap(): void {
  const kept: unknown[] = []
  for (;;) kept.push(new Array(1000).fill(kept.length))
}
