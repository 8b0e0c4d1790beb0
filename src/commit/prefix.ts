import { checksum } from '../format/checksum.ts'
import {
  NOOP_RECORD_TYPE,
  RECORD_CONTINUES_BIT,
  RECORD_HEADER_BYTES,
  RECORD_LENGTH_MASK,
} from '../format/record.ts'
import { GRANULE_SHIFT } from '../shared/layout.ts'
import type { SharedMemory } from '../shared/memory.ts'
import type { Ring } from '../shared/ring.ts'

const GRANULE_WORDS = 1 << (GRANULE_SHIFT - 2)
/** Views on the checksum list are kept up to this many records, so that common batches allocate nothing. */
const KEPT_VIEWS = 4096

/** Finds what the next frame takes: the published reservations at the head of the ring, whole ones only. */
export class Prefix {
  private readonly ring: Ring
  private readonly words: Int32Array
  private readonly checksums: Int32Array
  private readonly views: Uint8Array[]
  /** Ring positions: the first one, one past the last, and where the copy continues at the start of the ring. */
  from: number
  to: number
  split: number
  recordCount: number
  lsnCount: number

  constructor(memory: SharedMemory, ring: Ring) {
    this.ring = ring
    this.words = memory.words
    this.checksums = new Int32Array(ring.maxReservationGranules)
    this.views = []
    this.from = 0
    this.to = 0
    this.split = 0
    this.recordCount = 0
    this.lsnCount = 0
  }

  /** The frame is a seal: it takes no records. Only under the commit-lock. */
  takeNothing(): void {
    const head = this.ring.head()
    this.from = head
    this.to = head
    this.split = head
    this.recordCount = 0
    this.lsnCount = 0
  }

  /** Scans from HEAD, up to one staging buffer full. Only under the commit-lock. */
  scanPublished(): void {
    const { ring } = this
    this.takeNothing()
    const head = this.from
    const lapEnd = ring.lapEnd(head)
    let hasSplit = false
    let position = head
    while (ring.isPublished(position)) {
      if (!hasSplit && ((position - lapEnd) | 0) >= 0) {
        // Every place before runs on into the overhang, this one begins at the start of the ring.
        hasSplit = true
        this.split = position
      }
      const next = this.takeReservation(position)
      if (next === position) break
      position = next
      this.to = position
    }
    if (!hasSplit || ((this.split - this.to) | 0) >= 0) this.split = this.to
  }

  /** Adds one reservation, which may hold a batch; returns its end, or `position` when it does not fit any more. */
  private takeReservation(position: number): number {
    const { words, checksums } = this
    const limit = this.ring.maxReservationGranules
    const start = this.ring.wordIndexOf(position)
    let at = start
    let used = (position - this.from) | 0
    let recordCount = this.recordCount
    let lsnCount = this.lsnCount
    for (;;) {
      const length = words[at + 1]
      const granules = granulesOfRecord(length & RECORD_LENGTH_MASK)
      used += granules
      if (used > limit) return position
      checksums[recordCount++] = words[at]
      lsnCount += (words[at + 4] & 0xffff) === NOOP_RECORD_TYPE ? words[at + 6] : 1
      at += granules * GRANULE_WORDS
      if ((length & RECORD_CONTINUES_BIT) === 0) break
    }
    this.recordCount = recordCount
    this.lsnCount = lsnCount
    return (this.from + used) | 0
  }

  /** Where the published reservation at `position` ends. */
  reservationEnd(position: number): number {
    let at = this.ring.wordIndexOf(position)
    let end = position
    for (;;) {
      const length = this.words[at + 1]
      const granules = granulesOfRecord(length & RECORD_LENGTH_MASK)
      end = (end + granules) | 0
      at += granules * GRANULE_WORDS
      if ((length & RECORD_CONTINUES_BIT) === 0) return end
    }
  }

  /** The frame's body checksum: that of the records' checksums. */
  bodyChecksum(): number {
    const count = this.recordCount
    if (count > KEPT_VIEWS) return checksum(new Uint8Array(this.checksums.buffer, 0, count * 4))
    this.views[count] ??= new Uint8Array(this.checksums.buffer, 0, count * 4)
    return checksum(this.views[count])
  }
}

/** How many granules a record with this payload takes. */
export function granulesOfRecord(payloadBytes: number): number {
  return (RECORD_HEADER_BYTES + payloadBytes + (1 << GRANULE_SHIFT) - 1) >>> GRANULE_SHIFT
}
