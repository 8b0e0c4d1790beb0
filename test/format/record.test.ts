import { crc32 } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { FrameHeader } from '../../src/format/frame.ts'
import {
  forEachRecord,
  isNoop,
  isReservedRecordType,
  MAX_PAYLOAD_BYTES,
  recordBytes,
  validateBody,
} from '../../src/format/record.ts'
import { type HandRecord, handRecord, noopPayload } from '../support/handmade-log.ts'

const text = new TextEncoder()

function bodyOf(records: HandRecord[]): { body: Uint8Array; header: FrameHeader } {
  const parts = records.map(handRecord)
  const body = new Uint8Array(Buffer.concat(parts))
  const checksums = Buffer.concat(parts.map((part) => part.subarray(0, 4)))
  const header: FrameHeader = {
    flags: 0,
    segmentSequence: 1,
    offset: 4096,
    saltLow: 0,
    saltHigh: 0,
    frameSequence: 1,
    firstLsn: records[0].lsn,
    durableLsn: 0,
    wallClockMs: 0,
    lsnCount: records.length,
    recordCount: records.length,
    bodyBytes: body.length,
    bodyChecksum: crc32(checksums),
    previousOffset: 0,
    previousChecksum: 0,
  }
  return { body, header }
}

const three: HandRecord[] = [
  { lsn: 41, payload: text.encode('eight by'), recordType: 0x8001, vshardId: 65535, tenantId: 2 ** 32 - 1 },
  { lsn: 42, payload: text.encode('nine byte'), recordType: 7, continues: true },
  { lsn: 43, recordType: 0 },
]

test('records take whole granules', () => {
  assert.is(recordBytes(0), 32)
  assert.is(recordBytes(8), 32)
  assert.is(recordBytes(9), 64)
  assert.is(recordBytes(40), 64)
  assert.is(recordBytes(MAX_PAYLOAD_BYTES), 2 ** 31 - 32)
})

test('the log keeps 256 record types for itself, each with and without the required bit', () => {
  let reserved = 0
  for (let recordType = 0; recordType < 65536; recordType++) {
    if (isReservedRecordType(recordType)) reserved += 1
    assert.is(isNoop(recordType), recordType === 0x7f00 || recordType === 0xff00)
  }
  assert.is(reserved, 512)
})

test('a right body is right, and its records come out as they went in', () => {
  const { body, header } = bodyOf(three)
  assert.is(validateBody(body, header), undefined)
  const seen: unknown[] = []
  forEachRecord(body, (record, offset) => {
    const payload = body.slice(offset + 24, offset + 24 + record.payloadBytes)
    const { checksum: _, payloadBytes: __, ...fields } = record
    seen.push({ ...fields, payload: new TextDecoder().decode(payload) })
  })
  assert.equal(seen, [
    {
      continues: false,
      lsn: 41,
      recordType: 0x8001,
      vshardId: 65535,
      tenantId: 2 ** 32 - 1,
      payload: 'eight by',
    },
    { continues: true, lsn: 42, recordType: 7, vshardId: 0, tenantId: 0, payload: 'nine byte' },
    { continues: false, lsn: 43, recordType: 0, vshardId: 0, tenantId: 0, payload: '' },
  ])
})

test('a flipped bit anywhere in a body is noticed', () => {
  const { body, header } = bodyOf(three)
  for (let bit = 0; bit < body.length * 8; bit++) {
    body[bit >> 3] ^= 1 << (bit & 7)
    assert.type(validateBody(body, header), 'string', `bit ${bit}`)
    body[bit >> 3] ^= 1 << (bit & 7)
  }
})

test('records that are right in themselves but not together make a wrong body', () => {
  const right = bodyOf(three)
  const cases: Array<[string, Uint8Array, FrameHeader]> = [
    ['one granule too short', right.body.subarray(0, -32), right.header],
    ['a shorter body as the header says', right.body.subarray(0, -32), { ...right.header, bodyBytes: 96 }],
    ['one record fewer', right.body, { ...right.header, recordCount: 2, lsnCount: 2 }],
    ['one record more', right.body, { ...right.header, recordCount: 4, lsnCount: 4 }],
    ['another first LSN', right.body, { ...right.header, firstLsn: 40 }],
    ['more LSNs than the records cover', right.body, { ...right.header, lsnCount: 4 }],
    ['another body checksum', right.body, { ...right.header, bodyChecksum: 1 }],
  ]
  const firstTwo = bodyOf(three.slice(0, 2)).header
  cases.push(['a third record that the header does not know', right.body, { ...firstTwo, bodyBytes: 128 }])
  const swapped = bodyOf([three[0], { ...three[1], lsn: 43 }, { ...three[2], lsn: 42 }])
  cases.push(['LSNs out of order', swapped.body, swapped.header])
  const twice = bodyOf([three[0], three[1], three[1]])
  cases.push(['an LSN twice', twice.body, twice.header])
  const exchanged = bodyOf([{ ...three[0], payload: text.encode('OTHER by') }, three[1], three[2]])
  cases.push(['a record of another frame with the same LSN', exchanged.body, right.header])
  for (const [name, body, header] of cases) assert.type(validateBody(body, header), 'string', name)
})

test('a noop covers as many LSNs as it says, and never too many', () => {
  function withNoop(count: number, lsnCount: number): string | undefined {
    const noop = { lsn: 10, recordType: 0x7f00, payload: noopPayload(count) }
    const { body, header } = bodyOf([noop, { lsn: 10 + count }])
    return validateBody(body, { ...header, lsnCount })
  }
  assert.is(withNoop(1, 2), undefined)
  assert.is(withNoop(5, 6), undefined)
  assert.type(withNoop(5, 5), 'string')
  assert.type(withNoop(5, 7), 'string')
  assert.type(withNoop(0, 1), 'string')
  assert.type(withNoop(2 ** 40, 7), 'string')
  const mute = bodyOf([{ lsn: 10, recordType: 0x7f00, payload: new Uint8Array(7) }])
  assert.type(validateBody(mute.body, mute.header), 'string')
})

test.run()
