import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'

/** Where the packages that groupwal is compared with are installed, apart from the project's own. */
export const peersDirectory: string = resolve('bench', 'peers')

/**
 * Loads a peer's package.
 *
 * @throws Error when it is not installed or does not load here
 */
export function loadPeer<T>(name: string): T {
  return createRequire(join(peersDirectory, 'package.json'))(name) as T
}

/** Undefined when it is not installed. */
export function peerVersion(name: string): string | undefined {
  const path = join(peersDirectory, 'node_modules', name, 'package.json')
  if (!existsSync(path)) return undefined
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version
}

/** Keys that never collide between threads and grow within one. */
export class KeySequence {
  readonly #key: Buffer
  #count = 0

  constructor(index: number) {
    this.#key = Buffer.alloc(12)
    // A process that opens the same store again goes on elsewhere.
    this.#key.writeUInt16BE(index, 0)
    this.#key.writeUInt32BE(Math.floor(Date.now() / 1000) >>> 0, 2)
  }

  /** A buffer of its own: some stores keep it until they write. */
  next(): Buffer {
    this.#key.writeUIntBE(++this.#count, 6, 6)
    return Buffer.from(this.#key)
  }
}
