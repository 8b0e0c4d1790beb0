import { copyBytes, viewOf } from './bytes.ts'
import { checksum } from './checksum.ts'
import {
  GRANULE_BYTES,
  NOOP_PAYLOAD_BYTES,
  NOOP_RECORD_TYPE,
  RECORD_CONTINUES_BIT,
  RECORD_HEADER_BYTES,
} from './record.ts'

const GRANULE_WORDS = GRANULE_BYTES / 4
/** Records up to this long are put together in private memory, whose views are kept: nothing is allocated for them. */
const SCRATCH_BYTES = 4096
/** Up to so many granules are copied by a loop: a call of `set` costs more. */
const LOOP_GRANULES = 8
const TWO_TO_32 = 2 ** 32

/** The fields of one record; reused by the producer from record to record. */
export interface RecordFields {
  lsn: number
  recordType: number
  vshardId: number
  tenantId: number
  /** The next record belongs to the same batch. */
  continues: boolean
}

/**
 * Encodes complete records, checksum included, as docs/format.md says, into shared memory. Small records are put
 * together in private memory first: hashing and filling that is faster, and its views can be made once.
 * Needs a little-endian machine.
 */
export class RecordEncoder {
  private readonly targetWords: Int32Array
  private readonly targetBytes: Uint8Array
  private readonly scratchWords: Int32Array
  private readonly scratchBytes: Uint8Array
  /** By granules: the bytes that the checksum covers. */
  private readonly checksumInputs: Uint8Array[]
  /** By granules: all bytes, as words. */
  private readonly records: Int32Array[]

  /** @param words and bytes: the shared memory, in which places are named by word index and byte offset */
  constructor(words: Int32Array, bytes: Uint8Array) {
    this.targetWords = words
    this.targetBytes = bytes
    const scratch = new ArrayBuffer(SCRATCH_BYTES)
    this.scratchWords = new Int32Array(scratch)
    this.scratchBytes = new Uint8Array(scratch)
    this.checksumInputs = []
    this.records = []
    for (let end = 0; end <= SCRATCH_BYTES; end += GRANULE_BYTES) {
      this.checksumInputs.push(new Uint8Array(scratch, 4, Math.max(0, end - 4)))
      this.records.push(new Int32Array(scratch, 0, end / 4))
    }
  }

  /** Encodes a record whose place begins at word `at` and is `granules` long. */
  encodeRecord(
    at: number,
    granules: number,
    fields: RecordFields,
    payload: Uint8Array,
    from: number,
    length: number,
  ): void {
    if (granules * GRANULE_BYTES > SCRATCH_BYTES) {
      this.encodeLarge(at, granules, fields, payload, from, length)
      return
    }
    const { scratchWords, scratchBytes, targetWords } = this
    const words = granules * GRANULE_WORDS
    // The padding ends within the last granule: clear that before the payload covers its part of it.
    for (let word = words - GRANULE_WORDS; word < words; word++) scratchWords[word] = 0
    this.writeHeader(scratchWords, 0, fields, length)
    copyBytes(scratchBytes, RECORD_HEADER_BYTES, payload, from, length)
    scratchWords[0] = checksum(this.checksumInputs[granules])
    if (granules > LOOP_GRANULES) targetWords.set(this.records[granules], at)
    else for (let word = 0; word < words; word++) targetWords[at + word] = scratchWords[word]
  }

  /** Makes the whole place one noop that stands for `lsnCount` LSNs. */
  encodeNoop(at: number, granules: number, lsn: number, lsnCount: number): void {
    const { targetWords } = this
    const length = granules * GRANULE_BYTES - RECORD_HEADER_BYTES
    targetWords.fill(0, at, at + granules * GRANULE_WORDS)
    const fields = { lsn, recordType: NOOP_RECORD_TYPE, vshardId: 0, tenantId: 0, continues: false }
    this.writeHeader(targetWords, at, fields, length)
    targetWords[at + (RECORD_HEADER_BYTES + NOOP_PAYLOAD_BYTES) / 4 - 2] = lsnCount
    this.writeChecksum(at, granules)
  }

  private encodeLarge(
    at: number,
    granules: number,
    fields: RecordFields,
    payload: Uint8Array,
    from: number,
    length: number,
  ): void {
    const { targetWords, targetBytes } = this
    const end = at + granules * GRANULE_WORDS
    targetWords.fill(0, end - GRANULE_WORDS, end)
    this.writeHeader(targetWords, at, fields, length)
    // Through a view of just these bytes: a payload that another thread makes longer meanwhile must not reach into the
    // next record. In private memory, where the shorter ones are put together, that would do no harm.
    targetBytes.set(viewOf(payload, from, length), at * 4 + RECORD_HEADER_BYTES)
    this.writeChecksum(at, granules)
  }

  private writeHeader(words: Int32Array, at: number, fields: RecordFields, length: number): void {
    words[at + 1] = fields.continues ? length | RECORD_CONTINUES_BIT : length
    words[at + 2] = fields.lsn
    words[at + 3] = fields.lsn / TWO_TO_32
    words[at + 4] = fields.recordType | (fields.vshardId << 16)
    words[at + 5] = fields.tenantId
  }

  private writeChecksum(at: number, granules: number): void {
    const start = at * 4
    this.targetWords[at] = checksum(this.targetBytes.subarray(start + 4, start + granules * GRANULE_BYTES))
  }
}
