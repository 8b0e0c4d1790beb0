// Commits one record with the handle that came by workerData or by message, and reports the result.
import { once } from 'node:events'
import { parentPort, workerData } from 'node:worker_threads'
import { connect } from '../../src/index.ts'

const handle = workerData.handle ?? (await once(parentPort!, 'message'))[0].wrapped[0]
using producer = connect(handle)
parentPort!.postMessage(await producer.commit({ payload: workerData.payload }))
