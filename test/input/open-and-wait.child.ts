// Opens the log in the directory given, commits one record (of as many bytes as said), tells so, and waits to be told
// or killed.
import { once } from 'node:events'
import { openLog } from '../../src/index.ts'

const log = await openLog(process.argv[2], { segmentBytes: 1 << 20 })
const payload = process.argv[3] === undefined ? 'of the child' : Buffer.alloc(Number(process.argv[3]))
const { lsn } = await log.connect().commit({ payload })
console.log(JSON.stringify({ pid: process.pid, lsn }))
await once(process.stdin, 'data')
await log.close()
process.stdin.unref()
