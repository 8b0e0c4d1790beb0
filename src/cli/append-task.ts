import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { connect } from '../host/connect.ts'
import { flattenError } from '../host/flat-error.ts'
import type { Producer } from '../host/producer.ts'
import { type RecordInput, RecordReader } from '../host/record-input.ts'
import { microsSince } from './latency.ts'
import { type LineChunk, linesOf } from './line-source.ts'
import { recordFromJson } from './record-json.ts'

/** What a worker of `groupwal append` is told once. */
export interface AppendSettings {
  ndjson: boolean
  recordType: number | undefined
  tenantId: number | undefined
  vshardId: number | undefined
}

/** What became of one chunk of lines. */
export interface AppendResult {
  /** Acknowledged records and their payload. */
  records: number
  bytes: number
  firstLsn: number
  lastLsn: number
  latency: RecordableHistogram
  /** The first that failed, flat, or undefined. */
  failure: unknown
}

/** A line that could not be taken stops this worker: chunks that were on their way are passed over. */
let isStopped = false

/** Finds what is wrong with a record before it is committed: the lines behind it must not be. */
const checker = new RecordReader(Number.MAX_SAFE_INTEGER)

/**
 * Commits the lines of a chunk, in order, and resolves when all are decided. All of them are begun before the first
 * await, so that the lines of a worker's chunks keep their order although several chunks are under way.
 */
export async function appendChunk(chunk: LineChunk, settings: AppendSettings): Promise<AppendResult> {
  const result: AppendResult = {
    records: 0,
    bytes: 0,
    firstLsn: Number.POSITIVE_INFINITY,
    lastLsn: 0,
    latency: createHistogram(),
    failure: undefined,
  }
  if (isStopped) return result
  const producer = connect()
  const commits: Promise<void>[] = []
  let line = chunk.firstLine
  for (const bytes of linesOf(chunk.bytes)) {
    const where = `${chunk.source}, line ${line}`
    try {
      const record = recordOf(bytes, settings)
      checker.readRecord(record)
      commits.push(commitOne(producer, record, where, result))
    } catch (error) {
      fail(result, inputError(error, where))
      break
    }
    line++
  }
  await Promise.all(commits)
  return result
}

async function commitOne(
  producer: Producer,
  record: RecordInput,
  where: string,
  result: AppendResult,
): Promise<void> {
  const startMs = performance.now()
  try {
    const { lsn } = await producer.commit(record)
    result.latency.record(microsSince(startMs))
    result.records++
    result.bytes +=
      typeof record.payload === 'string' ? Buffer.byteLength(record.payload) : record.payload.length
    result.firstLsn = Math.min(result.firstLsn, lsn)
    result.lastLsn = Math.max(result.lastLsn, lsn)
  } catch (error) {
    // A payload over the limit, which only the producer knows.
    fail(result, error instanceof RangeError ? inputError(error, where) : error)
  }
}

function recordOf(bytes: Uint8Array, settings: AppendSettings): RecordInput {
  if (settings.ndjson)
    return recordFromJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString())
  const { recordType, tenantId, vshardId } = settings
  const record: RecordInput = { payload: bytes }
  if (recordType !== undefined) record.recordType = recordType
  if (tenantId !== undefined) record.tenantId = tenantId
  if (vshardId !== undefined) record.vshardId = vshardId
  return record
}

function fail(result: AppendResult, error: unknown): void {
  isStopped = true
  result.failure ??= flattenError(error)
}

function inputError(error: unknown, where: string): Error {
  return new Error(`${where}: ${(error as Error).message}`, { cause: error })
}
