// The module for the option `fileSystem: { module, data }`: the real file system, in which a test makes single calls
// fail, fall short or wait, in whatever thread they happen. Steered by test/support/faults.ts through shared memory;
// `data` says where its words are, so that only that file knows the layout.

const { readSync } = require('node:fs')
const { getSystemErrorName } = require('node:util')

// Taken before a test can put traps upon Atomics: waiting here is no step of the protocol.
const { add, load, notify, wait } = Atomics

const HOLD_BEFORE = 1
const HOLD_AFTER = 2
/** Waits in a system call, which terminate() cannot cut short. */
const HOLD_IN_CALL = 3

const RESULT_FAIL = 1
const RESULT_FAIL_AFTER = 2
const RESULT_SHORT = 3

const FRAME_MAGIC = [0x47, 0x57, 0x46, 0x52]
const HEADER_MAGIC = [0x47, 0x57, 0x53, 0x47]

exports.createFileSystem = (base, data) => {
  // The thread's own entry file stands on the stack; internal workers have names of their own.
  if (data.traps !== undefined && new Error().stack.includes(data.trapped)) {
    require(data.traps.module).installTraps(data.traps)
  }
  return new FaultyFileSystem(base, data)
}

class FaultyFileSystem {
  constructor(base, data) {
    this.base = base
    this.data = data
    this.words = new Int32Array(data.control)
    /** What was last written to each fd of this thread: says what a sync of it is for. */
    this.kinds = new Map()
    for (const name of ['close', 'read', 'fileSize', 'list', 'makeDirectory']) {
      this[name] = (...args) => base[name](...args)
    }
  }

  open(path, flags, mode) {
    const fd = this.perform('open', () => this.base.open(path, flags, mode))
    this.kinds.set(fd, path.includes('probe-') ? 'probe' : 'other')
    return fd
  }

  write(fd, bytes, offset, length, position) {
    if (this.kinds.get(fd) !== 'probe') this.kinds.set(fd, kindOf(bytes, offset))
    const write = (count) => this.base.write(fd, bytes, offset, count, position)
    return this.perform(`write-${this.kinds.get(fd)}`, () => write(length), write)
  }

  dataSync(fd) {
    this.perform(`sync-${this.kinds.get(fd)}`, () => this.base.dataSync(fd))
  }

  fullSync(fd) {
    this.perform(`sync-${this.kinds.get(fd)}`, () => this.base.fullSync(fd))
  }

  truncate(fd, length) {
    this.perform('truncate', () => this.base.truncate(fd, length))
  }

  linkCount(fd) {
    return this.perform('link-count', () => this.base.linkCount(fd))
  }

  rename(from, to) {
    this.perform('rename', () => this.base.rename(from, to))
  }

  unlink(path) {
    this.perform('unlink', () => this.base.unlink(path))
  }

  syncDirectory(path) {
    this.perform('sync-directory', () => this.base.syncDirectory(path))
  }

  /** Does the call as the rule that applies to it, if any, says. */
  perform(operation, call, shortCall) {
    const { words, data } = this
    const at = data.operations.indexOf(operation) * data.operationWords
    const number = add(words, at, 1) + 1
    const rule = this.ruleFor(at, number)
    if (rule === undefined) return call()
    const hold = load(words, rule + data.fields.hold)
    if (hold === HOLD_BEFORE || hold === HOLD_IN_CALL) this.hold(rule, hold)
    const result = load(words, rule + data.fields.result)
    const value = load(words, rule + data.fields.value)
    if (result === RESULT_FAIL) throw systemError(value, operation)
    const outcome = result === RESULT_SHORT ? shortCall(value) : call()
    if (hold === HOLD_AFTER) this.hold(rule, hold)
    if (result === RESULT_FAIL_AFTER) throw systemError(value, operation)
    return outcome
  }

  ruleFor(at, number) {
    const { words, data } = this
    for (let index = 0; index < data.ruleCount; index++) {
      const rule = at + data.firstRule + index * data.ruleWords
      if (number < load(words, rule + data.fields.first)) continue
      if (number <= load(words, rule + data.fields.last)) return rule
    }
    return undefined
  }

  hold(rule, hold) {
    const { words, data } = this
    const gate = load(words, rule + data.fields.gate)
    add(words, rule + data.fields.held, 1)
    notify(words, rule + data.fields.held, Number.POSITIVE_INFINITY)
    if (hold === HOLD_IN_CALL) readSync(load(words, rule + data.fields.pipe), new Uint8Array(1))
    else while (load(words, rule + data.fields.gate) === gate) wait(words, rule + data.fields.gate, gate)
  }
}

function kindOf(bytes, offset) {
  const starts = (magic) => magic.every((byte, index) => bytes[offset + index] === byte)
  if (starts(FRAME_MAGIC)) return 'frame'
  return starts(HEADER_MAGIC) ? 'header' : 'other'
}

/** As Node makes them: it has no name for those that libuv does not know. */
function systemError(errno, operation) {
  const name = getSystemErrorName(-errno)
  const code = name.startsWith('Unknown') ? 'UNKNOWN' : name
  return Object.assign(new Error(`${code}: injected, ${operation}`), {
    code,
    errno: -errno,
    syscall: operation,
  })
}
