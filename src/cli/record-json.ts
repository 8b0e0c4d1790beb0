import { isUtf8 } from 'node:buffer'
import type { RecordInput } from '../host/record-input.ts'
import type { LogRecord } from '../read/reader.ts'

/** A record as one line of JSON. What `append --ndjson` reads is what `dump` writes. */
export interface RecordJson {
  lsn?: number
  recordType?: number
  tenantId?: number
  vshardId?: number
  /** When the payload is UTF-8. */
  payload?: string
  /** When it is not. */
  payloadBase64?: string
  wallClockMs?: number
}

const NAMES: ReadonlySet<string> = new Set([
  'lsn',
  'recordType',
  'tenantId',
  'vshardId',
  'payload',
  'payloadBase64',
  'wallClockMs',
])

export function recordToJson(record: LogRecord): string {
  const { lsn, recordType, tenantId, vshardId, wallClockMs } = record
  const bytes = Buffer.from(record.payload.buffer, record.payload.byteOffset, record.payload.byteLength)
  const content = isUtf8(bytes) ? { payload: bytes.toString() } : { payloadBase64: bytes.toString('base64') }
  return JSON.stringify({ lsn, recordType, tenantId, vshardId, wallClockMs, ...content } satisfies RecordJson)
}

/**
 * The record that a line stands for; `lsn` and `wallClockMs` are passed over, since the log gives new ones.
 *
 * @throws SyntaxError, TypeError
 */
export function recordFromJson(bytes: Uint8Array): RecordInput {
  // Else what is not would be stored as U+FFFD.
  if (!isUtf8(bytes)) throw new TypeError('the line is not UTF-8')
  const line = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
  const json: unknown = JSON.parse(line)
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new TypeError('the line is not a JSON object')
  }
  for (const name of Object.keys(json)) {
    if (!NAMES.has(name)) throw new TypeError(`unknown field ${JSON.stringify(name)}`)
  }
  const { recordType, tenantId, vshardId, payload, payloadBase64 } = json as RecordJson
  if ((payload === undefined) === (payloadBase64 === undefined)) {
    throw new TypeError('it needs either payload or payloadBase64')
  }
  const record: RecordInput = { payload: payload ?? decodeBase64(payloadBase64) }
  if (recordType !== undefined) record.recordType = recordType
  if (tenantId !== undefined) record.tenantId = tenantId
  if (vshardId !== undefined) record.vshardId = vshardId
  return record
}

function decodeBase64(text: unknown): Uint8Array {
  if (typeof text !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) {
    throw new TypeError('payloadBase64 is not base64')
  }
  return Buffer.from(text, 'base64')
}
