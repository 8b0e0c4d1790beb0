import type { CommitContext } from '../commit/context.ts'
import { checkInteger } from './record-input.ts'

/**
 * What the flushes of one producer are about: up to which LSN each waits, and the oldest append that it has to tell of.
 * Every append is told of by the first flush behind it that comes to an end.
 */
export class FlushTargets {
  private readonly context: CommitContext
  /** First LSN that was appended and that no flush has told of; 0 when there is none. */
  private firstUntoldLsn: number

  constructor(context: CommitContext) {
    this.context = context
    this.firstUntoldLsn = 0
  }

  /** Up to which LSN a flush waits: the one asked for, which must have been handed out, or the producer's newest. */
  targetOf(lsn: number | undefined, lastLsn: number): number {
    if (lsn === undefined) return lastLsn
    const { control, ring, phases } = this.context
    const headLsn = control.headLsn()
    const handedOut = headLsn + ((ring.tailSequence() - headLsn) | 0) - 1
    checkInteger('lsn', lsn, handedOut, 1)
    if (phases.isSkipped(lsn)) {
      throw new RangeError(`lsn ${lsn} stands for no record: the log went on behind it when it was opened`)
    }
    return lsn
  }

  noteAppended(lsn: number): void {
    if (this.firstUntoldLsn === 0) this.firstUntoldLsn = lsn
  }

  /** A flush up to `target` begins: returns the first LSN that it tells of. */
  begin(target: number, lastLsn: number): number {
    const first = this.firstUntoldLsn
    if (target >= lastLsn) this.firstUntoldLsn = 0
    return first === 0 ? target : Math.min(first, target)
  }

  /** A flush was given up: a later one has to tell what became of its records. */
  noteUntold(firstLsn: number): void {
    const first = this.firstUntoldLsn
    if (firstLsn > 0 && (first === 0 || firstLsn < first)) this.firstUntoldLsn = firstLsn
  }
}
