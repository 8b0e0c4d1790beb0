import { compareExchange, load, store, type WideWords, type Words } from './atomics.ts'
import type { ClientTable } from './clients.ts'
import { GRANULE_SHIFT, HEAD, RESERVATION } from './layout.ts'
import type { SharedMemory } from './memory.ts'

const RESERVED = 0x80000000 | 0
const GRANULE_WORDS = 1 << (GRANULE_SHIFT - 2)

/**
 * The ring in which producers encode their records. Positions count granules and wrap at 2^32; the granule of a
 * position is `position & (granules - 1)`. One code per granule says what begins there:
 *
 *     0                 nothing: free, or reserved this instant (RESERVATION moved, code not yet stored)
 *     0x80000000 | n    reserved by client n, whose line holds granules and record count
 *     lap + 1           published: a whole reservation begins here, in that lap of the ring
 *
 * A code other than 0 stands at the first granule of a reservation only. The leader zeroes the codes of the
 * granules that it frees before it moves HEAD, so no code of an earlier lap is ever seen, however often laps repeat.
 *
 *     free            reserved or published         free
 *     ...........|####-----####################|..........
 *                HEAD ^hole                    ^ low half of RESERVATION
 *
 * A reservation that begins near the end of the ring runs on into the overhang behind it:
 *
 *     |ring 0 ........................ ring end|overhang ....|
 *      ^ next record begins here        [======record======]
 */
export class Ring {
  readonly granules: number
  readonly maxReservationGranules: number
  private readonly words: Words
  private readonly bytes: Uint8Array
  private readonly wide: WideWords
  private readonly mask: number
  private readonly lapShift: number
  private readonly codesAt: number
  private readonly codesWord: number
  private readonly ringAt: number

  constructor(memory: SharedMemory) {
    this.words = memory.words
    this.bytes = memory.bytes
    this.wide = memory.wide
    this.granules = memory.layout.ringGranules
    this.maxReservationGranules = memory.layout.maxReservationGranules
    this.mask = this.granules - 1
    this.lapShift = 31 - Math.clz32(this.granules)
    this.codesAt = memory.layout.codesAt
    this.codesWord = memory.layout.codesAt >>> 2
    this.ringAt = memory.layout.ringAt
  }

  /** Before any thread uses the ring: where positions and sequences begin. */
  initialize(position: number, sequence: number): void {
    store(this.words, HEAD, position | 0)
    store(this.words, RESERVATION, position | 0)
    store(this.words, RESERVATION + 1, sequence | 0)
  }

  /** Reserves a place; false when the ring is full. The place stands in the client's line. */
  reservePlace(clients: ClientTable, client: number, granules: number, records: number): boolean {
    return (
      this.wide.reserve(
        RESERVATION * 4,
        HEAD * 4,
        this.codesAt,
        this.mask,
        this.granules,
        granules,
        records,
        clients.placeAt(client),
        RESERVED | client,
      ) === 1
    )
  }

  /**
   * Publishes the client's reservation at `position`: from here on a leader may take it. False when another
   * client, having found this one gone, took the place over.
   */
  publishPlace(client: number, position: number): boolean {
    const index = this.codesWord + (position & this.mask)
    return compareExchange(this.words, index, RESERVED | client, this.publishedCode(position))
  }

  /** Takes the place of a client that is gone, so that `client` may fill it. */
  takePlace(from: number, client: number, position: number): boolean {
    return compareExchange(
      this.words,
      this.codesWord + (position & this.mask),
      RESERVED | from,
      RESERVED | client,
    )
  }

  private publishedCode(position: number): number {
    return (position >>> this.lapShift) + 1
  }

  isPublished(position: number): boolean {
    return load(this.words, this.codesWord + (position & this.mask)) === this.publishedCode(position)
  }

  /** The client that reserved the place at `position` and has not published it; 0 when there is none. */
  reserverOf(position: number): number {
    const code = load(this.words, this.codesWord + (position & this.mask))
    return code < 0 ? code & 0x7fffffff : 0
  }

  // ---- the two ends

  head(): number {
    return load(this.words, HEAD)
  }

  /** Position of the next reservation. */
  tail(): number {
    return load(this.words, RESERVATION)
  }

  /** Low half of the next LSN. */
  tailSequence(): number {
    return load(this.words, RESERVATION + 1)
  }

  /** Nothing is reserved that was not staged. */
  isEmpty(): boolean {
    return this.tail() === this.head()
  }

  // ---- bytes

  /** Word index of the granule's bytes. */
  wordIndexOf(position: number): number {
    return (this.ringAt >>> 2) + (position & this.mask) * GRANULE_WORDS
  }

  /** Byte offset of the granule's bytes in the shared memory. */
  byteOffsetOf(position: number): number {
    return this.ringAt + ((position & this.mask) << GRANULE_SHIFT)
  }

  /** Copies the bytes of [from, to), whole reservations, to `target` in the shared memory. */
  copyOut(from: number, split: number, to: number, target: number): void {
    const first = ((split - from) | 0) << GRANULE_SHIFT
    const source = this.byteOffsetOf(from)
    this.bytes.copyWithin(target, source, source + first)
    const second = ((to - split) | 0) << GRANULE_SHIFT
    if (second === 0) return
    const rest = this.byteOffsetOf(split)
    this.bytes.copyWithin(target + first, rest, rest + second)
  }

  /** Frees [head, to): zeroes the codes first. Only the holder of the commit-lock may call it. */
  freeUpTo(to: number): void {
    const head = this.head()
    const from = head & this.mask
    const count = (to - head) | 0
    const first = Math.min(count, this.granules - from)
    this.words.fill(0, this.codesWord + from, this.codesWord + from + first)
    if (first < count) this.words.fill(0, this.codesWord, this.codesWord + count - first)
    store(this.words, HEAD, to)
  }

  /** Where a record that begins at `position` would begin anew at the start of the ring: the end of this lap. */
  lapEnd(position: number): number {
    return ((position & ~this.mask) + this.granules) | 0
  }
}
