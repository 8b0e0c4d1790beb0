// Opens a log, commits from two threads, and closes nothing. The same file is host and worker.
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { connect, openLog } from '../../src/index.ts'
import selfUrl from './open-and-leave.child.ts?url'

if (isMainThread) {
  const log = await openLog(process.argv[2], { segmentBytes: 1 << 20 })
  const producer = log.connect()
  producer.commitSync({ payload: 'sync' })
  await producer.commit({ payload: 'promise' })
  const worker = new Worker(fileURLToPath(selfUrl), { workerData: log.handle })
  await once(worker, 'message')
  console.log(`committed ${log.durableLsn} of 3`)
} else {
  const producer = connect(workerData)
  parentPort!.postMessage(await producer.commit({ payload: 'promise of a worker' }))
}
