import { type Action, type Call, OPS, type Op, type Rule } from '../../support/io-shim/shim.ts'

/** Faults of writes and syncs that nobody may pass over, where the log's content is at stake. */
const SYNCS_AND_WRITES: readonly Op[] = ['write', 'fdatasync', 'fsync']

/**
 * Must somebody be told when this call goes wrong so? A write that falls short is gone on with by libuv; what is no
 * commit is also gone on with after an ENOSPC behind it.
 */
export function mustBeTold(fault: Fault, { op, role }: Call, phase: string): boolean {
  if (fault.isHarmless || fault.name.startsWith('short, once') || !SYNCS_AND_WRITES.includes(op)) return false
  // There the script has its own failure.
  if (phase === 'fail') return false
  if ((phase === 'open' || phase === 'resume') && fault.name === 'short, then ENOSPC once') return false
  if (phase === 'open' || phase === 'resume') return role !== 'probe' && role !== 'LOCK'
  return role === 'segment'
}

/** One way in which a call can go wrong. */
export interface Fault {
  name: string
  /** The operations that can go wrong like this. */
  ops: readonly Op[]
  /** Nobody may notice. */
  isHarmless: boolean
  /**
   * The fault that does the same, but to later calls: where it met no later call, this one was tried with it. `calls`:
   * so many it meets then.
   */
  twin?: { name: string; calls: number }
  /** Deterministic in `nth`, so that a case can be repeated. */
  rule(call: Call): Rule
}

const CHANGING: readonly Op[] = [
  'open',
  'write',
  'fdatasync',
  'fsync',
  'ftruncate',
  'rename',
  'unlink',
  'mkdir',
]
const DELAY_MICROS = 3000
/** Parts of a write or read: nothing of use, a sector, somewhere in the midst, nearly all (the shim keeps off one byte). */
const PART_BYTES: readonly number[] = [1, 512, 2049, 1 << 30]

const READ_BYTES: readonly number[] = [1 << 30, 511, 2049, 64]

/** All of them, each for one call, and for that one and all like it from then on. */
export const FAULTS: readonly Fault[] = [
  ...onceAndForEver('EIO', OPS, () => ({ type: 'fail', code: 'EIO' })),
  ...onceAndForEver('ENOSPC', OPS.filter(isNoRead), () => ({ type: 'fail', code: 'ENOSPC' })),
  ...onceAndForEver('EFBIG', OPS.filter(isNoRead), () => ({ type: 'fail', code: 'EFBIG' })),
  ...onceAndForEver('EIO although it was done', CHANGING, () => ({ type: 'fail-after', code: 'EIO' })),
  ...onceAndForEver('short', ['write'], shortened),
  ...onceAndForEver('short', ['read'], shortenedRead, true),
  {
    name: 'short, then ENOSPC once',
    ops: ['write'],
    isHarmless: false,
    twin: { name: 'short, then ENOSPC for ever', calls: 2 },
    rule: (call) => ({ call, action: shortened(call), next: { ops: ['write'], action: FULL, calls: 1 } }),
  },
  {
    name: 'short, then ENOSPC for ever',
    ops: ['write'],
    isHarmless: false,
    rule: (call) => ({
      call,
      action: shortened(call),
      next: { ops: ['write'], action: FULL, calls: Number.POSITIVE_INFINITY },
    }),
  },
  ...onceAndForEver('return 0', ['write'], () => ({ type: 'zero' })),
  ...onceAndForEver('delay', OPS, () => ({ type: 'delay', micros: DELAY_MICROS }), true),
  {
    name: 'EIO, and every call after it',
    ops: OPS,
    isHarmless: false,
    rule: (call) => ({
      call,
      action: { type: 'fail', code: 'EIO' },
      next: { ops: OPS, action: { type: 'fail', code: 'EIO' }, calls: Number.POSITIVE_INFINITY },
    }),
  },
]

const FULL: Action = { type: 'fail', code: 'ENOSPC' }

export function faultsFor(op: Op): Fault[] {
  return FAULTS.filter(({ ops }) => ops.includes(op))
}

/** A read does not run out of space. */
function isNoRead(op: Op): boolean {
  return op !== 'read'
}

function shortened({ phase, nth }: Call): Action {
  return { type: 'short', bytes: PART_BYTES[(phase + nth) % PART_BYTES.length] }
}

/** Not byte by byte for ever. */
function shortenedRead({ nth }: Call): Action {
  return { type: 'short', bytes: READ_BYTES[nth % READ_BYTES.length] }
}

function onceAndForEver(
  name: string,
  ops: readonly Op[],
  action: (call: Call) => Action,
  isHarmless = false,
): Fault[] {
  return [
    {
      name: `${name}, once`,
      ops,
      isHarmless,
      twin: { name: `${name}, for ever`, calls: 1 },
      rule: (call) => ({ call, action: action(call) }),
    },
    {
      name: `${name}, for ever`,
      ops,
      isHarmless,
      rule: (call) => ({
        call,
        action: action(call),
        next: { ops: [call.op], action: action(call), calls: Number.POSITIVE_INFINITY },
      }),
    },
  ]
}
