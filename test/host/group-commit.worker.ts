import { parentPort, workerData } from 'node:worker_threads'
import { connect } from '../../src/index.ts'

const { handle, count, name } = workerData
const producer = connect(handle)
const lsns: number[] = []
for (let index = 0; index < count; index++) {
  lsns.push(producer.commitSync({ payload: `${name}-${index}` }).lsn)
}
producer.close()
parentPort!.postMessage(lsns)
