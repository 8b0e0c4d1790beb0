/**
 * A u64 of the format is a JavaScript number here, read and written as two little-endian halves: BigInt would
 * allocate on every frame. The format never holds a value above 2^53 - 1 except in a salt, which stays two halves.
 */

const HALF = 2 ** 32

/** Writes a safe non-negative integer as a little-endian u64. */
export function writeUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true)
  view.setUint32(offset + 4, Math.floor(value / HALF), true)
}

/** Reads a little-endian u64. A value above 2^53 - 1 loses precision: test it with `Number.isSafeInteger`. */
export function readUint64(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * HALF + view.getUint32(offset, true)
}
