// For threads that recover and read thousands of small logs each second, one after the other: what is allocated for one
// is over before the next begins.

const buffers = new Map<number, Buffer>()

/** The same buffer for the same length. */
export function sharedBuffer(bytes: number): Buffer {
  const buffer = buffers.get(bytes) ?? Buffer.from(new ArrayBuffer(bytes))
  buffers.set(bytes, buffer)
  return buffer
}

/** The reader allocates by itself: in this thread, from the same few buffers. Errors need no stack in their thousands. */
export function makeThreadCheap(): void {
  Buffer.allocUnsafeSlow = sharedBuffer as typeof Buffer.allocUnsafeSlow
  Error.stackTraceLimit = 0
}
