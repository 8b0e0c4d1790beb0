import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { connect } from '../host/connect.ts'
import { flattenError } from '../host/flat-error.ts'
import type { Producer } from '../host/producer.ts'
import { type RecordInput, RecordReader } from '../host/record-input.ts'
import type { Words } from '../shared/atomics.ts'
import { AppendTurns } from './append-turns.ts'
import { microsSince } from './latency.ts'
import { type LineChunk, linesOf } from './line-source.ts'
import { recordFromJson } from './record-json.ts'

/** What a worker of `groupwal append` is told once. */
export interface AppendSettings {
  ndjson: boolean
  recordType: number | undefined
  tenantId: number | undefined
  vshardId: number | undefined
  /** What the log takes. */
  maxPayloadBytes: number
  /** Of the AppendTurns that all workers share. */
  turns: Words
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

/** Finds what is wrong with a record before it is committed: the lines behind it must not be. One for all chunks. */
let checker: RecordReader | undefined

/**
 * Commits the lines of a chunk, in order, and resolves when all are decided. They are checked before the chunk's turn,
 * and all of them are begun in one go when it has come, so that the lines of a worker's chunks keep their order
 * although several chunks are under way.
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
  const producer = connect()
  const turns = new AppendTurns(settings.turns)
  const { records, failure } = readLines(chunk, settings)
  if (!(await turns.take(chunk.chunkIndex))) return result
  if (failure === undefined) turns.pass(chunk.chunkIndex)
  else fail(result, failure, turns)
  await Promise.all(records.map((record) => commitOne(producer, record, result, turns)))
  return result
}

/** The records of a chunk up to the first line that cannot be taken, and what is wrong with that one. */
function readLines(
  chunk: LineChunk,
  settings: AppendSettings,
): { records: RecordInput[]; failure: Error | undefined } {
  checker ??= new RecordReader(settings.maxPayloadBytes)
  const records: RecordInput[] = []
  for (const bytes of linesOf(chunk.bytes)) {
    try {
      const record = recordOf(bytes, settings)
      checker.readRecord(record)
      records.push(record)
    } catch (error) {
      const where = `${chunk.source}, line ${chunk.firstLine + records.length}`
      return { records, failure: new Error(`${where}: ${(error as Error).message}`, { cause: error }) }
    }
  }
  return { records, failure: undefined }
}

async function commitOne(
  producer: Producer,
  record: RecordInput,
  result: AppendResult,
  turns: AppendTurns,
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
    fail(result, error, turns)
  }
}

function recordOf(bytes: Uint8Array, settings: AppendSettings): RecordInput {
  if (settings.ndjson) return recordFromJson(bytes)
  const { recordType, tenantId, vshardId } = settings
  const record: RecordInput = { payload: bytes }
  if (recordType !== undefined) record.recordType = recordType
  if (tenantId !== undefined) record.tenantId = tenantId
  if (vshardId !== undefined) record.vshardId = vshardId
  return record
}

/** Chunks that are on their way are passed over, in all workers. */
function fail(result: AppendResult, error: unknown, turns: AppendTurns): void {
  turns.stop()
  result.failure ??= flattenError(error)
}
