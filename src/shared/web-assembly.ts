/** A shared WebAssembly memory: page aligned, and structured-cloneable to other threads. */
export interface WasmMemory {
  readonly buffer: SharedArrayBuffer
}

interface WebAssemblyNamespace {
  Memory: new (descriptor: { initial: number; maximum: number; shared: true }) => WasmMemory
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object, imports: Record<string, Record<string, unknown>>) => { exports: unknown }
}

/** What is used of WebAssembly. Its types are in the DOM library only, which a library for Node.js must not ask for. */
export const WebAssembly: WebAssemblyNamespace = (
  globalThis as unknown as { WebAssembly: WebAssemblyNamespace }
).WebAssembly
