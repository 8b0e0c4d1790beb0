// Calls everything that places records, in a random order, and reports [lsn, text] of each in the order of the calls.
import { parentPort, workerData } from 'node:worker_threads'
import { connect } from '../../src/index.ts'
import { createRandom } from '../support/random.ts'

const { handle, name, seed, callCount } = workerData
const random = createRandom(seed)
const producer = connect(handle)
const placed: Promise<[number, string][]>[] = []

for (let index = 0; index < callCount; index++) {
  const texts = [`${name}${index}`.padEnd(random.int(200)), `${name}${index}+`]
  const [payload] = texts
  const kind = random.int(7)
  if (kind < 2) placed.push(producer.commit({ payload }).then(({ lsn }) => [[lsn, payload]]))
  else if (kind === 2) {
    const records = texts.map((text) => ({ payload: text }))
    placed.push(
      producer.commitBatch(records).then(({ firstLsn }) => texts.map((text, at) => [firstLsn + at, text])),
    )
  } else if (kind === 3) placed.push(Promise.resolve([[producer.append({ payload }), payload]]))
  else if (kind === 4) {
    const lsn = producer.tryAppend({ payload })
    if (lsn !== undefined) placed.push(Promise.resolve([[lsn, payload]]))
  } else if (kind === 5) {
    if (random.chance(0.5)) placed.push(Promise.resolve([[producer.commitSync({ payload }).lsn, payload]]))
    else producer.flushSync()
  } else if (random.chance(0.2)) await producer.flush()
}
await producer.flush()
parentPort!.postMessage((await Promise.all(placed)).flat())
producer.close()
