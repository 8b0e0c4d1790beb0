// Commits one promise after the other, and tells how many rounds its event loop has gone meanwhile.
import { once } from 'node:events'
import { parentPort, workerData } from 'node:worker_threads'
import { connect } from '../../src/index.ts'

const { handle, blocking, commits, bell } = workerData
const producer = connect(handle)
for (let count = 0; count < blocking; count++) producer.commitSync({ payload: 'before' })
parentPort!.postMessage('ready')
await once(parentPort!, 'message')
let rounds = 0
let isDone = false
const countRounds = (): void => {
  rounds++
  if (!isDone) setImmediate(countRounds)
}
countRounds()
for (let count = 0; count < commits; count++) await producer.commit({ payload: 'of a promise' })
isDone = true
// Its event loop does not turn any more until somebody rings.
if (bell !== undefined) {
  void producer.commit({ payload: 'before it sleeps' })
  await null
  Atomics.wait(bell, 0, 0)
}
parentPort!.postMessage(rounds)
await once(parentPort!, 'message')
producer.close()
