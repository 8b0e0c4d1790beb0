// Opens a log with little address space (prlimit, see address-space.test.ts), commits in every way from two threads over
// several segments, reopens it, and tells what it read.
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { connect, GroupWalError, type Log, openLog, type SyncMethod } from '../../src/index.ts'
import selfUrl from './address-space.child.ts?url'

/** Every third one begins a segment of a MiB. */
const LARGE = '.'.repeat(300 * 1024)

if (isMainThread) await main(process.argv[2], process.argv[3] as SyncMethod | 'auto')
else {
  const producer = connect(workerData)
  for (let index = 0; index < 5; index++) producer.commitSync({ payload: `blocking ${index}${LARGE}` })
  await producer.commit({ payload: 'a promise of a worker' })
  producer.close()
}

async function main(directory: string, syncMethod: SyncMethod | 'auto'): Promise<void> {
  const options = { segmentBytes: 1 << 20, syncMethod }
  try {
    const log = await openLog(directory, options)
    const { alignedMemory, syncMethod: chosen } = log.stats()
    const [code] = await once(new Worker(fileURLToPath(selfUrl), { workerData: log.handle }), 'exit')
    const producer = log.connect()
    for (let index = 0; index < 5; index++) await producer.commit({ payload: `promise ${index}${LARGE}` })
    const read = namesOf(log)
    const { rotations } = log.stats()
    await log.close()
    const again = await openLog(directory, options)
    const reread = namesOf(again)
    await again.close()
    tell({ alignedMemory, chosen, code, rotations, read, reread })
  } catch (error) {
    const { code, message, cause } = error as { code?: string; message: string; cause?: { code?: string } }
    tell({ isTyped: GroupWalError.is(error), errorCode: code, message, causeCode: cause?.code })
  }
}

function namesOf(log: Log): string[] {
  return Array.from(log.read(), ({ payload }) => Buffer.from(payload).toString().replaceAll('.', ''))
}

function tell(what: object): void {
  console.log(JSON.stringify(what))
}
