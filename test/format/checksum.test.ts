import { crc32 as zlibCrc32 } from 'node:zlib'
import CRC32 from 'crc-32'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CHECKSUM_CROSSOVER_BYTES, checksum } from '../../src/format/checksum.ts'
import { WebAssembly } from '../../src/shared/web-assembly.ts'

function pattern(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index++) bytes[index] = (index * 167 + length) & 0xff
  return bytes
}

test('the check value of CRC-32/ISO-HDLC comes out', () => {
  assert.is(checksum(new TextEncoder().encode('123456789')), 0xcbf43926)
})

test('crc-32 and zlib agree at every length around the crossover', () => {
  for (let length = 0; length <= 2 * CHECKSUM_CROSSOVER_BYTES; length++) {
    const bytes = pattern(length)
    assert.is(CRC32.buf(bytes) >>> 0, zlibCrc32(bytes), `${length} bytes`)
    assert.is(checksum(bytes), zlibCrc32(bytes), `${length} bytes`)
  }
})

test('a seed carries a checksum on, whichever side computes the parts', () => {
  const bytes = pattern(1000)
  for (const split of [0, 1, 124, 319, 320, 321, 679, 680, 681, 999, 1000]) {
    assert.is(checksum(bytes.subarray(split), checksum(bytes.subarray(0, split))), zlibCrc32(bytes))
  }
})

test('bytes on shared memory have the same checksum', () => {
  for (const length of [100, CHECKSUM_CROSSOVER_BYTES, 5000]) {
    const bytes = pattern(length)
    const plain = new Uint8Array(new SharedArrayBuffer(length))
    plain.set(bytes)
    assert.is(checksum(plain), zlibCrc32(bytes))
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
    const wasm = new Uint8Array(memory.buffer, 4096, length)
    wasm.set(bytes)
    assert.is(checksum(wasm), zlibCrc32(bytes))
  }
})

test.run()
