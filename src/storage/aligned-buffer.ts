const WASM_PAGE_BYTES = 65536

// The types of WebAssembly are in the DOM library only, which a library for Node.js must not ask for.
interface GlobalWithWebAssembly {
  WebAssembly: { Memory: new (descriptor: { initial: number; maximum: number }) => { buffer: ArrayBuffer } }
}

/** Bytes that may be handed to `O_DIRECT`, if `isAligned`. */
export interface AlignedBuffer {
  bytes: Uint8Array
  /** False where no WebAssembly.Memory can be had (`ulimit -v`): then only buffered I/O works with it. */
  isAligned: boolean
}

/**
 * Allocates zeroed memory that begins at a page boundary. JavaScript cannot ask for aligned memory, but a
 * WebAssembly.Memory always is. It is bound to address space (8 to 10 GiB each) until it is collected, so make few.
 */
export function allocateAligned(bytes: number): AlignedBuffer {
  const { Memory } = (globalThis as unknown as GlobalWithWebAssembly).WebAssembly
  const pages = Math.ceil(bytes / WASM_PAGE_BYTES)
  try {
    const memory = new Memory({ initial: pages, maximum: pages })
    return { bytes: new Uint8Array(memory.buffer, 0, bytes), isAligned: true }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return { bytes: new Uint8Array(bytes), isAligned: false }
  }
}
