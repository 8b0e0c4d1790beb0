/** What a name in the log's directory stands for. `foreign`: not ours, never touched. */
export type NameKind = 'segment' | 'temporary' | 'spare' | 'probe' | 'lock' | 'foreign'

export const LOCK_FILE_NAME = 'LOCK'

const DIGITS = 20

/** File name of the segment with this segment sequence. */
export function segmentName(segmentSequence: number): string {
  return `wal-${digits(segmentSequence)}.seg`
}

/** Name under which a segment stands until it is complete and synced. */
export function temporaryName(segmentSequence: number): string {
  return `wal-${digits(segmentSequence)}.tmp`
}

/** Name of a retired segment that is kept for reuse; `number` is any that is free. */
export function spareName(number: number): string {
  return `spare-${digits(number)}.seg`
}

/** Name of a file that the sync-method measurement writes. */
export function probeName(pid: number, number: number): string {
  return `probe-${pid}-${number}.tmp`
}

/** The segment sequence that a segment's file name carries, or undefined when it is not a segment's name. */
export function parseSegmentName(name: string): number | undefined {
  return parse(/^wal-(\d{20})\.seg$/, name)
}

/** The segment sequence of an unfinished segment's name. */
export function parseTemporaryName(name: string): number | undefined {
  return parse(/^wal-(\d{20})\.tmp$/, name)
}

/** The number of a spare's name. */
export function parseSpareName(name: string): number | undefined {
  return parse(/^spare-(\d{20})\.seg$/, name)
}

export function classifyName(name: string): NameKind {
  if (name === LOCK_FILE_NAME) return 'lock'
  if (parseSegmentName(name) !== undefined) return 'segment'
  if (parseTemporaryName(name) !== undefined) return 'temporary'
  if (parseSpareName(name) !== undefined) return 'spare'
  if (/^probe-\d+-\d+\.tmp$/.test(name)) return 'probe'
  return 'foreign'
}

function digits(value: number): string {
  return String(value).padStart(DIGITS, '0')
}

function parse(pattern: RegExp, name: string): number | undefined {
  const match = pattern.exec(name)
  if (match === null) return undefined
  const value = Number(match[1])
  return Number.isSafeInteger(value) && value > 0 ? value : undefined
}
