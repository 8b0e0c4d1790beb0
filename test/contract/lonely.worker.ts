// A thread that has nothing but a producer to live for.
import { parentPort, workerData } from 'node:worker_threads'
import { connect } from '../../src/index.ts'

const producer = connect(workerData.handle)
if (workerData.does !== 'connect only') {
  const committed = producer.commit({ payload: workerData.does })
  if (workerData.does === 'commit') void committed.then((result) => parentPort!.postMessage(result))
}
