import { TextEncoder } from 'node:util'
import { isUint8Array } from 'node:util/types'
import type { EncodableRecord } from '../commit/appender.ts'
import { byteCountOf } from '../format/bytes.ts'
import { DEFAULT_RECORD_TYPE, isReservedRecordType } from '../format/record.ts'

/** A record as the application gives it. */
export interface RecordInput {
  /** Bytes, or a string that is stored as UTF-8. Copied before the call returns. */
  payload: Uint8Array | string
  /** 0 to 65535, bit 15: required. 0x7F00 to 0x7FFF and 0xFF00 to 0xFFFF belong to the log. Default 0x8001 (put). */
  recordType?: number
  /** 0 to 4294967295, default 0. */
  tenantId?: number
  /** 0 to 65535, default 0. */
  vshardId?: number
}

/** UTF-8 of short strings goes here: nothing is allocated for them. */
const TEXT_BYTES = 65536

/** Checks records and brings them into the form that the encoder takes. One per producer, reused. */
export class RecordReader {
  private readonly maxPayloadBytes: number
  private readonly textEncoder: TextEncoder
  private readonly text: Uint8Array
  /** The record of the newest `readRecord`; valid until the next one. */
  readonly current: EncodableRecord

  constructor(maxPayloadBytes: number) {
    this.maxPayloadBytes = maxPayloadBytes
    this.textEncoder = new TextEncoder()
    this.text = new Uint8Array(TEXT_BYTES)
    this.current = {
      lsn: 0,
      recordType: 0,
      vshardId: 0,
      tenantId: 0,
      continues: false,
      payload: this.text,
      from: 0,
      length: 0,
    }
  }

  /**
   * Reads one record into `current`.
   *
   * @throws TypeError, RangeError naming field, value and limit
   */
  readRecord(record: RecordInput): EncodableRecord {
    if (typeof record !== 'object' || record === null) {
      throw new TypeError(`record must be an object with a payload, got ${describe(record)}`)
    }
    const { current } = this
    // All of it before anything is kept: a getter may call the producer, which reads another record into `current`.
    const { recordType, vshardId, tenantId, payload } = record
    current.recordType = recordType === undefined ? DEFAULT_RECORD_TYPE : checkRecordType(recordType)
    current.vshardId = vshardId === undefined ? 0 : checkInteger('vshardId', vshardId, 0xffff)
    current.tenantId = tenantId === undefined ? 0 : checkInteger('tenantId', tenantId, 0xffffffff)
    current.continues = false
    this.readPayload(payload)
    return current
  }

  private readPayload(payload: unknown): void {
    const { current } = this
    if (typeof payload === 'string') {
      this.readText(payload)
    } else if (isUint8Array(payload)) {
      const length = byteCountOf(payload)
      if (length === 0 && isDetached(payload)) throw new TypeError('record.payload is a detached Uint8Array')
      current.payload = payload
      current.length = length
    } else {
      throw new TypeError(`record.payload must be a Uint8Array or a string, got ${describe(payload)}`)
    }
    current.from = 0
    if (current.length > this.maxPayloadBytes) {
      throw new RangeError(
        `record.payload has ${current.length} bytes, the limit is ${this.maxPayloadBytes}; ` +
          'the options maxBatchBytes, ringBytes and segmentBytes raise it',
      )
    }
  }

  /** The bytes of `current` lie where the next text goes. */
  get isOverwrittenNext(): boolean {
    return this.current.payload === this.text
  }

  private readText(text: string): void {
    const { current } = this
    if (!isWellFormed(text)) {
      throw new TypeError(
        'record.payload is not well-formed UTF-16: a lone surrogate would be altered by UTF-8',
      )
    }
    if (text.length * 3 <= TEXT_BYTES) {
      current.payload = this.text
      current.length = this.textEncoder.encodeInto(text, this.text).written
    } else {
      current.payload = Buffer.from(text)
      current.length = current.payload.length
    }
  }
}

/** An integer from 0 to `limit`, or an error that names field, value and limit. */
export function checkInteger(field: string, value: unknown, limit: number, least = 0): number {
  if (typeof value !== 'number') throw new TypeError(`${field} must be a number, got ${describe(value)}`)
  if (!Number.isInteger(value) || value < least || value > limit) {
    throw new RangeError(`${field} must be an integer from ${least} to ${limit}, got ${value}`)
  }
  return value
}

/** Options that nobody knows were misspelt: to pass over them would mean to wait for ever, or to read too much. */
export function checkOptionNames(options: unknown, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`options must be an object, got ${describe(options)}`)
  }
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue
    throw new TypeError(`unknown option ${JSON.stringify(name)}; options are ${names.join(', ')}`)
  }
}

function checkRecordType(value: unknown): number {
  const recordType = checkInteger('recordType', value, 0xffff)
  if (isReservedRecordType(recordType)) {
    throw new RangeError(
      `recordType 0x${recordType.toString(16)} is reserved: 0x7f00 to 0x7fff and 0xff00 to 0xffff belong to the log`,
    )
  }
  return recordType
}

/** What a value is, for error messages: never its content. */
export function describe(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'object') return value.constructor?.name ?? 'an object'
  return typeof value === 'number' || typeof value === 'undefined' ? String(value) : typeof value
}

function isWellFormed(text: string): boolean {
  return (text as unknown as { isWellFormed(): boolean }).isWellFormed()
}

/** Its buffer was given away, or is too short for this view by now. Both make its methods throw. */
function isDetached(bytes: Uint8Array): boolean {
  try {
    Uint8Array.prototype.indexOf.call(bytes, 0)
    return false
  } catch {
    return true
  }
}
