import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import { type LogRecord, readRecords } from '../../read/reader.ts'
import { loadFileSystem } from '../../storage/load-file-system.ts'
import type { Chance } from './chance.ts'
import type { StressHistory } from './history.ts'

/** Reading and comparing may keep the event loop for so long. */
const SLICE_MS = 15
const RECORDS_PER_LOOK = 64
const MARK_BYTES = 128 * 1024
const RECORD_OVERHEAD_BYTES = 32

/** Reads the log from beside its host, and feeds the history with all that is durable. */
export class LogChecker {
  private readonly directory: string
  private readonly history: StressHistory
  private records: IterableIterator<LogRecord> | undefined
  /** LSNs with the bytes that stand before them, some way apart. */
  private readonly marks: { lsn: number; bytes: number }[]

  constructor(directory: string, history: StressHistory) {
    this.directory = directory
    this.history = history
    this.records = undefined
    this.marks = []
  }

  /** Checks what is durable and not checked yet, for a short time. */
  async checkSome(durableLsn: number): Promise<void> {
    if (this.checkUntil(durableLsn, performance.now() + SLICE_MS)) await delay(SLICE_MS)
    else await nextTurn()
  }

  /** Checks the rest of a log that nobody has open. */
  checkAll(): void {
    this.checkUntil(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)
    this.history.finish()
  }

  /** The host is gone: what is read next is what its successor recovers. */
  stopReading(): void {
    // It holds a file open.
    this.records?.return?.()
    this.records = undefined
  }

  /**
   * The LSN before which the log can be dropped, because that was checked: as chance has it, if that is wanted, and
   * as much as is needed to keep it below `keepBytes`. 0: none.
   */
  droppableLsn(chance: Chance | undefined, keepBytes: number): number {
    const last = this.marks.at(-1)
    if (last === undefined) return 0
    const wanted = chance === undefined ? 0 : chance.int(this.marks.length)
    const needed = this.marks.findLastIndex(({ bytes }) => last.bytes - bytes > keepBytes) + 1
    const dropped = this.marks.splice(0, Math.max(wanted, needed))
    return dropped.at(-1)?.lsn ?? 0
  }

  /** True when all of it is checked. */
  private checkUntil(durableLsn: number, endMs: number): boolean {
    const { history } = this
    this.records ??= readRecords(loadFileSystem(), this.directory, {
      fromLsn: history.lastLsn + 1,
      toLsn: durableLsn,
    })
    for (let count = 1; ; count++) {
      const { value, done } = this.records.next()
      if (done) break
      history.see(value)
      this.mark()
      if (count % RECORDS_PER_LOOK !== 0 || performance.now() <= endMs) continue
      history.compare()
      return false
    }
    this.records = undefined
    history.compare()
    return true
  }

  private mark(): void {
    const { counts, lastLsn } = this.history
    const bytes = counts.bytes + counts.records * RECORD_OVERHEAD_BYTES
    if (bytes - (this.marks.at(-1)?.bytes ?? 0) > MARK_BYTES) this.marks.push({ lsn: lastLsn, bytes })
  }
}
