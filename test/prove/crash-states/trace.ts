/**
 * What a real run of a log did to the disk, and what its users were told, in one order. The file-system events are
 * those of recording-file-system.cjs; the rest stands here.
 */
import { appendEvent, readEvents, type SharedTrace } from './recorder.ts'

/** Events of the users of the log; the numbers of each in brackets, then what its bytes are. */
export const USER_EVENTS = {
  /** [1 when it is there already], the path of the log's directory. */
  directory: 20,
  /** [bytes of the name], the name and the content of a file that stands durably in the directory. */
  file: 21,
  /** What users knew of the log before, as JSON. */
  knowledge: 22,
  /** The run begins. */
  begin: 23,
  /** [operation, producer, 1 for a batch, first id, payload bytes of each record]. */
  submit: 30,
  /** [operation, first LSN]. */
  acked: 31,
  /** [operation, 1 when told that it is not written, LSN or 0]. */
  failed: 32,
  /** [operation, LSN]: handed out, and no more. */
  placed: 33,
  /** [producer]: all that was placed by it is durable. */
  flushed: 34,
  /** [LSN] */
  truncateBefore: 35,
  resumed: 36,
  /** [LSN, id, …] of all records that the log returned after it was opened. */
  recovered: 37,
} as const

const TRACE_BYTES = 32 << 20

/** The memory of one trace; can be sent to other threads. */
export interface TraceMemory {
  cursor: SharedArrayBuffer
  numbers: SharedArrayBuffer
  /** For the faults of the recording file system. */
  control: SharedArrayBuffer
}

export function allocateTrace(): TraceMemory {
  return {
    cursor: new SharedArrayBuffer(4),
    numbers: new SharedArrayBuffer(TRACE_BYTES),
    control: new SharedArrayBuffer(64),
  }
}

/** Appends the events of one thread. */
export class TraceWriter {
  readonly #trace: SharedTrace

  constructor(memory: TraceMemory) {
    this.#trace = { cursor: new Int32Array(memory.cursor), numbers: new Float64Array(memory.numbers) }
  }

  note(kind: number, numbers: readonly number[] = [], bytes?: Uint8Array): void {
    appendEvent(this.#trace, kind, numbers, bytes)
  }

  /** The events so far, once no thread appends any more. */
  take(): Float64Array {
    return this.#trace.numbers.slice(0, Atomics.load(this.#trace.cursor, 0))
  }
}

/** One event, with its own copies of nothing: all are views on the trace. */
export interface TraceEvent {
  kind: number
  thread: number
  numbers: Float64Array
  bytes: Uint8Array
}

export function eventsOf(numbers: Float64Array): TraceEvent[] {
  const events: TraceEvent[] = []
  readEvents(numbers, (event) => events.push(event))
  return events
}

/** The payload of a record: says who it is, and is like no other. */
export function payloadOf(id: number, byteCount: number): Uint8Array {
  const payload = new Uint8Array(byteCount)
  let state = Math.imul(id + 1, 0x9e3779b1)
  for (let at = 4; at < byteCount; at++) {
    state = Math.imul(state ^ (state >>> 15), 0x85ebca6b) + 0x6d2b79f5
    payload[at] = state >>> 24
  }
  new DataView(payload.buffer).setUint32(0, id, true)
  return payload
}

export function idOf(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getUint32(0, true)
}
