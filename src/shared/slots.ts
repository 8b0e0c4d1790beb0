import { compareExchange, load, store, type WideWords, type Words } from './atomics.ts'
import { SLOT_WORDS, SLOTS } from './layout.ts'
import type { SharedMemory } from './memory.ts'

/**
 * Staging slots. Frame number n (Control.stagedCount when it was staged) stands in slot n mod slotCount. A slot's
 * fields are stored before its state becomes STAGED and do not change until frame n is published and the slot
 * serves another frame; whoever reads them without being its owner checks afterwards that n was not yet published.
 *
 * word | name              | changed by    |
 *   0  | STATE             | see below     |
 *   1  | FRAME             | lock          | frame number
 *   3  | FRAME_BYTES       | lock          | bytes to write, padding included
 *   4  | RING_END          | lock          | ring position behind the frame's last record
 *   5  | CHECKSUM          | lock          | header checksum
 *   6  | PREVIOUS_CHECKSUM | lock          | of the frame before it
 *   7  | RECORD_COUNT      | lock          |
 *   8  | FIRST_LSN (wide)  | lock          | for a seal, the next LSN
 *  10  | END_LSN (wide)    | lock          | one past its last LSN
 *  12  | OFFSET (wide)     | lock          | in its segment
 *  14  | SEGMENT (wide)    | lock          |
 *  16  | FRAME_SEQUENCE    | lock          | (wide)
 *  18  | PREVIOUS_OFFSET   | lock          | (wide)
 *  20  | STARTED_MS (wide) | owner         | monotonic clock when the write began
 *  22  | FLAGS             | lock          | frame flags
 *  24  | PREVIOUS_SEGMENT  | lock          | (wide)
 *  26  | PREVIOUS_END      | lock          | (wide) offset behind the frame before it
 *
 * State word: take-overs (2 low bits) << 30 | frame number (16 low bits) << 14 | owner client << 4 | state. Each step
 * is a compare-exchange on the whole word, so that a step that was meant for another frame or another owner fails;
 * the take-overs make the word new also when a client takes over what it left behind itself.
 *
 *     (any) -> STAGED -> WRITING -> SYNCED
 *                 \          \----> FAILED
 *                  \-> CANCELLED
 *     STAGED, WRITING of an owner who is gone -> WRITING by another, who writes and syncs all of it again
 */
const STATE = 0
const FRAME = 1
const FRAME_BYTES = 3
const RING_END = 4
const CHECKSUM = 5
const PREVIOUS_CHECKSUM = 6
const RECORD_COUNT = 7
const FIRST_LSN = 8
const END_LSN = 10
const OFFSET = 12
const SEGMENT = 14
const FRAME_SEQUENCE = 16
const PREVIOUS_OFFSET = 18
const STARTED_MS = 20
const FLAGS = 22
const PREVIOUS_SEGMENT = 24
const PREVIOUS_END = 26

export const SLOT_STAGED = 1
export const SLOT_WRITING = 2
export const SLOT_SYNCED = 3
export const SLOT_FAILED = 4
export const SLOT_CANCELLED = 5

const STATE_BITS = 4
const CLIENT_BITS = 10

/** The state in a slot's state word. */
export function slotState(stateWord: number): number {
  return stateWord & 15
}

/** The client that owns the slot, according to its state word. */
export function slotOwner(stateWord: number): number {
  return (stateWord >>> STATE_BITS) & 1023
}

const FRAME_SHIFT = STATE_BITS + CLIENT_BITS
const TAKE_OVER_SHIFT = 30

function stateWordOf(frame: number, client: number, state: number, takeOvers: number): number {
  return (takeOvers << TAKE_OVER_SHIFT) | ((frame & 0xffff) << FRAME_SHIFT) | (client << STATE_BITS) | state
}

/** What the leader fills in before it stages; one object per leader, reused. */
export interface SlotFields {
  frameBytes: number
  ringEnd: number
  checksum: number
  previousChecksum: number
  previousOffset: number
  previousSegment: number
  previousEnd: number
  recordCount: number
  firstLsn: number
  endLsn: number
  offset: number
  segment: number
  frameSequence: number
  flags: number
}

/** To be filled in, and used again. */
export function emptySlotFields(): SlotFields {
  return {
    frameBytes: 0,
    ringEnd: 0,
    checksum: 0,
    previousChecksum: 0,
    previousOffset: 0,
    previousSegment: 0,
    previousEnd: 0,
    recordCount: 0,
    firstLsn: 0,
    endLsn: 0,
    offset: 0,
    segment: 0,
    frameSequence: 0,
    flags: 0,
  }
}

/** View on the staging slots. */
export class SlotTable {
  private readonly words: Words
  private readonly wide: WideWords
  private readonly mask: number
  private readonly slotBuffersAt: number
  private readonly slotBytes: number

  constructor(memory: SharedMemory) {
    this.words = memory.words
    this.wide = memory.wide
    this.mask = memory.layout.slotCount - 1
    this.slotBuffersAt = memory.layout.slotBuffersAt
    this.slotBytes = memory.layout.slotBytes
  }

  private at(frame: number): number {
    return SLOTS + (frame & this.mask) * SLOT_WORDS
  }

  /** Index of the slot that serves this frame. */
  slotIndexOf(frame: number): number {
    return frame & this.mask
  }

  /** Byte offset of the slot's staging buffer in the shared memory. */
  bufferAt(frame: number): number {
    return this.slotBuffersAt + (frame & this.mask) * this.slotBytes
  }

  /** Stores all fields, then the state: the instant at which the frame becomes staged. Only under the commit-lock. */
  stageSlot(frame: number, client: number, fields: SlotFields): void {
    const at = this.at(frame)
    store(this.words, at + FRAME, frame | 0)
    store(this.words, at + FRAME_BYTES, fields.frameBytes)
    store(this.words, at + RING_END, fields.ringEnd | 0)
    store(this.words, at + CHECKSUM, fields.checksum | 0)
    store(this.words, at + PREVIOUS_CHECKSUM, fields.previousChecksum | 0)
    store(this.words, at + RECORD_COUNT, fields.recordCount)
    store(this.words, at + FLAGS, fields.flags)
    this.wide.store((at + FIRST_LSN) * 4, fields.firstLsn)
    this.wide.store((at + END_LSN) * 4, fields.endLsn)
    this.wide.store((at + OFFSET) * 4, fields.offset)
    this.wide.store((at + SEGMENT) * 4, fields.segment)
    this.wide.store((at + FRAME_SEQUENCE) * 4, fields.frameSequence)
    this.wide.store((at + PREVIOUS_OFFSET) * 4, fields.previousOffset)
    this.wide.store((at + PREVIOUS_SEGMENT) * 4, fields.previousSegment)
    this.wide.store((at + PREVIOUS_END) * 4, fields.previousEnd)
    store(this.words, at + STATE, stateWordOf(frame, client, SLOT_STAGED, 0))
  }

  stateWord(frame: number): number {
    return load(this.words, this.at(frame) + STATE)
  }

  /** Does the slot's state word belong to this frame, or still to one before it? */
  isOfFrame(stateWord: number, frame: number): boolean {
    return ((stateWord >>> FRAME_SHIFT) & 0xffff) === (frame & 0xffff) && slotState(stateWord) !== 0
  }

  /** One step of the state machine; false when the word is no longer `expected`. */
  changeState(frame: number, expected: number, client: number, state: number): boolean {
    const takeOvers = expected >>> TAKE_OVER_SHIFT
    const next = stateWordOf(frame, client, state, takeOvers)
    return compareExchange(this.words, this.at(frame) + STATE, expected, next)
  }

  /** WRITING under a new owner, who writes all of it again. Returns the new state word, or 0 when it is no longer `expected`. */
  takeOver(frame: number, expected: number, client: number): number {
    const next = stateWordOf(frame, client, SLOT_WRITING, (expected >>> TAKE_OVER_SHIFT) + 1)
    return compareExchange(this.words, this.at(frame) + STATE, expected, next) ? next : 0
  }

  /** When its write began, by the monotonic clock; a whole number. */
  storeStarted(frame: number, nowMs: number): void {
    this.wide.store((this.at(frame) + STARTED_MS) * 4, nowMs)
  }

  startedMs(frame: number): number {
    return this.wide.load((this.at(frame) + STARTED_MS) * 4)
  }

  // ---- fields

  frameOf(frame: number): number {
    return load(this.words, this.at(frame) + FRAME)
  }

  frameBytes(frame: number): number {
    return load(this.words, this.at(frame) + FRAME_BYTES)
  }

  ringEnd(frame: number): number {
    return load(this.words, this.at(frame) + RING_END)
  }

  checksumOf(frame: number): number {
    return load(this.words, this.at(frame) + CHECKSUM) >>> 0
  }

  previousChecksumOf(frame: number): number {
    return load(this.words, this.at(frame) + PREVIOUS_CHECKSUM) >>> 0
  }

  recordCount(frame: number): number {
    return load(this.words, this.at(frame) + RECORD_COUNT)
  }

  flagsOf(frame: number): number {
    return load(this.words, this.at(frame) + FLAGS)
  }

  firstLsn(frame: number): number {
    return this.wide.load((this.at(frame) + FIRST_LSN) * 4)
  }

  endLsn(frame: number): number {
    return this.wide.load((this.at(frame) + END_LSN) * 4)
  }

  offsetOf(frame: number): number {
    return this.wide.load((this.at(frame) + OFFSET) * 4)
  }

  segmentOf(frame: number): number {
    return this.wide.load((this.at(frame) + SEGMENT) * 4)
  }

  frameSequenceOf(frame: number): number {
    return this.wide.load((this.at(frame) + FRAME_SEQUENCE) * 4)
  }

  previousOffsetOf(frame: number): number {
    return this.wide.load((this.at(frame) + PREVIOUS_OFFSET) * 4)
  }

  previousSegmentOf(frame: number): number {
    return this.wide.load((this.at(frame) + PREVIOUS_SEGMENT) * 4)
  }

  previousEndOf(frame: number): number {
    return this.wide.load((this.at(frame) + PREVIOUS_END) * 4)
  }
}
