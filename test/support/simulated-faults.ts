import type { FileSystem } from '../../src/storage/file-system.ts'
import type { CrashChoice } from './crash-choice.ts'

/** Thrown by the call at which the simulated machine stops, and by every call after it. Has no `code`. */
export class SimulatedCrash extends Error {
  override name = 'SimulatedCrash'
}

/** A call that fails. */
export interface Fault {
  /** Only calls of this method count; any if it is left out. */
  method?: keyof FileSystem | undefined
  /** The how-manieth of them fails, from 1. */
  call: number
  code: string
  /** Of a write: how many bytes are written. With more than 0 the call returns short and the next write throws. */
  writtenBytes?: number
  /** Of a sync, and of a write that is one: which sectors reached the disk nevertheless; none by default. */
  written?: CrashChoice
  /** All such calls from there on fail. */
  forever?: boolean
}

/** The faults of a disk, and how far their counts are. */
export class FaultPlan {
  readonly #faults: { fault: Fault; count: number }[] = []

  add(fault: Fault): void {
    this.#faults.push({ fault, count: 0 })
  }

  clear(): void {
    this.#faults.length = 0
  }

  /** The fault that this call meets. */
  next(method: keyof FileSystem): Fault | undefined {
    let met: Fault | undefined
    for (const entry of this.#faults) {
      const { fault } = entry
      if (fault.method !== undefined && fault.method !== method) continue
      entry.count++
      if (entry.count === fault.call || (entry.count > fault.call && fault.forever === true)) met = fault
    }
    return met
  }
}

/** An error as the kernel's. */
export function failure(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code })
}
