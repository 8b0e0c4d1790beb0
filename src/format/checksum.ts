import { crc32 as zlibCrc32 } from 'node:zlib'
import crc32 from 'crc-32'

/**
 * Inputs shorter than this go to `crc-32` (JavaScript, no call overhead), the others to `zlib.crc32` (native).
 * Measured in nanoseconds on a 2-core x64 machine, Node 20: 32 B 27 against 95, 160 B 115 against 143, 256 B 187
 * against 209, 512 B 368 against 301.
 */
export const CHECKSUM_CROSSOVER_BYTES = 320

/**
 * CRC-32/ISO-HDLC of `bytes` as an unsigned number. With `seed`, the checksum of the bytes before them, the
 * result is that of both together. The bytes may lie on a SharedArrayBuffer.
 */
export function checksum(bytes: Uint8Array, seed = 0): number {
  if (bytes.length < CHECKSUM_CROSSOVER_BYTES) return crc32.buf(bytes, seed) >>> 0
  return zlibCrc32(bytes, seed)
}
