import { constants } from 'node:fs'
import { recordToJson } from '../../../src/cli/record-json.ts'
import { type CorruptLogError, GroupWalError } from '../../../src/errors.ts'
import { readRecords } from '../../../src/read/reader.ts'
import { type RecoveryResult, recover } from '../../../src/recovery/recover.ts'
import { createRandom } from '../../support/random.ts'
import { SimulatedDisk } from '../../support/simulated-disk.ts'
import { sharedBuffer } from '../support/shared-buffers.ts'
import type { BaseLog } from './base-logs.ts'
import type { Damage } from './damage.ts'
import { type Expected, Oracle, type Touched } from './expectation.ts'
import { textOf } from './log-shape.ts'

const DIRECTORY = '/log'
/** What a damaged log may be refused with. */
const CODES: readonly string[] = ['GROUPWAL_CORRUPT', 'GROUPWAL_UNSUPPORTED_VERSION']
/** One in so many is read as by an open log, which knows what is durable, and printed as `groupwal dump` does. */
const OPEN_READS = 4

/** How a read or an opening ended. */
interface Outcome {
  records: string[]
  error: CorruptLogError | undefined
}

/** What was seen of one damaged log. */
export type Seen = 'whole' | 'cut' | 'damage' | 'other header'

/** Reads and opens damaged copies of one log. */
export class Judge {
  readonly oracle: Oracle
  readonly #log: BaseLog
  readonly #disk: SimulatedDisk
  /** Of the undamaged log. */
  readonly #hash: number
  readonly #segmentBytes: number
  #count = 0

  constructor(log: BaseLog) {
    this.#log = log
    this.oracle = new Oracle(log)
    this.#segmentBytes = Math.max(...Array.from(log.files.values(), ({ length }) => length))
    this.#disk = diskOf(log.files)
    this.#hash = this.#disk.contentHash()
  }

  /**
   * What the production code makes of this damage.
   *
   * @param met hashes of the images that are not to be judged again; gets this one. Then undefined may come back.
   * @throws Error where it is not what docs/format.md says
   */
  judge(damage: Damage): Seen
  judge(damage: Damage, met: Set<number>): Seen | undefined
  judge(damage: Damage, met?: Set<number>): Seen | undefined {
    const disk = this.#damagedDisk(damage)
    if (met !== undefined) {
      const hash = disk.contentHash()
      if (met.has(hash) || hash === this.#hash) return undefined
      met.add(hash)
    }
    this.#count++
    const { image, touched } = this.#strike(damage)
    const expected = this.oracle.expect(image, touched)
    const dumped = readAll(disk, undefined)
    if (expected !== undefined) compare('the dump', dumped, expected)
    else for (const record of dumped.records) this.#demandKnown(record)
    if (this.#count % OPEN_READS === 0 && expected !== undefined) this.#readOpen(disk, expected)
    this.#open(disk, dumped, expected)
    if (expected === undefined) return 'other header'
    if (expected.damage !== undefined) return 'damage'
    return expected.records.length === this.oracle.records.length ? 'whole' : 'cut'
  }

  /** The files afterwards, for the oracle. */
  #strike(damage: Damage): { image: Map<string, Uint8Array>; touched: Touched[] } {
    const image = new Map(this.#log.files)
    const touched: Touched[] = []
    const copied = new Set<string>()
    for (const { file, at, bytes } of damage) {
      const before = image.get(file) as Uint8Array
      touched.push({ file, from: at, to: bytes === undefined ? Number.POSITIVE_INFINITY : at + bytes.length })
      if (bytes === undefined) image.set(file, before.subarray(0, at))
      else {
        const after = copied.has(file) ? before : before.slice()
        after.set(bytes, at)
        image.set(file, after)
        copied.add(file)
      }
    }
    return { image, touched }
  }

  #damagedDisk(damage: Damage): SimulatedDisk {
    const disk = this.#disk.fork()
    for (const { file, at, bytes } of damage) {
      const fd = disk.open(`${DIRECTORY}/${file}`, constants.O_RDWR, 0)
      if (bytes === undefined) disk.truncate(fd, at)
      else if (bytes.length > 0) disk.write(fd, bytes, 0, bytes.length, at)
      disk.fullSync(fd)
      disk.close(fd)
    }
    return disk
  }

  /** A log that is open knows what is durable: all of it is there, or missed. */
  #readOpen(disk: SimulatedDisk, expected: Expected): void {
    const toLsn = Number.parseInt(this.oracle.records.at(-1) ?? '0', 10)
    const { records, error } = readAll(disk, toLsn)
    const isAll = records.length === this.oracle.records.length
    if (!isAll && error === undefined) throw new Error(`an open log read ${records} and missed nothing`)
    demandPrefix('an open log', records, this.oracle.records)
    // Its header is looked at in any case; of the rest what stands behind the durable LSN is not.
    if (isAll !== (expected.records.length === this.oracle.records.length)) {
      throw new Error(`an open log read ${records.length} records, a dump ${expected.records.length}`)
    }
  }

  #demandKnown(record: string): void {
    if (!this.oracle.known.has(record)) throw new Error(`the dump gives ${record}, which was never written`)
  }

  #open(disk: SimulatedDisk, dumped: Outcome, expected: Expected | undefined): void {
    const { callCount } = disk
    let opened: RecoveryResult
    try {
      opened = this.#recover(disk)
    } catch (error) {
      if (!GroupWalError.is(error) || !CODES.includes(error.code)) throw error
      if (dumped.error === undefined && expected !== undefined) {
        throw new Error(`a log that reads well is refused: ${error.message}`)
      }
      if (disk.callCount !== callCount) throw new Error(`refused, but changed: ${error.message}`)
      return
    }
    // Damage that recovery need not look at is found by whoever reads that far.
    const hasEnd = dumped.error === undefined && opened.durableLsn > 0
    const again = readAll(disk, hasEnd ? opened.durableLsn : undefined)
    if (again.records.join() !== dumped.records.join() || again.error?.code !== dumped.error?.code) {
      throw new Error(`before the recovery ${describe(dumped)}, behind it ${describe(again)}`)
    }
    if (expected !== undefined && dumped.error === undefined && opened.nextLsn <= this.oracle.highestLsn) {
      throw new Error(`LSN ${opened.nextLsn} would be handed out again, ${this.oracle.highestLsn} was`)
    }
  }

  #recover(disk: SimulatedDisk): RecoveryResult {
    const random = createRandom(this.#count)
    const { blockBytes, maxOutstandingRecords } = this.oracle.shape
    return recover(disk, DIRECTORY, {
      blockBytes,
      maxOutstandingRecords,
      segmentBytes: this.#segmentBytes,
      initialZeroBytes: blockBytes,
      directReads: false,
      randomBytes: (count) => random.bytes(count),
      nowMs: () => 1_790_000_000_000,
      allocateBuffer: sharedBuffer,
    })
  }
}

function readAll(disk: SimulatedDisk, toLsn: number | undefined): Outcome {
  const outcome: Outcome = { records: [], error: undefined }
  try {
    for (const record of readRecords(disk, DIRECTORY, { toLsn })) {
      outcome.records.push(textOf(record.lsn, record.payload))
      if (toLsn === undefined) recordToJson(record)
    }
  } catch (error) {
    if (!GroupWalError.is(error) || !CODES.includes(error.code)) throw error
    outcome.error = error as CorruptLogError
  }
  if (disk.openCount !== 0) throw new Error('a file is left open')
  return outcome
}

function compare(who: string, found: Outcome, { records, damage }: Expected): void {
  if (found.records.join() !== records.join())
    throw new Error(`${who} gives ${describe(found)} instead of ${records}`)
  const { error } = found
  if (damage === undefined || error === undefined) {
    if (damage !== undefined)
      throw new Error(`${who} misses the damage at ${damage.segment} ${damage.offset}`)
    if (error !== undefined) throw new Error(`${who} takes a torn tail for damage: ${error.message}`)
    return
  }
  const isThere = error.segment === damage.segment && error.offset === damage.offset
  const isLsn = damage.firstLsn === undefined || error.firstLsn === damage.firstLsn
  const isLastLsn = error.lastLsn === undefined || error.lastLsn === damage.lastLsn
  if (!isThere || !isLsn || !isLastLsn) {
    throw new Error(`${who} says "${error.message}" instead of ${JSON.stringify(damage)}`)
  }
}

function demandPrefix(who: string, found: readonly string[], all: readonly string[]): void {
  const isPrefix = found.length <= all.length && found.every((record, index) => record === all[index])
  if (!isPrefix) throw new Error(`${who} gives ${found}, which is not how ${all} begins`)
}

function describe({ records, error }: Outcome): string {
  return `${records.length === 0 ? 'nothing' : records}${error === undefined ? '' : ` and "${error.message}"`}`
}

function diskOf(files: ReadonlyMap<string, Uint8Array>): SimulatedDisk {
  const disk = new SimulatedDisk()
  disk.makeDirectory(DIRECTORY, 0o700)
  for (const [name, bytes] of files) {
    const fd = disk.open(`${DIRECTORY}/${name}`, constants.O_RDWR | constants.O_CREAT, 0o600)
    disk.write(fd, bytes, 0, bytes.length, 0)
    disk.fullSync(fd)
    disk.close(fd)
  }
  disk.syncDirectory(DIRECTORY)
  disk.syncDirectory('/')
  return disk
}
