// Commits with promises, one after the other, and says in shared memory when it is done.

import { once } from 'node:events'
import { parentPort, workerData } from 'node:worker_threads'
import { connect } from '../../src/index.ts'

const { handle, finished, count } = workerData
const producer = connect(handle)
const started = once(parentPort!, 'message')
parentPort!.postMessage('ready')
await started
const payload = 'x'.repeat(16 * 1024)
for (let index = 0; index < count; index++) await producer.commit({ payload })
producer.close()
Atomics.add(finished, 0, 1)
Atomics.notify(finished, 0)
