import { constants } from 'node:os'
import { join } from 'node:path'
import type { FileSystemModule } from '../../src/storage/file-system.ts'
import { eventually } from './eventually.ts'
import { Pipe } from './pipe.ts'
import type { StepTraps } from './step-traps.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** Calls of the file system, told apart by what is written, or was last written to the fd that is synced. */
const OPERATIONS = [
  'write-frame',
  'sync-frame',
  'write-header',
  'sync-header',
  // zeros
  'write-other',
  'sync-other',
  'write-probe',
  'sync-probe',
  'open',
  'rename',
  'unlink',
  'truncate',
  'link-count',
  'sync-directory',
] as const
export type FaultyOperation = (typeof OPERATIONS)[number]

/** What becomes of a call. `after`: it is done, and then reported as failed. `short`: only so many bytes are written. */
export type FaultResult = { code: string; after?: boolean } | { short: number } | undefined

export interface FaultTiming {
  /** Which of the calls to come is the first one concerned, default 1. */
  nth?: number
  /** How many calls, default 1. */
  times?: number
}

// Words of an operation: CALLS, then its rules.
const RULE_COUNT = 4
const FIRST_RULE = 1
const FIELDS = { first: 0, last: 1, hold: 2, result: 3, value: 4, held: 5, gate: 6, pipe: 7 }
const RULE_WORDS = Object.keys(FIELDS).length
const OPERATION_WORDS = FIRST_RULE + RULE_COUNT * RULE_WORDS

const HOLDS = { before: 1, after: 2, 'in-call': 3 }
const RESULT_PASS = 0
const RESULT_FAIL = 1
const RESULT_FAIL_AFTER = 2
const RESULT_SHORT = 3

/** Faults in the file system of one log, in all of its threads. */
export class Faults {
  /** For `openLog`'s option of that name. */
  readonly fileSystem: FileSystemModule
  readonly #words: Int32Array

  /** With traps upon the steps of one internal worker, if wanted (but not on its 64-bit operations). */
  constructor(trapped?: { worker: 'committer' | 'segment-keeper'; traps: StepTraps }) {
    const control = new SharedArrayBuffer(OPERATIONS.length * OPERATION_WORDS * 4)
    this.#words = new Int32Array(control)
    this.fileSystem = {
      // Not part of any bundle: threads load it from the source tree.
      module: join(process.cwd(), 'test', 'support', 'faulty-file-system.cjs'),
      data: {
        control,
        operations: OPERATIONS,
        operationWords: OPERATION_WORDS,
        ruleCount: RULE_COUNT,
        firstRule: FIRST_RULE,
        ruleWords: RULE_WORDS,
        fields: FIELDS,
        traps: trapped?.traps.data,
        trapped: `groupwal-${trapped?.worker}.cjs`,
      },
    }
  }

  /** How many of these calls were begun so far. */
  calls(operation: FaultyOperation): number {
    return Atomics.load(this.#words, OPERATIONS.indexOf(operation) * OPERATION_WORDS)
  }

  /** Makes calls fail, by default the next one only. */
  fail(operation: FaultyOperation, result: FaultResult, timing: FaultTiming = {}): FaultRule {
    return this.#addRule(operation, 0, result, timing)
  }

  /**
   * Makes calls wait, by default the next one only, until they are released. `before` and `after` the call itself a
   * thread waits on a word, which terminate() cuts short; `in-call` one thread waits before it in a system call,
   * which terminate() does not.
   */
  hold(
    operation: FaultyOperation,
    where: keyof typeof HOLDS = 'before',
    timing: FaultTiming = {},
  ): FaultRule {
    return this.#addRule(operation, HOLDS[where], undefined, timing)
  }

  /** Forgets all rules of the operation. */
  clear(operation: FaultyOperation): void {
    const at = OPERATIONS.indexOf(operation) * OPERATION_WORDS + FIRST_RULE
    for (let word = at; word < at + RULE_COUNT * RULE_WORDS; word++) Atomics.store(this.#words, word, 0)
  }

  #addRule(
    operation: FaultyOperation,
    hold: number,
    result: FaultResult,
    { nth = 1, times = 1 }: FaultTiming,
  ): FaultRule {
    const base = OPERATIONS.indexOf(operation) * OPERATION_WORDS
    const calls = this.calls(operation)
    const rules = Array.from({ length: RULE_COUNT }, (_, index) => base + FIRST_RULE + index * RULE_WORDS)
    const at = rules.find((rule) => this.#words[rule + FIELDS.last] <= calls)
    if (at === undefined) throw new Error(`more than ${RULE_COUNT} rules for ${operation}`)
    Atomics.store(this.#words, at + FIELDS.first, calls + nth)
    Atomics.store(this.#words, at + FIELDS.hold, hold)
    Atomics.store(this.#words, at + FIELDS.held, 0)
    const pipe = hold === HOLDS['in-call'] ? new Pipe(temporaryDirectory()) : undefined
    Atomics.store(this.#words, at + FIELDS.pipe, pipe?.fd ?? -1)
    const rule = new FaultRule(this.#words, at, pipe)
    rule.decide(result)
    Atomics.store(this.#words, at + FIELDS.last, Math.min(calls + nth + times - 1, 2 ** 31 - 1))
    return rule
  }
}

/** One rule. Valid until its calls have happened. */
export class FaultRule {
  readonly #words: Int32Array
  readonly #at: number
  readonly #pipe: Pipe | undefined

  constructor(words: Int32Array, at: number, pipe: Pipe | undefined) {
    this.#words = words
    this.#at = at
    this.#pipe = pipe
  }

  /** How many threads were held so far. */
  get heldCount(): number {
    return Atomics.load(this.#words, this.#at + FIELDS.held)
  }

  /** Resolves when a thread is held. */
  async reached(count = 1): Promise<void> {
    await eventually(`${count} held`, () => this.heldCount >= count)
    // It is counted before its system call begins: if it was terminated in between, it would not begin any more.
    const pipe = this.#pipe
    if (pipe !== undefined) await eventually('it is in its system call', () => pipe.hasReader)
  }

  /** Lets the held threads go on; the call then ends as told here. */
  release(result?: FaultResult): void {
    this.decide(result)
    Atomics.add(this.#words, this.#at + FIELDS.gate, 1)
    Atomics.notify(this.#words, this.#at + FIELDS.gate)
    this.#pipe?.release()
  }

  decide(result: FaultResult): void {
    Atomics.store(this.#words, this.#at + FIELDS.result, kindOfResult(result))
    Atomics.store(this.#words, this.#at + FIELDS.value, valueOfResult(result))
  }
}

function kindOfResult(result: FaultResult): number {
  if (result === undefined) return RESULT_PASS
  if ('short' in result) return RESULT_SHORT
  return result.after === true ? RESULT_FAIL_AFTER : RESULT_FAIL
}

function valueOfResult(result: FaultResult): number {
  if (result === undefined) return 0
  if ('short' in result) return result.short
  const errno = constants.errno[result.code as keyof typeof constants.errno]
  if (errno === undefined) throw new Error(`no such errno: ${result.code}`)
  return errno
}
