/** What the producers of the kill test write: everything about a record follows from its name. */
export interface RecordName {
  run: number
  producer: number
  /** Of this producer in this run, from 0. */
  index: number
  /** Index of the first record of its batch, and how many there are; of itself, and 1, when it is alone. */
  batchFirst: number
  batchCount: number
}

const FIELDS = 5
/** Now and then a record is so large that segments change often. */
const LARGE_EVERY = 40
const LARGE_BYTES = 60_000
const SMALL_BYTES = 600

/** The whole content of the record with this name. */
export function payloadOf(name: RecordName): string {
  const { run, producer, index, batchFirst, batchCount } = name
  const head = `${run}:${producer}:${index}:${batchFirst}:${batchCount}:`
  const mixed = Math.imul(run * 7919 + producer * 104729 + index, 0x9e3779b1) >>> 0
  const length = mixed % LARGE_EVERY === 0 ? mixed % LARGE_BYTES : mixed % SMALL_BYTES
  return head + String.fromCharCode(97 + (mixed % 26)).repeat(length)
}

/** The name that a payload begins with; undefined when it begins with none. */
export function nameOf(payload: string): RecordName | undefined {
  const numbers = payload.split(':', FIELDS).map(Number)
  if (numbers.length !== FIELDS || numbers.some((value) => !Number.isInteger(value))) return undefined
  const [run, producer, index, batchFirst, batchCount] = numbers
  return { run, producer, index, batchFirst, batchCount }
}

/** What a host is told on its command line. */
export interface KillRun {
  directory: string
  run: number
  producers: number
  stagingSlots: number
}

/** The fd on which acknowledgements go out, one line each: producer, first index, record count, first LSN. */
export const ACK_FD = 3
