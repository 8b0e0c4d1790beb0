import { randomBytes } from 'node:crypto'
import { cpSync, existsSync, rmSync } from 'node:fs'
import { readRecords } from '../../../src/read/reader.ts'
import { recover } from '../../../src/recovery/recover.ts'
import { createNodeFileSystem } from '../../../src/storage/node-file-system.ts'
import type { Ledger, RecoveredRecord } from './events.ts'

const BLOCK_BYTES = 4096
const fs = createNodeFileSystem()

/** What production recovery makes of a directory, read by the production reader; without the log's threads. */
export function recoverAndRead(
  directory: string,
  segmentBytes: number,
): { records: RecoveredRecord[]; nextLsn: number } {
  const { nextLsn } = recover(fs, directory, {
    segmentBytes,
    maxOutstandingRecords: 1 << 16,
    blockBytes: BLOCK_BYTES,
    initialZeroBytes: BLOCK_BYTES,
    directReads: false,
    randomBytes: (count) => randomBytes(count),
    nowMs: () => Date.now(),
  })
  const records = Array.from(readRecords(fs, directory), ({ lsn, payload }) => ({
    lsn,
    payload: Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('latin1'),
  }))
  return { records, nextLsn }
}

/** Recovers twice, as after a second crash, and compares with what is known. Returns what is wrong. */
export function checkDirectory(directory: string, segmentBytes: number, ledger: Ledger): string[] {
  try {
    const first = recoverAndRead(directory, segmentBytes)
    const wrong = ledger.check(first.records, first.nextLsn)
    const second = recoverAndRead(directory, segmentBytes)
    if (!isSame(first.records, second.records)) {
      wrong.push('a second recovery gives other records than the first')
    }
    if (second.nextLsn < first.nextLsn)
      wrong.push(`the next LSN fell from ${first.nextLsn} to ${second.nextLsn}`)
    return wrong
  } catch (error) {
    return [`it cannot be recovered: ${(error as Error).stack}`]
  }
}

function isSame(first: readonly RecoveredRecord[], second: readonly RecoveredRecord[]): boolean {
  if (first.length !== second.length) return false
  return first.every(({ lsn, payload }, at) => second[at].lsn === lsn && second[at].payload === payload)
}

/** What kill -9 at this instant would leave: a copy of the files. No record may be written meanwhile. */
export function copyLog(directory: string, to: string): void {
  for (;;) {
    try {
      cpSync(directory, to, { recursive: true })
      return
    } catch (error) {
      // The segment-keeper gave a file its name, or removed one, in the midst of it.
      if ((error as { code?: string }).code !== 'ENOENT' || !existsSync(directory)) throw error
      rmSync(to, { recursive: true, force: true })
    }
  }
}
