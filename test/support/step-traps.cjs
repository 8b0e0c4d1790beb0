// The trapped thread's side of step-traps.ts. No part of any bundle, so that internal workers can load it, too.

const { read, readSync } = require('node:fs')

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
  exports.installed = traps
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

/** The traps of this thread, if it has any. */
exports.installed = undefined

function isWanted(operation, wanted) {
  // What follows upon a call of the file system is a step of its own only for those who ask for it.
  if (wanted === 'any') return operation !== 'fileDone'
  if (wanted === 'memory') return operation !== 'file' && operation !== 'fileDone'
  return operation === wanted
}

class Traps {
  constructor({ control, fields, timesAt, operations, actions, pipe }) {
    this.words = new Int32Array(control)
    this.times = new Float64Array(control, timesAt)
    this.pipe = pipe
    this.fields = fields
    this.operations = operations
    this.actions = actions
  }

  step(operation) {
    const { words, fields } = this
    if (load(words, fields.armed) === 0) return
    if (!isWanted(operation, this.operations[load(words, fields.operation)])) return
    if (add(words, fields.steps, 1) + 1 !== load(words, fields.atStep)) return
    if (load(words, fields.pauses) === 1) this.hold()
    this.times[0] = Number(process.hrtime.bigint()) / 1e6
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
    this.tellHeld()
    while (load(words, fields.gate) === gate) wait(words, fields.gate, gate)
  }

  tellHeld() {
    store(this.words, this.fields.held, 1)
    notify(this.words, this.fields.held)
  }

  /** In a system call, which nothing cuts short, until there is a byte in the pipe. */
  holdInCall() {
    this.tellHeld()
    readSync(this.pipe, new Uint8Array(1))
  }

  /** As hold, with a job in the thread pool that lasts until there is a byte in the pipe: so long the thread cannot end. */
  holdWithJob() {
    read(this.pipe, new Uint8Array(1), 0, 1, null, () => {})
    this.hold()
  }

  overflow() {
    return this.overflow() + 1
  }

  exhaustHeap() {
    const kept = []
    // 4 MiB each: among many small ones V8 was seen to collect garbage for minutes before it gave up.
    for (;;) kept.push(new Array(1 << 19).fill(kept.length))
  }

  /** Until a timeout of `vm` ends it; V8 was seen to lose one, in compiled code. */
  spin() {
    this.tellHeld()
    const untilMs = Date.now() + LONGEST_SPIN_MS
    while (Date.now() < untilMs);
    this.throw()
  }
}
