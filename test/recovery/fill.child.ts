// Fills a log with so many segments and tells the last durable LSN; then closes it when it is told to. With 0
// segments it tells after some commits, and goes on committing until it is killed.
import { once } from 'node:events'
import { openLog } from '../../src/index.ts'

const [directory, segmentCount, segmentBytes = `${1 << 20}`] = process.argv.slice(2)
const log = await openLog(directory, { segmentBytes: Number(segmentBytes) })
const producer = log.connect()
const target = log.stats().segmentSequence + Number(segmentCount)
const payload = Buffer.alloc(900_000)

if (target === log.stats().segmentSequence) {
  const pending = Array.from({ length: 64 }, () => producer.commit({ payload: 'small' }))
  const lastLsn = Math.max(...(await Promise.all(pending)).map(({ lsn }) => lsn))
  console.log(JSON.stringify({ lastLsn }))
  for (;;) await Promise.all(Array.from({ length: 64 }, () => producer.commit({ payload: 'small' })))
}
while (log.stats().segmentSequence <= target) await producer.commit({ payload })
await producer.commit({ payload: 'the last' })
console.log(JSON.stringify({ lastLsn: log.durableLsn }))
await once(process.stdin, 'data')
await log.close()
process.stdin.unref()
