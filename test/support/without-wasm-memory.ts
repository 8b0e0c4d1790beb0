/** Runs as where no address space can be reserved: this thread gets no aligned memory until the end of it. */
export function withoutWasmMemory<T>(run: () => T): T {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: { Memory: unknown } }
  const { Memory } = WebAssembly
  WebAssembly.Memory = class {
    constructor() {
      throw new RangeError('WebAssembly.Memory(): could not allocate memory')
    }
  }
  const restore = (): void => {
    WebAssembly.Memory = Memory
  }
  let result: T
  try {
    result = run()
  } catch (error) {
    restore()
    throw error
  }
  if (result instanceof Promise) return result.finally(restore) as T
  restore()
  return result
}
