// Stands in for src/shared/atomics.ts in the explored build. The transform (transform.ts) puts a scheduling point
// before each of these operations; the generators hold theirs themselves. Wide words are kept as doubles: only
// RESERVATION is ever looked at by halves.

import { DURABLE_LSN } from '../../src/shared/layout.ts'
import type { Machine } from './machine.ts'

/** Given to the bundle when it is evaluated. */
declare const M: Machine
/** Every operation tells what it does, for replays. */
declare const TRACED: boolean
/** Every operation tells which word it uses, for sites.ts. */
declare const WATCHED: boolean

export type Words = Int32Array

export function load(words: Words, index: number): number {
  if (TRACED) M.show(`load ${index} = ${words[index]}`)
  if (WATCHED) M.touch(index, false, false)
  return words[index]
}

export function store(words: Words, index: number, value: number): void {
  if (TRACED) M.show(`store ${index} := ${value | 0} (was ${words[index]})`)
  if (WATCHED) M.touch(index, true, false)
  words[index] = value
}

export function compareExchange(words: Words, index: number, expected: number, value: number): boolean {
  const now = words[index]
  if (TRACED)
    M.show(`exchange ${index}: ${now} ${now === (expected | 0) ? `:= ${value | 0}` : `is not ${expected}`}`)
  if (WATCHED) M.touch(index, now === (expected | 0), true)
  if (now !== (expected | 0)) return false
  words[index] = value
  return true
}

export function add(words: Words, index: number, delta: number): number {
  const now = words[index]
  if (TRACED) M.show(`add ${index} := ${now + delta}`)
  if (WATCHED) M.touch(index, true, true)
  words[index] = now + delta
  return now
}

export function setBits(words: Words, index: number, bits: number): void {
  if (WATCHED) M.touch(index, true, true)
  words[index] |= bits
}

export function clearBits(words: Words, index: number, bits: number): number {
  if (WATCHED) M.touch(index, true, true)
  const now = words[index]
  words[index] = now & ~bits
  return now & bits
}

export function notify(_words: Words, index: number, count: number): number {
  if (WATCHED) M.touch(index, true, true)
  const woken = M.notify(index, count)
  if (TRACED) M.show(`notify ${index}: ${woken} woken`)
  return woken
}

export function* wait(
  words: Words,
  index: number,
  expected: number,
  timeoutMs: number,
): Generator<undefined, boolean, undefined> {
  if (WATCHED) M.touch(index, false, true)
  if (words[index] !== expected) {
    if (TRACED) M.show(`wait ${index}: ${words[index]} is not ${expected}`)
    return true
  }
  if (TRACED) M.show(`wait ${index} while ${expected}, ${timeoutMs} ms`)
  M.block(index, timeoutMs)
  yield
  return M.wokenByNotify()
}

/** Not an operation of the production code: a host that polls sleeps here. */
export function* pause(): Generator<undefined, void, undefined> {
  M.pause()
  yield
}

/** Not an operation either: the event loop has nothing to do. True when it was woken, false when the timer went off. */
export function* rest(timeoutMs: number): Generator<undefined, boolean, undefined> {
  if (TRACED) M.show(`rests, ${timeoutMs} ms`)
  M.rest(timeoutMs)
  yield
  return M.wokenByNotify()
}

/** Nor this: between two turns of an event loop anybody may run. */
export function* takeTurns(): Generator<undefined, void, undefined> {
  yield
}

export function waitAsync(words: Words, index: number, expected: number): Promise<unknown> | undefined {
  if (WATCHED) M.touch(index, false, true)
  const now = words[index]
  if (TRACED) M.show(`waitAsync ${index} while ${expected}: is ${now}`)
  if (now !== expected) return undefined
  M.waitAsync(index)
  return M.loop.expectWake()
}

export function createWasmWideWords(): never {
  throw new Error('the model has its own wide words')
}

export const BigIntWideWords: undefined = undefined

/** For the operations within `reserve`. */
const RESERVE_SITE = -3

function touchReservation(low: number, isWrite: boolean): void {
  M.touch(low, isWrite, true)
  M.touch(low + 1, isWrite, true)
}

export class ModelWideWords {
  private readonly doubles: Float64Array
  private readonly words: Int32Array

  constructor(buffer: ArrayBuffer) {
    this.doubles = new Float64Array(buffer)
    this.words = new Int32Array(buffer)
  }

  load(byteOffset: number): number {
    if (TRACED) M.show(`load ${byteOffset >>> 2} = ${this.doubles[byteOffset >>> 3]}`)
    if (WATCHED) M.touch(byteOffset >>> 2, false, false)
    return this.doubles[byteOffset >>> 3]
  }

  store(byteOffset: number, value: number): void {
    if (TRACED) M.show(`store ${byteOffset >>> 2} := ${value} (was ${this.doubles[byteOffset >>> 3]})`)
    if (WATCHED) M.touch(byteOffset >>> 2, true, false)
    this.doubles[byteOffset >>> 3] = value
    if (byteOffset === DURABLE_LSN * 4) M.onDurable(value)
  }

  add(byteOffset: number, delta: number): void {
    if (WATCHED) M.touch(byteOffset >>> 2, true, true)
    this.doubles[byteOffset >>> 3] += delta
  }

  compareExchange(byteOffset: number, expected: number, value: number): number {
    const now = this.doubles[byteOffset >>> 3]
    if (TRACED)
      M.show(
        `exchange ${byteOffset >>> 2}: ${now} ${now === expected ? `:= ${value}` : `is not ${expected}`}`,
      )
    if (WATCHED) M.touch(byteOffset >>> 2, now === expected, true)
    if (now === expected) {
      this.doubles[byteOffset >>> 3] = value
      if (byteOffset === DURABLE_LSN * 4) M.onDurable(value)
    }
    return now
  }

  /** As atomics64.wat. A death cannot come between the exchange and the store of the code, another thread can. */
  *reserve(
    word: number,
    head: number,
    codes: number,
    indexMask: number,
    capacityGranules: number,
    granules: number,
    records: number,
    line: number,
    code: number,
  ): Generator<undefined, number, undefined> {
    const { words } = this
    const at = line >>> 2
    const low = word >>> 2
    words[at + 2] = granules
    words[at + 3] = records
    for (;;) {
      if (WATCHED) touchReservation(low, false)
      const position = words[low]
      const sequence = words[low + 1]
      if (M.step(RESERVE_SITE)) yield
      if (WATCHED) M.touch(head >>> 2, false, false)
      const freed = words[head >>> 2]
      if ((position + granules - freed) >>> 0 > capacityGranules) {
        if (M.step(RESERVE_SITE)) yield
        if (words[low] !== position || words[low + 1] !== sequence) continue
        if (TRACED) M.show('reserve: full')
        return 0
      }
      words[at] = position
      words[at + 1] = sequence
      if (M.step(RESERVE_SITE)) yield
      if (WATCHED) touchReservation(low, true)
      if (words[low] !== position || words[low + 1] !== sequence) {
        if (TRACED) M.show('reserve: somebody else was quicker')
        if (M.step(RESERVE_SITE)) yield
        continue
      }
      words[low] = position + granules
      words[low + 1] = sequence + records
      if (TRACED) M.show(`reserve: position ${position}, sequence ${sequence}, ${granules} granules`)
      if (M.stepUnstoppable(RESERVE_SITE)) yield
      if (WATCHED) M.touch((codes >>> 2) + (position & indexMask), true, false)
      words[(codes >>> 2) + (position & indexMask)] = code
      if (TRACED) M.show('reserve: code stored')
      return 1
    }
  }
}
