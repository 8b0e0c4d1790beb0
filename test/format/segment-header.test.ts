import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checksum } from '../../src/format/checksum.ts'
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  type SegmentHeader,
} from '../../src/format/segment-header.ts'

const example: SegmentHeader = {
  segmentSequence: 9,
  saltLow: 0xfedcba98,
  saltHigh: 0x12345678,
  logId: Uint8Array.from({ length: 16 }, (_, index) => 0xf0 + index),
  blockBytes: 4096,
  maxOutstandingRecords: 0xffffffff,
  segmentBytes: 64 * 2 ** 20,
  createdMs: 1_790_000_000_123,
  nextLsn: Number.MAX_SAFE_INTEGER,
  nextFrameSequence: 2 ** 32 + 1,
  cutSegment: 8,
  cutOffset: 2 ** 33,
  cutLastLsn: 2 ** 31,
  cutFrameSequence: 2 ** 32,
  cutChecksum: 0x80000001,
  provenOffset: 12288,
  gapFirst: 2 ** 31 + 1,
  gapLast: 2 ** 40,
}

/** Changes a byte and repairs the checksum, as a writer of another mind would have written it. */
function rewritten(change: (view: DataView) => void): Uint8Array {
  const bytes = encodeSegmentHeader(example, 4096)
  const view = new DataView(bytes.buffer)
  change(view)
  view.setUint32(508, checksum(bytes.subarray(0, 508)), true)
  return bytes
}

test('a header survives encoding, in blocks of every size', () => {
  for (const blockBytes of [4096, 16384, 65536]) {
    const header = { ...example, blockBytes }
    const bytes = encodeSegmentHeader(header, blockBytes)
    assert.is(bytes.length, blockBytes)
    assert.ok(bytes.subarray(512).every((byte) => byte === 0))
    assert.equal(decodeSegmentHeader(bytes), { ok: true, header })
  }
})

test('the decoded log id does not alias the input', () => {
  const bytes = encodeSegmentHeader(example, 4096)
  const decoded = decodeSegmentHeader(bytes)
  bytes.fill(0)
  assert.ok(decoded.ok && decoded.header.logId[0] === 0xf0)
})

test('a flipped bit anywhere in the header is noticed', () => {
  const bytes = encodeSegmentHeader(example, 4096)
  for (let bit = 0; bit < 512 * 8; bit++) {
    bytes[bit >> 3] ^= 1 << (bit & 7)
    assert.equal(decodeSegmentHeader(bytes), { ok: false, reason: bit < 32 ? 'magic' : 'checksum' })
    bytes[bit >> 3] ^= 1 << (bit & 7)
  }
})

test('a header cut short at any byte is no header', () => {
  const bytes = encodeSegmentHeader(example, 4096)
  for (let length = 0; length < 512; length++) {
    assert.equal(decodeSegmentHeader(bytes.subarray(0, length)), { ok: false, reason: 'magic' })
  }
  assert.ok(decodeSegmentHeader(bytes.subarray(0, 512)).ok)
})

test('another version is told apart from damage and named', () => {
  const bytes = rewritten((view) => view.setUint16(4, 2, true))
  assert.equal(decodeSegmentHeader(bytes), { ok: false, reason: 'version', version: 2 })
})

test('values that the format excludes are refused, checksum or not', () => {
  const excluded: Array<[string, (view: DataView) => void]> = [
    ['a flag', (view) => view.setUint16(6, 1, true)],
    ['segment sequence 0', (view) => view.setUint32(8, 0, true)],
    ['an LSN above 2^53', (view) => view.setUint32(68, 0x200000, true)],
    ['a block size that is no power of two', (view) => view.setUint32(40, 5000, true)],
    ['a block that is too small', (view) => view.setUint32(40, 2048, true)],
    ['a block that is too large', (view) => view.setUint32(40, 131072, true)],
    ['a cut of itself', (view) => view.setUint32(80, 9, true)],
    ['a gap that ends before it begins', (view) => view.setUint32(140, 0, true)],
  ]
  for (const [name, change] of excluded) {
    assert.equal(decodeSegmentHeader(rewritten(change)), { ok: false, reason: 'content' }, name)
  }
})

test('a header with illegal values is never written', () => {
  assert.throws(() => encodeSegmentHeader({ ...example, nextLsn: 2 ** 53 }, 4096), /invariant/)
  assert.throws(() => encodeSegmentHeader({ ...example, logId: new Uint8Array(15) }, 4096), /invariant/)
  assert.throws(() => encodeSegmentHeader(example, 8192), /invariant/)
})

test.run()
