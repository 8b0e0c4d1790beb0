import { constants } from 'node:fs'
import { basename } from 'node:path'
import { crc32 } from 'node:zlib'
import { parseSegmentName } from '../../../src/format/segment-name.ts'
import { type LogRecord, readRecords } from '../../../src/read/reader.ts'
import { type RecoverOptions, type RecoveryResult, recover } from '../../../src/recovery/recover.ts'
import { createRandom } from '../../support/random.ts'
import type { SimulatedDisk } from '../../support/simulated-disk.ts'
import { sharedBuffer } from '../support/shared-buffers.ts'
import { BrokenPromise, type Knowledge } from './knowledge.ts'
import type { RecordedRun } from './recorded-run.ts'
import { LOG_DIRECTORY } from './replay.ts'
import { BLOCK_BYTES, tinyRecoverOptions } from './tiny-log.ts'
import { idOf } from './trace.ts'

/** What must come out of a recovery. */
export interface Expectation {
  /** The same for the same. */
  readonly key: number
  checkRecords(records: readonly LogRecord[]): void
  /** @param records as checked before */
  checkNextLsn(records: readonly LogRecord[], nextLsn: number): void
}

/** What users know at a crash point. */
export function expectKnown(knowledge: Knowledge): Expectation {
  return {
    key: knowledge.version,
    checkRecords: (records) => knowledge.checkRecords(records),
    checkNextLsn: (records, nextLsn) => knowledge.checkNextLsn(records, nextLsn),
  }
}

/** After a recovery that was completed: exactly what it returned, and all LSNs that could have been handed out since. */
export function expectSame(
  records: readonly LogRecord[],
  opened: RecoveryResult,
  handedOut: number,
): Expectation {
  let checksum = 0
  for (const { lsn, payload } of records) checksum = crc32(payload, (checksum + lsn) >>> 0)
  return {
    key: -(opened.nextLsn * 2 ** 32 + checksum),
    checkRecords: (again) => {
      const isSame = (record: LogRecord, index: number): boolean =>
        record.lsn === records[index].lsn && Buffer.compare(record.payload, records[index].payload) === 0
      if (again.length !== records.length || !again.every(isSame)) {
        throw new BrokenPromise(`P3: first ${describe(records)} is returned, and later ${describe(again)}`)
      }
    },
    checkNextLsn: (_, nextLsn) => {
      if (nextLsn > handedOut) return
      throw new BrokenPromise(`P2: LSN ${nextLsn} would be handed out again, ${handedOut} was`)
    },
  }
}

function describe(records: readonly LogRecord[]): string {
  return records.map(({ lsn, payload }) => `${lsn}:${idOf(payload)}`).join()
}

/** What is read from a recovered log. */
export interface ReadBack {
  toLsn: number | undefined
  records: LogRecord[]
  /** The key of an expectation that these records meet. */
  checkedFor: number | undefined
}

/** One in so many logs is read as by somebody who has it not open. */
export const UNOPENED_READS = 8
/** Kept at a time: neighbours are recovered to the same more often than others. */
const MAX_READ_BACKS = 4096

/** Recovers the log of a run from disks that a crash left. */
export class Recoverer {
  readonly #options: Omit<RecoverOptions, 'randomBytes'>
  readonly #seed: number
  /** By the hash of what the reader sees. */
  readonly #readBacks: Map<number, ReadBack> = new Map()
  /** How many disks were read back. */
  readBackCount = 0

  constructor(run: RecordedRun, seed: number) {
    this.#seed = seed
    this.#options = {
      ...tinyRecoverOptions(run),
      initialZeroBytes: 2 * BLOCK_BYTES,
      nowMs: () => 1_790_000_000_000,
      allocateBuffer: sharedBuffer,
    }
  }

  get maxOutstandingRecords(): number {
    return this.#options.maxOutstandingRecords
  }

  /** @param depth of recoveries that were cut off before: each has its own salts, and always the same */
  recover(disk: SimulatedDisk, depth: number): RecoveryResult {
    const random = createRandom(this.#seed + depth)
    return recover(disk, LOG_DIRECTORY, { ...this.#options, randomBytes: (count) => random.bytes(count) })
  }

  /**
   * As the log itself reads what it has just recovered, or now and then somebody who has it not open. Of all disks on
   * which a reader sees the same, one is read.
   */
  readBack(disk: SimulatedDisk, { durableLsn }: RecoveryResult): ReadBack {
    const seen = disk.cachedHash(isSegment)
    const toLsn = durableLsn === 0 || seen % UNOPENED_READS === 0 ? undefined : durableLsn
    const known = this.#readBacks.get(seen)
    if (known !== undefined && known.toLsn === toLsn) return known
    disk.onOpen = refuseUnseen
    const readBack: ReadBack = { toLsn, records: this.read(disk, toLsn), checkedFor: undefined }
    disk.onOpen = undefined
    this.readBackCount++
    if (this.#readBacks.size === MAX_READ_BACKS) this.#readBacks.clear()
    this.#readBacks.set(seen, readBack)
    return readBack
  }

  read(disk: SimulatedDisk, toLsn: number | undefined): LogRecord[] {
    if (!disk.list('/').includes('log')) return []
    return [...readRecords(disk, LOG_DIRECTORY, { toLsn })]
  }
}

function isSegment(name: string): boolean {
  return parseSegmentName(name) !== undefined
}

/** A reader that sees more than is compared would make the comparison worthless. */
function refuseUnseen(path: string, flags: number): void {
  if (!isSegment(basename(path)) || (flags & constants.O_DIRECT) !== 0) {
    throw new Error(`the reader opens ${path} with flags ${flags}`)
  }
}
