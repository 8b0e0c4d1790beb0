// Stands in for src/shared/atomics.ts in the explored build. The transform (transform.ts) puts a scheduling point
// before each of these operations; the two generators hold theirs themselves. Wide words are kept as doubles: only
// RESERVATION is ever looked at by halves.

import { DURABLE_LSN } from '../../src/shared/layout.ts'
import type { Machine } from './machine.ts'

/** Given to the bundle when it is evaluated. */
declare const M: Machine
declare const TRACED: boolean

export type Words = Int32Array

export function load(words: Words, index: number): number {
  if (TRACED) M.show(`load ${index} = ${words[index]}`)
  return words[index]
}

export function store(words: Words, index: number, value: number): void {
  if (TRACED) M.show(`store ${index} := ${value | 0} (was ${words[index]})`)
  words[index] = value
}

export function compareExchange(words: Words, index: number, expected: number, value: number): boolean {
  const now = words[index]
  if (TRACED)
    M.show(`exchange ${index}: ${now} ${now === (expected | 0) ? `:= ${value | 0}` : `is not ${expected}`}`)
  if (now !== (expected | 0)) return false
  words[index] = value
  return true
}

export function add(words: Words, index: number, delta: number): number {
  const now = words[index]
  if (TRACED) M.show(`add ${index} := ${now + delta}`)
  words[index] = now + delta
  return now
}

export function setBits(words: Words, index: number, bits: number): void {
  words[index] |= bits
}

export function clearBits(words: Words, index: number, bits: number): number {
  const now = words[index]
  words[index] = now & ~bits
  return now & bits
}

export function notify(_words: Words, index: number, count: number): number {
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

export function waitAsync(): never {
  throw new Error('promises are not explored')
}

export function createWasmWideWords(): never {
  throw new Error('the model has its own wide words')
}

export const BigIntWideWords: undefined = undefined

export class ModelWideWords {
  private readonly doubles: Float64Array
  private readonly words: Int32Array

  constructor(buffer: SharedArrayBuffer) {
    this.doubles = new Float64Array(buffer)
    this.words = new Int32Array(buffer)
  }

  load(byteOffset: number): number {
    if (TRACED) M.show(`load ${byteOffset >>> 2} = ${this.doubles[byteOffset >>> 3]}`)
    return this.doubles[byteOffset >>> 3]
  }

  store(byteOffset: number, value: number): void {
    if (TRACED) M.show(`store ${byteOffset >>> 2} := ${value} (was ${this.doubles[byteOffset >>> 3]})`)
    this.doubles[byteOffset >>> 3] = value
  }

  add(byteOffset: number, delta: number): void {
    this.doubles[byteOffset >>> 3] += delta
  }

  compareExchange(byteOffset: number, expected: number, value: number): number {
    const now = this.doubles[byteOffset >>> 3]
    if (TRACED)
      M.show(
        `exchange ${byteOffset >>> 2}: ${now} ${now === expected ? `:= ${value}` : `is not ${expected}`}`,
      )
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
      const position = words[low]
      const sequence = words[low + 1]
      if (M.step(-1)) yield
      const freed = words[head >>> 2]
      if ((position + granules - freed) >>> 0 > capacityGranules) {
        if (M.step(-1)) yield
        if (words[low] !== position || words[low + 1] !== sequence) continue
        if (TRACED) M.show('reserve: full')
        return 0
      }
      words[at] = position
      words[at + 1] = sequence
      if (M.step(-1)) yield
      if (words[low] !== position || words[low + 1] !== sequence) {
        if (TRACED) M.show('reserve: somebody else was quicker')
        if (M.step(-1)) yield
        continue
      }
      words[low] = position + granules
      words[low + 1] = sequence + records
      if (TRACED) M.show(`reserve: position ${position}, sequence ${sequence}, ${granules} granules`)
      if (M.stepUnstoppable(-1)) yield
      words[(codes >>> 2) + (position & indexMask)] = code
      if (TRACED) M.show('reserve: code stored')
      return 1
    }
  }
}
