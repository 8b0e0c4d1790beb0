import { closeSync, mkdtempSync, openSync, readSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { join, resolve } from 'node:path'
import { compileC, whyNoCompiler } from '../compile-c.ts'

// Order and numbers as in shim.c.

export const OPS = [
  'open',
  'close',
  'write',
  'read',
  'fdatasync',
  'fsync',
  'ftruncate',
  'rename',
  'unlink',
  'mkdir',
  'list',
  'stat',
  'lock',
] as const
export type Op = (typeof OPS)[number]

/** What the file is, by its name when it was opened. */
export const ROLES = ['directory', 'segment', 'temporary', 'spare', 'LOCK', 'probe', 'other'] as const
export type Role = (typeof ROLES)[number]

const ACTIONS = [
  'pass',
  'fail',
  'fail-after',
  'short',
  'zero',
  'delay',
  'hold',
  'kill-before',
  'kill-after',
  'kill-mid',
] as const

/**
 * What becomes of a call. `fail-after`: it is done, and then reported as failed. `short`: only so many bytes. `hold`:
 * waits for the gate. `kill-…`: the process ends by SIGKILL before or after it, or after so many bytes of a write.
 */
export type Action =
  | { type: 'fail' | 'fail-after'; code: string }
  | { type: 'short' | 'kill-mid'; bytes: number }
  | { type: 'delay' | 'hold'; micros: number }
  | { type: 'zero' | 'kill-before' | 'kill-after' }

/** The n-th call of its kind in its phase. */
export interface Call {
  phase: number
  op: Op
  role: Role
  /** From 1. */
  nth: number
}

/** What happens to one call and, if wanted, to those behind it, in whatever phase: of the same thread, unless they have no end. */
export interface Rule {
  call: Call
  action: Action
  next?: { ops: readonly Op[]; action: Action; calls: number }
}

const WORDS = 8192
const PHASE = 0
const GATE = 1
const UNCOUNTED = 2
const TRACE_NEXT = 3
const FIRST_RULE = 16
const RULE_WORDS = 16
const FIRED = 10
const COUNTS = 128
const KINDS = 128
const ROLE_COUNT = 8
export const MOST_PHASES = 24
const TRACE = COUNTS + MOST_PHASES * KINDS
const TRACE_ENTRIES = 1024
const TRACE_WORDS = 4
const FOREVER = 0xffffffff
const WORD_BYTES = 4
const SHIM_SOURCE = 'test/support/io-shim/shim.c'

/** Why the shim cannot be had here, or undefined when it can. */
export function whyNoShim(): string | undefined {
  if (process.platform !== 'linux') return 'LD_PRELOAD and OFD locks need Linux'
  return whyNoCompiler()
}

/** A folder in memory where there is one: these runs are about calls, not about the disk. Remove it afterwards. */
export function fastDirectory(name: string): string {
  const TMPFS_MAGIC = 0x01021994
  const FREE_BYTES = 256 << 20
  try {
    const { type, bavail, bsize } = statfsSync('/dev/shm')
    if (type === TMPFS_MAGIC && bavail * bsize > FREE_BYTES) return mkdtempSync(`/dev/shm/groupwal-${name}-`)
  } catch {
    // none here
  }
  return mkdtempSync(resolve('.cache', `${name}-`))
}

/** The words that steer the shim of one process. Used from that process, and from the one that watches it. */
export class IoShim {
  readonly #fd: number
  readonly path: string

  constructor(path: string) {
    this.path = path
    this.#fd = openSync(path, 'r+')
  }

  /** A new one, its file in `directory`, which must not lie below the root. */
  static create(directory: string, name: string): IoShim {
    const path = join(directory, `${name}.control`)
    const fd = openSync(path, 'wx')
    writeSync(fd, new Uint8Array(WORDS * WORD_BYTES), 0, WORDS * WORD_BYTES, 0)
    closeSync(fd)
    return new IoShim(path)
  }

  /** For a process all of whose calls below `root` are to be seen. */
  environment(root: string): Record<string, string> {
    return {
      LD_PRELOAD: compileC(SHIM_SOURCE, 'shared', ['dl']),
      GROUPWAL_SHIM_ROOT: root,
      GROUPWAL_SHIM_CONTROL: this.path,
    }
  }

  remove(): void {
    closeSync(this.#fd)
    rmSync(this.path, { force: true })
  }

  /** Forgets counts, trace and rules; nothing is counted until a phase is set. */
  reset(): void {
    writeSync(this.#fd, new Uint8Array(WORDS * WORD_BYTES), 0, WORDS * WORD_BYTES, 0)
  }

  /** Counts calls under this number from here on, 1 to MOST_PHASES - 1; 0 leaves all calls alone. */
  setPhase(phase: number): void {
    this.#store(PHASE, [phase])
  }

  get phase(): number {
    return this.#load(PHASE)
  }

  setGate(isOpen: boolean): void {
    this.#store(GATE, [isOpen ? 1 : 0])
  }

  /** Rules are asked in the order of their index, 0 to 3; the first that applies counts. */
  setRule(index: number, rule: Rule | undefined): void {
    const at = FIRST_RULE + index * RULE_WORDS
    this.#store(at, [0])
    if (rule === undefined) return
    const { call, action, next } = rule
    const nextAll = next === undefined ? [0, 0, 0, 0] : nextWords(next)
    const kind = kindOf(call.op, call.role)
    this.#store(at + 1, [
      call.phase,
      kind,
      call.nth,
      typeNumberOf(action),
      parameterOf(action),
      ...nextAll,
      // How often it fired, and the thread that it fired in first.
      0,
      0,
    ])
    this.#store(at, [1])
  }

  /** How many calls a rule has changed. */
  fired(index: number): number {
    return this.#load(FIRST_RULE + index * RULE_WORDS + FIRED)
  }

  /** Calls of a kind that this shim does not count, on files below the root. */
  get uncounted(): number {
    return this.#load(UNCOUNTED)
  }

  countOf(phase: number, op: Op, role: Role): number {
    return this.#load(COUNTS + phase * KINDS + kindOf(op, role))
  }

  /** How often each kind of call was made in each phase; those that were not are left out. */
  counts(): { phase: number; op: Op; role: Role; count: number }[] {
    const words = this.#loadMany(COUNTS, MOST_PHASES * KINDS)
    const found: ReturnType<IoShim['counts']> = []
    for (const [index, count] of words.entries()) {
      if (count === 0) continue
      found.push({ phase: Math.floor(index / KINDS), ...nameOfKind(index % KINDS), count })
    }
    return found
  }

  /** The last calls, oldest first, for people. */
  trace(phaseName: (phase: number) => string): string[] {
    const next = this.#load(TRACE_NEXT)
    const words = this.#loadMany(TRACE, TRACE_ENTRIES * TRACE_WORDS)
    const lines: string[] = []
    for (let entry = Math.max(0, next - TRACE_ENTRIES); entry < next; entry++) {
      const at = (entry % TRACE_ENTRIES) * TRACE_WORDS
      const [where, nth, thread, action] = words.subarray(at, at + TRACE_WORDS)
      const { op, role } = nameOfKind(where & 0xffff)
      const mark = action === 0 ? '' : ` -> ${ACTIONS[action]}`
      lines.push(`thread ${thread}, ${phaseName(where >>> 16)}: ${op} ${role} #${nth}${mark}`)
    }
    return lines
  }

  #store(index: number, values: readonly number[]): void {
    const bytes = new Uint8Array(Uint32Array.from(values).buffer)
    writeSync(this.#fd, bytes, 0, bytes.length, index * WORD_BYTES)
  }

  #load(index: number): number {
    return this.#loadMany(index, 1)[0]
  }

  #loadMany(index: number, count: number): Uint32Array {
    const words = new Uint32Array(count)
    readSync(this.#fd, new Uint8Array(words.buffer), 0, count * WORD_BYTES, index * WORD_BYTES)
    return words
  }
}

function kindOf(op: Op, role: Role): number {
  return OPS.indexOf(op) * ROLE_COUNT + ROLES.indexOf(role)
}

function nameOfKind(kind: number): { op: Op; role: Role } {
  return { op: OPS[Math.floor(kind / ROLE_COUNT)], role: ROLES[kind % ROLE_COUNT] }
}

function typeNumberOf({ type }: Action): number {
  return ACTIONS.indexOf(type)
}

function parameterOf(action: Action): number {
  if ('code' in action) {
    const errno = constants.errno[action.code as keyof typeof constants.errno]
    if (errno === undefined) throw new Error(`no such errno: ${action.code}`)
    return errno
  }
  if ('bytes' in action) return action.bytes
  return 'micros' in action ? action.micros : 0
}

function nextWords({ ops, action, calls }: NonNullable<Rule['next']>): number[] {
  const mask = ops.reduce((bits, op) => bits | (1 << OPS.indexOf(op)), 0)
  return [typeNumberOf(action), parameterOf(action), Math.min(calls, FOREVER), mask]
}
