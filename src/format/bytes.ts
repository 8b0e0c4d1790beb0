// The bytes of a Uint8Array that a caller gave, as they are: what its class says of its length, or does in methods of its
// own, is not asked.

const prototype: object = Object.getPrototypeOf(Uint8Array.prototype)
const lengthOf = getterOf<number>('length')
const bufferOf = getterOf<ArrayBufferLike>('buffer')
const offsetOf = getterOf<number>('byteOffset')

function getterOf<T>(name: string): (this: Uint8Array) => T {
  return Object.getOwnPropertyDescriptor(prototype, name)!.get as (this: Uint8Array) => T
}

/** How many there are. */
export function byteCountOf(bytes: Uint8Array): number {
  return lengthOf.call(bytes)
}

/** A view of just these, which never becomes longer. */
export function viewOf(bytes: Uint8Array, from: number, length: number): Uint8Array {
  return new Uint8Array(bufferOf.call(bytes), offsetOf.call(bytes) + from, length)
}

/** Short copies by a loop: a call of `set` costs more. */
export function copyBytes(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  from: number,
  length: number,
): void {
  if (length > 64) {
    target.set(from === 0 && length === byteCountOf(source) ? source : viewOf(source, from, length), at)
    return
  }
  for (let index = 0; index < length; index++) target[at + index] = source[from + index]
}
