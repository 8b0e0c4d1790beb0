// Opens a log in a worker thread, hands out its handle, and closes it when told to.
import { once } from 'node:events'
import { parentPort, workerData } from 'node:worker_threads'
import { openLog } from '../../src/index.ts'

const log = await openLog(workerData, { segmentBytes: 1 << 20 })
parentPort!.postMessage(log.handle)
await once(parentPort!, 'message')
await log.close()
