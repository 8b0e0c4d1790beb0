/** A trace that threads append to. Both lie on shared memory. */
export interface SharedTrace {
  cursor: Int32Array
  numbers: Float64Array
}

export interface RawEvent {
  kind: number
  thread: number
  numbers: Float64Array
  bytes: Uint8Array
}

export const EVENTS: Record<
  | 'makeDirectory'
  | 'open'
  | 'writeBegin'
  | 'writeEnd'
  | 'syncBegin'
  | 'syncEnd'
  | 'truncate'
  | 'rename'
  | 'unlink'
  | 'syncDirectoryBegin'
  | 'syncDirectoryEnd'
  | 'fault',
  number
>
export const WORDS: Record<'failIn' | 'failHow' | 'overlaps', number>
export const FAIL: Record<'write' | 'short' | 'written' | 'sync', number>
export function appendEvent(
  trace: SharedTrace,
  kind: number,
  numbers: readonly number[],
  bytes?: Uint8Array,
): void
export function readEvents(numbers: Float64Array, visit: (event: RawEvent) => void): void
