// Commits from the host and from two workers as fast as it can, one of them blocking, tells each acknowledgement at
// once, and calls process.exit in the midst of it: in the host, or first in the worker.
import { openSync, writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { connect, openLog, type Producer } from '../../src/index.ts'
import selfUrl from './exit.child.ts?url'

const [directory, toldPath, exitsFirst]: string[] = isMainThread ? process.argv.slice(2) : workerData.args
const told = openSync(toldPath, 'a')
const PENDING = 200
const BEFORE_EXIT = 50

if (isMainThread) {
  const log = await openLog(directory, { segmentBytes: 1 << 20 })
  const worker = new Worker(fileURLToPath(selfUrl), {
    workerData: { handle: log.handle, args: process.argv.slice(2) },
  })
  new Worker(fileURLToPath(selfUrl), {
    workerData: { handle: log.handle, args: process.argv.slice(2), blocks: true },
  })
  let isWorkerGone = false
  worker.once('exit', () => {
    isWorkerGone = true
  })
  let count = 0
  commitForEver(log.connect(), 'host', () => {
    count++
    if (count < BEFORE_EXIT || (exitsFirst === 'worker' && !isWorkerGone)) return
    process.exit(3)
  })
} else if (workerData.blocks) {
  const producer = connect(workerData.handle)
  for (let next = 0; ; next++) {
    const text = `blocking ${next}`
    tell({ lsn: producer.commitSync({ payload: text }).lsn, text })
  }
} else {
  let count = 0
  commitForEver(connect(workerData.handle), 'worker', () => {
    count++
    // In a worker this ends the thread only. The commits that are pending are published, and are committed.
    if (exitsFirst === 'worker' && count === BEFORE_EXIT) process.exit(0)
  })
}

/** Keeps many commits pending. */
function commitForEver(producer: Producer, name: string, onAcknowledged: () => void): void {
  let next = 0
  const commitOne = (): void => {
    const text = `${name} ${next++}`
    void producer.commit({ payload: text }).then(({ lsn }) => {
      tell({ lsn, text })
      onAcknowledged()
      commitOne()
    })
  }
  for (let index = 0; index < PENDING; index++) commitOne()
}

/** Into a file: written when it returns, so that nothing told is lost by the exit. */
function tell(what: object): void {
  writeSync(told, `${JSON.stringify(what)}\n`)
}
