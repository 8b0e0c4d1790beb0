import { BigIntWideWords, createWasmWideWords, type WideWords, type Words } from './atomics.ts'
import { type Layout, PAGE_BYTES, readLayout, writeLayout } from './layout.ts'
import { type WasmMemory, WebAssembly } from './web-assembly.ts'

/** What can be sent to other threads: a shared WebAssembly memory, or a SharedArrayBuffer where none can be had. */
export type SharedRegion = WasmMemory | SharedArrayBuffer

/** One thread's views on the shared memory of a log. Holds no state of its own. */
export class SharedMemory {
  readonly region: SharedRegion
  readonly words: Words
  readonly bytes: Uint8Array
  readonly wide: WideWords
  readonly layout: Layout

  private constructor(region: SharedRegion, wide: WideWords, layout: Layout | undefined) {
    const buffer = isWasmMemory(region) ? region.buffer : region
    this.region = region
    this.words = new Int32Array(buffer)
    this.bytes = new Uint8Array(buffer)
    this.wide = wide
    if (layout !== undefined) writeLayout(this.words, layout)
    this.layout = readLayout(this.words)
  }

  /** Allocates zeroed shared memory. `aligned` is false when only a plain SharedArrayBuffer could be had: then O_DIRECT cannot be used. */
  static allocate(layout: Layout): { memory: SharedMemory; aligned: boolean } {
    const pages = layout.totalBytes / PAGE_BYTES
    try {
      const region = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
      return { memory: new SharedMemory(region, createWasmWideWords(region), layout), aligned: true }
    } catch (error) {
      // Each WebAssembly memory reserves some 10 GiB of address space, which `ulimit -v` may forbid.
      if (!(error instanceof RangeError)) throw error
      const region = new SharedArrayBuffer(layout.totalBytes)
      return { memory: new SharedMemory(region, new BigIntWideWords(region), layout), aligned: false }
    }
  }

  /** Views on the memory that another thread allocated. */
  static attach(region: SharedRegion): SharedMemory {
    const wide = isWasmMemory(region) ? createWasmWideWords(region) : new BigIntWideWords(region)
    return new SharedMemory(region, wide, undefined)
  }

  /** The same views upon injected operations: for tests that schedule every operation. */
  static withOperations(region: SharedArrayBuffer, wide: WideWords, layout: Layout): SharedMemory {
    return new SharedMemory(region, wide, layout)
  }
}

/** Not by class: what was received in another realm has that realm's. */
function isWasmMemory(region: SharedRegion): region is WasmMemory {
  return 'buffer' in region
}
