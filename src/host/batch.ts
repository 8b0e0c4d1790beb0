import type { EncodableRecord } from '../commit/appender.ts'
import { granulesOfRecord } from '../commit/prefix.ts'
import { byteCountOf, copyBytes } from '../format/bytes.ts'
import { GRANULE_SHIFT } from '../shared/layout.ts'
import { describe, type RecordInput, type RecordReader } from './record-input.ts'

/** Records that get one reservation: checked, and ready to be encoded. */
export interface Batch {
  records: EncodableRecord[]
  /** Together. */
  granules: number
}

/**
 * Reads the records of one commitBatch.
 *
 * @throws TypeError, RangeError about a record, or when they do not fit into one batch
 */
export function readBatch(inputs: unknown, reader: RecordReader, maxGranules: number): Batch {
  if (!Array.isArray(inputs)) throw new TypeError(`records must be an array, got ${describe(inputs)}`)
  if (inputs.length === 0) throw new RangeError('records must hold at least one record')
  const batch: Batch = { records: [], granules: 0 }
  for (const input of inputs as RecordInput[]) {
    const record = reader.readRecord(input)
    // Text lies in the reader's own buffer, which the next record overwrites.
    batch.records.push(reader.isOverwrittenNext ? copyOf(record) : { ...record })
    batch.granules += granulesOfRecord(record.length)
  }
  // A getter of a later record may have shortened or given away what an earlier one holds.
  for (const { payload, length } of batch.records) {
    if (byteCountOf(payload) >= length) continue
    throw new TypeError('the payload of a record became shorter while others were read')
  }
  if (batch.granules > maxGranules) {
    throw new RangeError(
      `records take ${batch.granules << GRANULE_SHIFT} bytes together, the limit is ${maxGranules << GRANULE_SHIFT}; ` +
        'the options maxBatchBytes, ringBytes and segmentBytes raise it',
    )
  }
  return batch
}

/** A batch of one, or of many, that owns its bytes: it has to wait for ring space. */
export function copyBatch(records: readonly EncodableRecord[]): Batch {
  const copies = records.map(copyOf)
  let granules = 0
  for (const { length } of copies) granules += granulesOfRecord(length)
  return { records: copies, granules }
}

function copyOf(record: EncodableRecord): EncodableRecord {
  const payload = new Uint8Array(record.length)
  copyBytes(payload, 0, record.payload, record.from, record.length)
  return { ...record, payload, from: 0 }
}
