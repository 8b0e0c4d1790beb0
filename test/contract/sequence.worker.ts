// Commits one record after the other, each when the one before is settled; says so without any event loop.
import { once } from 'node:events'
import { parentPort, workerData } from 'node:worker_threads'
import { connect } from '../../src/index.ts'

const { handle, done, commitCount, payload = 'x' } = workerData
const producer = connect(handle)
parentPort!.postMessage('ready')
await once(parentPort!, 'message')
for (let count = 0; count < commitCount; count++) await producer.commit({ payload })
producer.close()
Atomics.store(done, 0, commitCount)
Atomics.notify(done, 0)
