import { constants } from 'node:os'
import { add, compareExchange, load, store, type Words } from '../../shared/atomics.ts'
import type { FileSystem } from '../../storage/file-system.ts'

/** What may become of a call that is chosen to fail. */
export const DISK_FAULTS = [
  { name: 'write: EIO', call: 'write', code: 'EIO' },
  { name: 'write: ENOSPC', call: 'write', code: 'ENOSPC' },
  { name: 'write: short', call: 'write', code: undefined },
  { name: 'sync: EIO', call: 'sync', code: 'EIO' },
  { name: 'sync: ENOSPC', call: 'sync', code: 'ENOSPC' },
  { name: 'open: EMFILE', call: 'open', code: 'EMFILE' },
  { name: 'rename: ENOSPC', call: 'rename', code: 'ENOSPC' },
] as const
export type DiskFault = (typeof DISK_FAULTS)[number]

/*
 * word | name      | changed by    | invariant
 *   0  | FAULT     | host, threads | number of the fault that is wanted, from 1; 0: none
 *   1  | COUNTDOWN | host, threads | how many of its calls are let through before
 *   2  | COUNT     | threads       | faults that happened
 */
const FAULT = 0
const COUNTDOWN = 1
const COUNT = 2
const WORDS = 3

/** Orders faults, one at a time, from a disk that is used in other threads. */
export class FaultOrder {
  readonly words: Words

  constructor(words: Words) {
    this.words = words
  }

  static create(): FaultOrder {
    return new FaultOrder(new Int32Array(new SharedArrayBuffer(WORDS * 4)))
  }

  /** The call that comes after so many others of its kind is to fail. Replaces an order that nothing came of. */
  place(fault: number, callsBefore: number): void {
    store(this.words, FAULT, 0)
    store(this.words, COUNTDOWN, callsBefore)
    store(this.words, FAULT, fault + 1)
  }

  cancel(): void {
    store(this.words, FAULT, 0)
  }

  get count(): number {
    return load(this.words, COUNT)
  }

  /** For the disk: the fault that this call is to suffer. */
  take(call: DiskFault['call']): DiskFault | undefined {
    const number = load(this.words, FAULT)
    const fault = DISK_FAULTS[number - 1]
    if (fault?.call !== call) return undefined
    if (add(this.words, COUNTDOWN, -1) !== 0 || !compareExchange(this.words, FAULT, number, 0))
      return undefined
    add(this.words, COUNT, 1)
    return fault
  }
}

/** The disk below, but for what was ordered. */
export function createFaultyDisk(base: FileSystem, order: FaultOrder): FileSystem {
  const failing = <T>(call: DiskFault['call'], run: () => T): T => {
    const fault = order.take(call)
    if (fault === undefined) return run()
    throw diskError(fault)
  }
  return {
    ...base,
    open: (path, flags, mode) => failing('open', () => base.open(path, flags, mode)),
    write: (fd, bytes, offset, length, position) => {
      const fault = order.take('write')
      if (fault === undefined) return base.write(fd, bytes, offset, length, position)
      if (fault.code !== undefined) throw diskError(fault)
      // A block less, or nothing of a single one: O_DIRECT takes only whole ones.
      const written = Math.max(0, length - 4096)
      return written === 0 ? 0 : base.write(fd, bytes, offset, written, position)
    },
    // The bytes may have reached the disk before the error is told.
    dataSync: (fd) => {
      base.dataSync(fd)
      failing('sync', () => {})
    },
    fullSync: (fd) => {
      base.fullSync(fd)
      failing('sync', () => {})
    },
    rename: (from, to) => failing('rename', () => base.rename(from, to)),
  }
}

const MARK = 'ordered by the stress'

function diskError({ name, code }: DiskFault): Error {
  const errno = constants.errno[code as keyof typeof constants.errno]
  return Object.assign(new Error(`${name}, ${MARK}`), { code, errno: -errno, syscall: name })
}

/** Whether the error comes from such a disk. */
export function isOrdered(error: unknown): boolean {
  for (let each = error; each instanceof Error; each = each.cause)
    if (each.message.includes(MARK)) return true
  return false
}
