// Commits large batches under timeouts of `vm`, which end a call wherever it is and skip every `finally`.

import { createContext, Script } from 'node:vm'
import { parentPort, workerData } from 'node:worker_threads'
import { connect } from '../../src/index.ts'

const BATCH_RECORDS = 1500

const { handle, stop, name } = workerData
const producer = connect(handle)
const acknowledged: [number, string][] = []
let timeouts = 0

const context = createContext({ commit: (batch: number) => commit(batch), batch: 0 })
const script = new Script('commit(batch)')
for (let batch = 0; Atomics.load(new Int32Array(stop), 0) === 0; batch++) {
  context.batch = batch
  try {
    script.runInContext(context, { timeout: 1 + (batch % 4) })
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
    timeouts++
  }
}
producer.close()
parentPort!.postMessage({ acknowledged, timeouts })

function commit(batch: number): void {
  const records = Array.from({ length: BATCH_RECORDS }, (_, index) => ({
    payload: `${name}.${batch}.${index}.${BATCH_RECORDS}`,
  }))
  const { firstLsn } = producer.commitBatchSync(records)
  acknowledged.push([firstLsn, records[0].payload])
}
