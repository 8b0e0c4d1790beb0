import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checksum } from '../../src/format/checksum.ts'
import {
  decodeFrameHeader,
  encodeFrameHeader,
  FLAG_CLOSE,
  FLAG_SEAL,
  FRAME_CHECKSUM_INPUT_BYTES,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameBytes,
} from '../../src/format/frame.ts'

const example: FrameHeader = {
  flags: 0,
  segmentSequence: 2 ** 40 + 3,
  offset: 2 ** 33 + 4096,
  saltLow: 0x80000001,
  saltHigh: 0xffffffff,
  frameSequence: 2 ** 32,
  firstLsn: Number.MAX_SAFE_INTEGER - 7,
  durableLsn: Number.MAX_SAFE_INTEGER - 8,
  wallClockMs: 1_790_000_000_123,
  lsnCount: 7,
  recordCount: 3,
  bodyBytes: 0xffffffe0,
  bodyChecksum: 0xfffffffe,
  previousOffset: 2 ** 32 + 8192,
  previousChecksum: 0x90abcdef,
}

const seal: FrameHeader = {
  ...example,
  flags: FLAG_SEAL,
  lsnCount: 0,
  recordCount: 0,
  bodyBytes: 0,
  bodyChecksum: 0,
}

function encode(header: FrameHeader, buffer: ArrayBufferLike = new ArrayBuffer(256)): Uint8Array {
  const at = 64
  const bytes = new Uint8Array(buffer, at, FRAME_HEADER_BYTES).fill(0xee)
  const view = new DataView(buffer, at, FRAME_HEADER_BYTES)
  const returned = encodeFrameHeader(view, new Uint8Array(buffer, at, FRAME_CHECKSUM_INPUT_BYTES), header)
  assert.is(returned, view.getUint32(124, true))
  return bytes
}

function decode(bytes: Uint8Array): ReturnType<typeof decodeFrameHeader> {
  return decodeFrameHeader(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), bytes)
}

/** Changes a header and repairs its checksum, as a writer of another mind would have written it. */
function rewritten(header: FrameHeader, change: (view: DataView) => void): Uint8Array {
  const bytes = encode(header)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  change(view)
  view.setUint32(124, checksum(bytes.subarray(0, 124)), true)
  return bytes
}

test('a frame header survives encoding over stale bytes, on shared memory too', () => {
  for (const header of [example, seal, { ...seal, flags: FLAG_SEAL | FLAG_CLOSE }]) {
    for (const buffer of [new ArrayBuffer(256), new SharedArrayBuffer(256)]) {
      const { headerChecksum, ...decoded } = decode(encode(header, buffer))!
      assert.equal(decoded, header)
      assert.is(headerChecksum, checksum(encode(header).subarray(0, 124)))
    }
  }
})

test('a flipped bit anywhere in the header is noticed', () => {
  for (const header of [example, seal]) {
    const bytes = encode(header)
    for (let bit = 0; bit < FRAME_HEADER_BYTES * 8; bit++) {
      bytes[bit >> 3] ^= 1 << (bit & 7)
      assert.is(decode(bytes), undefined, `bit ${bit}`)
      bytes[bit >> 3] ^= 1 << (bit & 7)
    }
  }
})

test('values that the format excludes are refused, checksum or not', () => {
  const excluded: Array<[string, FrameHeader, (view: DataView) => void]> = [
    ['another version', example, (view) => view.setUint16(4, 2, true)],
    ['an unknown flag', example, (view) => view.setUint16(6, 16, true)],
    ['a compressed frame', example, (view) => view.setUint16(6, 4, true)],
    ['a close flag without a seal', example, (view) => view.setUint16(6, FLAG_CLOSE, true)],
    ['a seal with records', example, (view) => view.setUint16(6, FLAG_SEAL, true)],
    ['a frame without records', seal, (view) => view.setUint16(6, 0, true)],
    ['frame sequence 0', example, (view) => view.setBigUint64(32, 0n, true)],
    ['LSN 0', example, (view) => view.setBigUint64(40, 0n, true)],
    ['LSNs beyond 2^53', example, (view) => view.setUint32(64, 9, true)],
    ['a durable LSN beyond 2^53', example, (view) => view.setBigUint64(48, 1n << 63n, true)],
    ['fewer LSNs than records', example, (view) => view.setUint32(64, 2, true)],
    ['a body that is not made of granules', example, (view) => view.setUint32(72, 97, true)],
    ['a body too small for its records', example, (view) => view.setUint32(72, 64, true)],
  ]
  for (const [name, header, change] of excluded) {
    assert.is(decode(rewritten(header, change)), undefined, name)
  }
})

test('a header with illegal values is never written', () => {
  assert.throws(() => encode({ ...example, firstLsn: 0 }), /invariant/)
  assert.throws(() => encode({ ...example, firstLsn: 2 ** 53 - 3 }), /invariant/)
  assert.throws(() => encode({ ...example, flags: FLAG_CLOSE }), /invariant/)
  assert.throws(() => encode({ ...example, bodyBytes: 100 }), /invariant/)
})

test('a frame takes whole blocks', () => {
  assert.is(frameBytes(0, 4096), 4096)
  assert.is(frameBytes(4096 - 128, 4096), 4096)
  assert.is(frameBytes(4096 - 96, 4096), 8192)
  assert.is(frameBytes(2 ** 32 - 32, 4096), 2 ** 32 + 4096)
  assert.is(frameBytes(1, 65536), 65536)
})

test.run()
