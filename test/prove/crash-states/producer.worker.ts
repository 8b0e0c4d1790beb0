// A producer of a recorded run: does the operations that it is sent, and notes in the trace what it was told.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { connect, type Producer } from '../../../src/index.ts'
import type { ProducerData, ProducerOperation } from './recorded-run.ts'
import { payloadOf, TraceWriter, USER_EVENTS } from './trace.ts'

const { handle, memory, number } = workerData as ProducerData
const producer: Producer = connect(handle)
const trace = new TraceWriter(memory)
const port = parentPort as MessagePort

port.on('message', (operations: ProducerOperation[] | undefined) => {
  if (operations !== undefined) void runAll(operations)
  else {
    producer.close()
    port.close()
  }
})
port.postMessage('connected')

async function runAll(operations: ProducerOperation[]): Promise<void> {
  for (const operation of operations) await run(operation)
  port.postMessage('done')
}

async function run(operation: ProducerOperation): Promise<void> {
  const { kind } = operation
  if (kind === 'flush') return flush()
  if (kind === 'promises') {
    const singles = operation.sizes.map((size, index) => ({
      kind: 'promise' as const,
      operation: operation.operation + index,
      firstId: operation.firstId + index,
      sizes: [size],
    }))
    await Promise.all(singles.map(commit))
  } else await commit({ ...operation, kind })
}

async function commit({ kind, operation, firstId, sizes }: SingleOperation): Promise<void> {
  const isBatch = kind === 'batch' || kind === 'batchPromise' ? 1 : 0
  trace.note(USER_EVENTS.submit, [operation, number, isBatch, firstId, ...sizes])
  const records = sizes.map((size, index) => ({ payload: payloadOf(firstId + index, size) }))
  try {
    if (kind === 'append') {
      trace.note(USER_EVENTS.placed, [operation, producer.append(records[0])])
      return
    }
    let firstLsn: number
    if (kind === 'sync') firstLsn = producer.commitSync(records[0]).lsn
    else if (kind === 'promise') firstLsn = (await producer.commit(records[0])).lsn
    else if (kind === 'batch') firstLsn = producer.commitBatchSync(records).firstLsn
    else firstLsn = (await producer.commitBatch(records)).firstLsn
    trace.note(USER_EVENTS.acked, [operation, firstLsn])
  } catch (error) {
    const { outcome, lsn } = error as { outcome?: string; lsn?: number }
    if (outcome === undefined) throw error
    trace.note(USER_EVENTS.failed, [operation, outcome === 'not-written' ? 1 : 0, lsn ?? 0])
  }
}

type SingleOperation = Omit<ProducerOperation, 'kind'> & {
  kind: Exclude<ProducerOperation['kind'], 'promises' | 'flush'> | 'promise'
}

function flush(): void {
  try {
    producer.flushSync()
    trace.note(USER_EVENTS.flushed, [number])
  } catch (error) {
    // Which of its records failed is not told here.
    if ((error as { outcome?: string }).outcome === undefined) throw error
  }
}
