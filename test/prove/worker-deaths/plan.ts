import type { TrapAction, TrapOperation } from '../../support/step-traps.ts'

export const ROLES = ['producer', 'committer', 'segment-keeper'] as const
export type Role = (typeof ROLES)[number]

/** What the thread that opened the log does meanwhile: it is in its event loop, or it neither is nor comes back to it. */
export const HOSTS = ['idle', 'blocked'] as const
export type HostState = (typeof HOSTS)[number]

export const SLOTS = [1, 2] as const

/** A way in which threads die. */
export interface DeathKind {
  name: string
  action: TrapAction
  /** Held at its step until the others wait, then released into its death. Otherwise it dies where it is held. */
  pauses: boolean
  /** Dies by terminate(), which its owner calls. */
  isTerminated: boolean
  /** The thread itself lives on, and its next call must find everything in order. */
  livesOn: boolean
  vmTimeoutMs?: number
}

export const KINDS: readonly DeathKind[] = [
  kind('process.exit()', 'exit', { pauses: true }),
  kind('an exception', 'throw', { pauses: true, livesOn: true }),
  kind('heap out of memory', 'exhaustHeap', { pauses: true }),
  kind('terminate()', 'hold', { isTerminated: true }),
  kind('terminate() in a system call that takes long', 'holdInCall', { isTerminated: true }),
  kind('terminate() with a job in the thread pool', 'holdWithJob', { isTerminated: true }),
  kind('a stack overflow', 'overflow', { pauses: true, livesOn: true }),
  kind('a timeout of vm', 'spin', { livesOn: true, vmTimeoutMs: 15 }),
]

function kind(name: string, action: TrapAction, rest: Partial<DeathKind>): DeathKind {
  return { name, action, pauses: false, isTerminated: false, livesOn: false, ...rest }
}

/** Old space is what the arrays of `exhaustHeap` fill. */
export const SMALL_HEAP = { maxOldGenerationSizeMb: 12, maxYoungGenerationSizeMb: 2 }

/** What a victim is doing as it dies. */
export interface Work {
  name: string
  role: Role
  /** The calls of one role's victim, see death.ts. */
  task: 'commitSync' | 'commitBatchSync' | 'commit' | 'follow' | 'committer' | 'rotate' | 'drop'
  /** Payloads are this long. */
  payloadBytes: number
  /** Records per call. */
  recordCount: number
  /** In how many calls at most the wanted step comes up. */
  attempts: number
  /** With how many staging slots it is tried. */
  slots: readonly number[]
  /** Beside which hosts. Works much like one another share them, so that a full run comes to its end. */
  hosts: readonly HostState[]
  /** The committer writes a seal when it has been idle for so long; 0: never. */
  sealIdleMs: number
}

/** Three of them and a half fill a segment. */
const LARGE_BYTES = 290 * 1024

export const WORKS: readonly Work[] = [
  work('commitBatchSync of 3', 'producer', 'commitBatchSync', { recordCount: 3, slots: [2] }),
  work('commit', 'producer', 'commit', {}),
  work('commitSync behind another leader', 'producer', 'follow', { slots: [1], hosts: ['blocked'] }),
  work('commitSync over changes of segments', 'producer', 'commitSync', {
    payloadBytes: LARGE_BYTES,
    attempts: 5,
    slots: [1],
    hosts: ['idle'],
  }),
  work('leading for promises', 'committer', 'committer', { slots: [2] }),
  work('leading for promises', 'committer', 'committer', { slots: [1], hosts: ['blocked'] }),
  work('leading for promises, then sealing', 'committer', 'committer', {
    slots: [1],
    hosts: ['idle'],
    sealIdleMs: 2,
  }),
  work('making room', 'segment-keeper', 'rotate', { payloadBytes: LARGE_BYTES, attempts: 4 }),
  work('dropping segments', 'segment-keeper', 'drop', {
    payloadBytes: LARGE_BYTES,
    slots: [1],
    hosts: ['idle'],
  }),
]

function work(name: string, role: Role, task: Work['task'], rest: Partial<Work>): Work {
  return {
    name,
    role,
    task,
    payloadBytes: 0,
    recordCount: 1,
    attempts: 1,
    sealIdleMs: 0,
    slots: SLOTS,
    hosts: HOSTS,
    ...rest,
  }
}

/** The steps at which a thread dies so: before each of these operations, or after it (`fileDone`). */
export function operationsOf({ action }: DeathKind, { role }: Work): readonly TrapOperation[] {
  // Only at the file system's calls does a thread make any that could take long.
  if (action === 'holdInCall') return ['file', 'fileDone']
  return isThrown(action) && role !== 'segment-keeper' ? ['memory'] : ['any']
}

/** Why no thread of this role dies so at a call of the file system; undefined when it does. The keeper ends by what has no errno. */
export function whyNotInFiles({ action }: DeathKind, { role }: Work): string | undefined {
  if (!isThrown(action) || role === 'segment-keeper') return undefined
  return 'what the file system throws is a failure of the disk, and no death'
}

function isThrown(action: TrapAction): boolean {
  return action === 'throw' || action === 'overflow'
}

/** Why a thread of this role cannot die so at all, or not in this work; undefined when it can. */
export function whyImpossible(death: DeathKind, { role, task }: Work): string | undefined {
  if (role !== 'producer' && death.vmTimeoutMs !== undefined)
    return 'its code is no part of any script that vm runs'
  if (role !== 'producer' && death.action === 'holdWithJob')
    return 'its code starts no job in the thread pool, and no code of an application runs in its thread'
  if (task !== 'commit') return undefined
  if (death.action === 'holdInCall') return 'the thread of a promise makes no system call for it'
  return death.vmTimeoutMs === undefined
    ? undefined
    : 'what follows upon the call runs in the event loop, outside of the script that vm runs'
}

/** Deaths of one kind in one work, all in the same log. */
export interface Series {
  kind: number
  work: number
  host: HostState
  slots: number
  /** Each an operation and its number, from 1, among those of a call. */
  steps: Step[]
}

export interface Step {
  operation: TrapOperation
  number: number
}

/** What its times are judged by. */
export function configurationOf({ kind, work, host, slots }: Omit<Series, 'steps'>): string {
  return `${WORKS[work].role}, ${KINDS[kind].name}, host ${host}, ${slots} ${slots === 1 ? 'slot' : 'slots'}`
}
