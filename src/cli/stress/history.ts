import type { LogRecord } from '../../read/reader.ts'
import { LedgerReader, listLedgers, TOLD_DURABLE, TOLD_INDETERMINATE, TOLD_NOT_WRITTEN } from './ledger.ts'
import type { StressPlan } from './plan.ts'

/** A promise of the log that was broken. */
export class Violation extends Error {
  override name = 'Violation'
}

/** What the history has compared so far. */
export interface HistoryCounts {
  /** Records read from the log. */
  records: number
  bytes: number
  /** Of those: acknowledged to their producer, as the same LSN. */
  acknowledged: number
  /** Records whose producer was told that they failed. */
  failed: number
  /** Records in the log of which their producer was told nothing, or that they may come back. */
  unacknowledged: number
}

/** The most that one incarnation may have submitted without noting down what it was told. */
const MOST_UNTOLD = 4096

/** What is known of one incarnation of a producer. */
class Track {
  readonly incarnation: number
  readonly ledger: LedgerReader
  /** The newest record that was read from the log. */
  lastIndex: number
  lastLsn: number
  /** First index behind the batch to which that one belongs. */
  batchEnd: number
  /** Records read from the log and not compared with the ledger yet: index and LSN by turns. */
  sighted: number[]
  /** How many records the ledger has told of. */
  toldCount: number
  /** Index of a record that was told to be indeterminate and is in the log; -1: none. */
  cameBack: number

  constructor(incarnation: number, ledger: LedgerReader) {
    this.incarnation = incarnation
    this.ledger = ledger
    this.lastIndex = -1
    this.lastLsn = 0
    this.batchEnd = 0
    this.sighted = []
    this.toldCount = 0
    this.cameBack = -1
  }

  nameOf(index: number): string {
    return `record ${index} of producer ${this.incarnation}`
  }
}

/**
 * Compares what the log holds with what the producers were told. It is fed with every record of the log, in order
 * and before it may be dropped, and reads the ledgers beside that.
 *
 * All methods throw a Violation.
 */
export class StressHistory {
  readonly counts: HistoryCounts
  /** LSN of the newest record that was read. */
  lastLsn: number
  private readonly plan: StressPlan
  private readonly ledgers: string
  private readonly canFail: boolean
  private readonly tracks: Map<number, Track>
  private readonly touched: Set<Track>
  /** LSNs between the records of the log, first and last by turns. */
  private readonly gaps: number[]

  /** @param canFail commits may fail in this run: then a producer's records may have holes that nobody told of */
  constructor(plan: StressPlan, ledgers: string, canFail: boolean) {
    this.counts = { records: 0, bytes: 0, acknowledged: 0, failed: 0, unacknowledged: 0 }
    this.lastLsn = 0
    this.plan = plan
    this.ledgers = ledgers
    this.canFail = canFail
    this.tracks = new Map()
    this.touched = new Set()
    this.gaps = []
  }

  /** The next record of the log. */
  see(record: LogRecord): void {
    const { lsn } = record
    if (lsn <= this.lastLsn) throw new Violation(`LSN ${lsn} stands behind LSN ${this.lastLsn} in the log`)
    const name = this.plan.nameOf(record)
    if (name === undefined) throw new Violation(`the record of LSN ${lsn} is none that a producer wrote`)
    if (lsn > this.lastLsn + 1) this.gaps.push(this.lastLsn + 1, lsn - 1)
    this.lastLsn = lsn
    const track = this.trackOf(name.incarnation)
    this.checkPlace(track, name.index, lsn)
    track.lastIndex = name.index
    track.lastLsn = lsn
    track.sighted.push(name.index, lsn)
    this.touched.add(track)
    this.counts.records++
    this.counts.bytes += record.payload.length
  }

  /** Compares with what the ledgers say by now. */
  compare(): void {
    for (const track of this.touched) this.compareTrack(track, false)
    for (const track of this.touched) if (track.sighted.length === 0) this.touched.delete(track)
  }

  /** The whole log was read, and nobody writes any more. */
  finish(): void {
    for (const incarnation of listLedgers(this.ledgers)) this.trackOf(incarnation)
    for (const track of this.tracks.values()) {
      this.compareTrack(track, true)
      this.checkEnd(track)
    }
  }

  private trackOf(incarnation: number): Track {
    let track = this.tracks.get(incarnation)
    if (track === undefined) {
      track = new Track(incarnation, new LedgerReader(this.ledgers, incarnation))
      this.tracks.set(incarnation, track)
    }
    return track
  }

  /** In the order of its producer's calls, once, and with its whole batch. */
  private checkPlace(track: Track, index: number, lsn: number): void {
    const { lastIndex, lastLsn } = track
    if (index <= lastIndex) {
      throw new Violation(
        `${track.nameOf(index)} has LSN ${lsn} and stands behind ${track.nameOf(lastIndex)}`,
      )
    }
    if (lastIndex + 1 < track.batchEnd) {
      if (index === lastIndex + 1 && lsn === lastLsn + 1) return
      throw new Violation(`the batch of ${track.nameOf(lastIndex)}, LSN ${lastLsn}, is in the log in part`)
    }
    let first = track.batchEnd
    let end = first + this.plan.batchLength(track.incarnation, first)
    while (end <= index) {
      first = end
      end = first + this.plan.batchLength(track.incarnation, first)
    }
    if (first !== index)
      throw new Violation(`the batch of ${track.nameOf(index)}, LSN ${lsn}, lacks its beginning`)
    track.batchEnd = end
  }

  private compareTrack(track: Track, isFinal: boolean): void {
    let at = 0
    const { sighted, ledger } = track
    for (let entry = ledger.peek(); entry !== undefined; entry = ledger.peek()) {
      const index = track.toldCount
      if (at < sighted.length && sighted[at]! < index) {
        throw new Violation(`${track.nameOf(sighted[at]!)} is in the log as LSN ${sighted[at + 1]}, too`)
      }
      const isThere = at < sighted.length && sighted[at] === index
      // Until it is read, or something behind it, nobody knows whether it is there.
      const isPassed = isFinal || at < sighted.length || (entry.lsn !== 0 && entry.lsn <= this.lastLsn)
      if (!isThere && !isPassed) break
      if (isThere) this.checkFound(track, index, sighted[at + 1]!, entry.told, entry.lsn)
      else this.checkMissing(track, index, entry.told, entry.lsn)
      if (isThere) at += 2
      track.toldCount++
      ledger.skip()
    }
    if (at > 0) track.sighted = sighted.slice(at)
  }

  private checkFound(track: Track, index: number, lsn: number, told: number, toldLsn: number): void {
    if (toldLsn !== 0 && lsn !== toldLsn) {
      throw new Violation(`${track.nameOf(index)} was told LSN ${toldLsn}, and has LSN ${lsn} in the log`)
    }
    if (told === TOLD_NOT_WRITTEN) {
      throw new Violation(`${track.nameOf(index)}, LSN ${lsn}, failed as not-written, and is in the log`)
    }
    if (told !== TOLD_DURABLE) {
      if (told === TOLD_INDETERMINATE) track.cameBack = index
      this.counts.unacknowledged++
      return
    }
    if (track.cameBack >= 0) {
      const failed = track.nameOf(track.cameBack)
      throw new Violation(`${failed} failed before the log was resumed, and is in the log all the same`)
    }
    this.counts.acknowledged++
  }

  private checkMissing(track: Track, index: number, told: number, lsn: number): void {
    if (told === TOLD_DURABLE) {
      throw new Violation(`${track.nameOf(index)} was acknowledged as LSN ${lsn}, and is not in the log`)
    }
    if (lsn !== 0 && lsn <= this.lastLsn && !this.isInGap(lsn)) {
      throw new Violation(`LSN ${lsn} of ${track.nameOf(index)}, which failed, was handed out again`)
    }
    this.counts.failed++
  }

  private isInGap(lsn: number): boolean {
    const { gaps } = this
    let low = 0
    let high = gaps.length >> 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (gaps[middle * 2 + 1]! < lsn) low = middle + 1
      else high = middle
    }
    return low * 2 < gaps.length && gaps[low * 2]! <= lsn
  }

  /** What is behind the end of the ledger: its producer died before it could note down what it was told. */
  private checkEnd(track: Track): void {
    const { sighted, lastIndex, lastLsn, batchEnd, toldCount } = track
    if (lastIndex >= 0 && lastIndex + 1 !== batchEnd) {
      throw new Violation(`the batch of ${track.nameOf(lastIndex)}, LSN ${lastLsn}, is in the log in part`)
    }
    if (sighted.length > 0 && lastIndex >= toldCount + MOST_UNTOLD) {
      throw new Violation(`${track.nameOf(lastIndex)}, LSN ${lastLsn}, was never submitted`)
    }
    // A promise whose wait was given up may have been withdrawn.
    const canHaveHoles = this.canFail || this.plan.modeOf(track.incarnation) === 'promise'
    for (let at = 0, index = toldCount; at < sighted.length; at += 2, index++) {
      if (sighted[at] !== index && !canHaveHoles) {
        throw new Violation(`${track.nameOf(sighted[at]!)} is in the log, and ${track.nameOf(index)} is not`)
      }
      index = sighted[at]!
      this.counts.unacknowledged++
    }
  }
}
