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
  check(records: readonly LogRecord[], opened: RecoveryResult | undefined): void
}

/** What users know at a crash point. */
export function expectKnown(knowledge: Knowledge): Expectation {
  return {
    key: knowledge.version,
    check: (records, opened) => knowledge.check(records, opened?.nextLsn ?? Number.POSITIVE_INFINITY),
  }
}

/** After a recovery that was completed: exactly what it returned, and all LSNs that could have been handed out since. */
export function expectSame(
  records: readonly LogRecord[],
  opened: RecoveryResult,
  handedOut: number,
): Expectation {
  return {
    key: -opened.nextLsn,
    check: (again, reopened) => {
      const isSame = (record: LogRecord, index: number): boolean =>
        record.lsn === records[index].lsn && Buffer.compare(record.payload, records[index].payload) === 0
      if (again.length !== records.length || !again.every(isSame)) {
        throw new BrokenPromise(`P3: first ${describe(records)} is returned, and later ${describe(again)}`)
      }
      if (reopened !== undefined && reopened.nextLsn <= handedOut) {
        throw new BrokenPromise(`P2: LSN ${reopened.nextLsn} would be handed out again, ${handedOut} was`)
      }
    },
  }
}

function describe(records: readonly LogRecord[]): string {
  return records.map(({ lsn, payload }) => `${lsn}:${idOf(payload)}`).join()
}

/** Recovers the log of a run from disks that a crash left. */
export class Recoverer {
  readonly #options: Omit<RecoverOptions, 'randomBytes'>
  readonly #seed: number

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

  /** As the log itself reads, or as somebody who has it not open. */
  read(disk: SimulatedDisk, toLsn: number | undefined): LogRecord[] {
    if (!disk.list('/').includes('log')) return []
    return [...readRecords(disk, LOG_DIRECTORY, { toLsn })]
  }
}
