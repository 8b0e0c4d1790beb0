// Opens a log in a worker thread and hands out its handle; when it is told to, it ends without closing the log.
import { parentPort, workerData } from 'node:worker_threads'
import { openLog } from '../../src/index.ts'

const log = await openLog(workerData, { segmentBytes: 1 << 20 })
log.connect().commitSync({ payload: 'of the opener' })
parentPort!.once('message', () => process.exit())
// It is the log that keeps this thread.
parentPort!.unref()
parentPort!.postMessage(log.handle)
