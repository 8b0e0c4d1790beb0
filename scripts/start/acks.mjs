// The form in which a producer tells the parent process, through a pipe of its own, what was acknowledged to it.

import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'

/** LSN (u64) and the first 8 bytes of the payload's SHA-256. */
export const ACK_BYTES = 16
const HASH_BYTES = 8

export function hashOf(payload) {
  return createHash('sha256').update(payload).digest().subarray(0, HASH_BYTES)
}

/** Sends acknowledgements in the order in which they came. */
export class AckWriter {
  #fd
  #buffer = Buffer.alloc(256 * ACK_BYTES)
  #length = 0
  #isFlushPlanned = false

  constructor(fd) {
    this.#fd = fd
  }

  /** Sends it with the others of the same turn of the event loop. */
  addSoon(lsn, payload) {
    this.#add(lsn, payload)
    if (this.#isFlushPlanned) return
    this.#isFlushPlanned = true
    setImmediate(() => {
      this.#isFlushPlanned = false
      this.flush()
    })
  }

  addNow(lsn, payload) {
    this.#add(lsn, payload)
    this.flush()
  }

  #add(lsn, payload) {
    this.#buffer.writeBigUInt64LE(BigInt(lsn), this.#length)
    hashOf(payload).copy(this.#buffer, this.#length + ACK_BYTES - HASH_BYTES)
    this.#length += ACK_BYTES
    if (this.#length === this.#buffer.length) this.flush()
  }

  flush() {
    for (let sent = 0; sent < this.#length; )
      sent += writeSync(this.#fd, this.#buffer, sent, this.#length - sent)
    this.#length = 0
  }
}

/** Takes a stream of acknowledgements apart; what a killed process had sent half is passed over. */
export class AckReader {
  #rest = Buffer.alloc(0)
  #onAck

  /** @param {(lsn: number, hash: Buffer) => void} onAck */
  constructor(onAck) {
    this.#onAck = onAck
  }

  read(piece) {
    const bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece])
    const whole = bytes.length - (bytes.length % ACK_BYTES)
    for (let at = 0; at < whole; at += ACK_BYTES) {
      this.#onAck(
        Number(bytes.readBigUInt64LE(at)),
        bytes.subarray(at + ACK_BYTES - HASH_BYTES, at + ACK_BYTES),
      )
    }
    this.#rest = Buffer.from(bytes.subarray(whole))
  }
}
