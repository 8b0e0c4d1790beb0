const WASM_PAGE_BYTES = 65536

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
  const pages = Math.ceil(bytes / WASM_PAGE_BYTES)
  try {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
    return { bytes: new Uint8Array(memory.buffer, 0, bytes), isAligned: true }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return { bytes: new Uint8Array(bytes), isAligned: false }
  }
}
