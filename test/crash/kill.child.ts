// A host with producers that commit until it is killed.

import { writeSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { openLog } from '../../src/index.ts'
import producerUrl from './kill.worker.ts?url'
import { ACK_FD, type KillRun } from './kill-records.ts'

const { directory, run, producers, stagingSlots } = JSON.parse(process.argv[2]) as KillRun
const log = await openLog(directory, {
  segmentBytes: 1 << 20,
  ringBytes: 1 << 18,
  stagingSlots,
  sealIdleMs: 5,
})
writeSync(ACK_FD, 'opened\n')
for (let producer = 0; producer < producers; producer++) {
  new Worker(producerUrl, { workerData: { handle: log.handle, run, producer } })
}
