// The trapped thread's side of step-traps.ts. No part of any bundle, so that internal workers can load it, too.

// Taken before they are trapped.
const { load, store, add, notify, wait } = Atomics

const LONGEST_SPIN_MS = 500

/**
 * Traps the calling thread's operations on shared memory. Needs no change of the production code: that looks up
 * `Atomics` and `WebAssembly.Instance` when it uses them.
 *
 * @param data of a StepTraps
 */
exports.installTraps = (data) => {
  const traps = new Traps(data)
  for (const operation of data.operations) {
    const real = Atomics[operation]
    if (real === undefined) continue
    Atomics[operation] = (...args) => {
      traps.step(operation)
      const result = real(...args)
      if (operation === 'wait') traps.step(result === 'timed-out' ? 'timedOut' : 'woken')
      return result
    }
  }
  trapWideWords(traps)
}

/** 64-bit operations are exports of a WebAssembly module: those that are instantiated from now on. */
function trapWideWords(traps) {
  const RealInstance = WebAssembly.Instance
  WebAssembly.Instance = function Instance(...args) {
    const trapped = {}
    for (const [name, real] of Object.entries(new RealInstance(...args).exports)) {
      trapped[name] = (...values) => {
        traps.step('wide')
        return real(...values)
      }
    }
    return { exports: trapped }
  }
}

class Traps {
  constructor({ control, fields, operations, actions }) {
    this.words = new Int32Array(control)
    this.fields = fields
    this.operations = operations
    this.actions = actions
  }

  step(operation) {
    const { words, fields } = this
    if (load(words, fields.armed) === 0) return
    const wanted = load(words, fields.operation)
    if (wanted !== 0 && this.operations[wanted] !== operation) return
    if (add(words, fields.steps, 1) + 1 !== load(words, fields.atStep)) return
    this[this.actions[load(words, fields.action)]]()
  }

  none() {}

  throw() {
    throw new Error('the trapped step')
  }

  exit() {
    process.exit(0)
  }

  hold() {
    const { words, fields } = this
    const gate = load(words, fields.gate)
    store(words, fields.held, 1)
    notify(words, fields.held)
    while (load(words, fields.gate) === gate) wait(words, fields.gate, gate)
  }

  overflow() {
    return this.overflow() + 1
  }

  exhaustHeap() {
    const kept = []
    // A MiB each: among many small ones V8 was seen to collect garbage for minutes before it gave up.
    for (;;) kept.push(new Array(1 << 17).fill(kept.length))
  }

  /** Until a timeout of `vm` ends it; V8 was seen to lose one, in compiled code. */
  spin() {
    const untilMs = Date.now() + LONGEST_SPIN_MS
    while (Date.now() < untilMs);
    this.throw()
  }
}
