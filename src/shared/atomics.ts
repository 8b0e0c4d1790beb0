import { wasmBase64 } from './atomics64-bytes.ts'
import { type WasmMemory, WebAssembly } from './web-assembly.ts'

/**
 * Every raw atomic operation of groupwal goes through this file. Words are 32 bit and addressed by their index in
 * an `Int32Array`; wide words are 64 bit, addressed by byte offset, and travel as JS numbers (all are below 2^53).
 * All operations are sequentially consistent. A schedule explorer replaces this module by one in which each
 * operation is a scheduling point.
 */
export type Words = Int32Array

export function load(words: Words, index: number): number {
  return Atomics.load(words, index)
}

export function store(words: Words, index: number, value: number): void {
  Atomics.store(words, index, value)
}

/** Returns true when the word held `expected` and now holds `value`. */
export function compareExchange(words: Words, index: number, expected: number, value: number): boolean {
  return Atomics.compareExchange(words, index, expected, value) === expected
}

export function add(words: Words, index: number, delta: number): number {
  return Atomics.add(words, index, delta)
}

export function setBits(words: Words, index: number, bits: number): void {
  Atomics.or(words, index, bits)
}

/** Clears the bits and tells which of them were set before. */
export function clearBits(words: Words, index: number, bits: number): number {
  return Atomics.and(words, index, ~bits) & bits
}

/** Wakes up to `count` threads that wait on the word; returns how many were woken. */
export function notify(words: Words, index: number, count: number): number {
  return Atomics.notify(words, index, count)
}

/** Blocks while the word holds `expected`. Returns false when `timeoutMs` passed without a wake-up. */
export function wait(words: Words, index: number, expected: number, timeoutMs: number): boolean {
  return Atomics.wait(words, index, expected, timeoutMs) !== 'timed-out'
}

/** A promise for the next wake-up of the word, or undefined when it no longer holds `expected`. Never timed: each timed call would leak until it expires. */
export function waitAsync(words: Words, index: number, expected: number): Promise<unknown> | undefined {
  const result = Atomics.waitAsync(words, index, expected)
  return result.async ? result.value : undefined
}

/** 64-bit words and the reservation of ring space. See atomics64.wat for what must not be torn apart. */
export interface WideWords {
  load(byteOffset: number): number
  store(byteOffset: number, value: number): void
  add(byteOffset: number, delta: number): void
  /** Returns what the word held before. */
  compareExchange(byteOffset: number, expected: number, value: number): number
  /** Returns 1, and the place in the producer's line, or 0 when the ring is full. Byte offsets throughout. */
  reserve(
    word: number,
    head: number,
    codes: number,
    indexMask: number,
    capacityGranules: number,
    granules: number,
    records: number,
    line: number,
    code: number,
  ): number
}

/** The fast implementation: 8 ns per operation and no garbage. */
export function createWasmWideWords(memory: WasmMemory): WideWords {
  const module = new WebAssembly.Module(Buffer.from(wasmBase64, 'base64'))
  return new WebAssembly.Instance(module, { groupwal: { memory } }).exports as WideWords
}

/** The same upon a plain SharedArrayBuffer, where no WebAssembly memory can be had: slower, and it makes garbage. */
export class BigIntWideWords implements WideWords {
  private readonly wide: BigInt64Array
  private readonly words: Int32Array

  constructor(buffer: SharedArrayBuffer) {
    this.wide = new BigInt64Array(buffer)
    this.words = new Int32Array(buffer)
  }

  load(byteOffset: number): number {
    return Number(Atomics.load(this.wide, byteOffset >>> 3))
  }

  store(byteOffset: number, value: number): void {
    Atomics.store(this.wide, byteOffset >>> 3, BigInt(value))
  }

  add(byteOffset: number, delta: number): void {
    Atomics.add(this.wide, byteOffset >>> 3, BigInt(delta))
  }

  compareExchange(byteOffset: number, expected: number, value: number): number {
    return Number(Atomics.compareExchange(this.wide, byteOffset >>> 3, BigInt(expected), BigInt(value)))
  }

  reserve(
    word: number,
    head: number,
    codes: number,
    indexMask: number,
    capacityGranules: number,
    granules: number,
    records: number,
    line: number,
    code: number,
  ): number {
    const at = line >>> 2
    this.words[at + 2] = granules
    this.words[at + 3] = records
    for (;;) {
      const old = Atomics.load(this.wide, word >>> 3)
      const position = Number(BigInt.asIntN(32, old))
      const sequence = Number(BigInt.asIntN(32, old >> 32n))
      const freed = Atomics.load(this.words, head >>> 2)
      if ((position + granules - freed) >>> 0 > capacityGranules) {
        if (Atomics.load(this.wide, word >>> 3) !== old) continue
        return 0
      }
      this.words[at] = position
      this.words[at + 1] = sequence
      const next =
        (BigInt((sequence + records) | 0) << 32n) | BigInt.asUintN(32, BigInt((position + granules) | 0))
      const codeAt = (codes >>> 2) + (position & indexMask)
      // No call into JavaScript and no loop stands between the exchange and the store of the code, so that no
      // termination can come in between (V8 looks for it at function entries and loop back-edges only).
      if (Atomics.compareExchange(this.wide, word >>> 3, old, BigInt.asIntN(64, next)) === old) {
        Atomics.store(this.words, codeAt, code)
        return 1
      }
    }
  }
}
