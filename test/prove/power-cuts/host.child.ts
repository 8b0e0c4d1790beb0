// A host that commits in many threads until its power is cut, and says what is acknowledged.

import { once } from 'node:events'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { type Log, openLog } from '../../../src/index.ts'
import { eventually } from '../../support/eventually.ts'
import type { HostSpec } from './host-spec.ts'
import { Committer, say, tellRefusal } from './producer.ts'
import producerUrl from './producer.worker.ts?url'

/** So much is kept, of everything that was committed. */
const KEPT_RECORDS = 300
const TRUNCATE_MS = 10

const spec = JSON.parse(process.argv[2]) as HostSpec
// Whoever started it is gone: so is its ledger.
process.stdin.on('end', () => process.exit(1)).resume()
let log: Log | undefined
await tellRefusal(async () => {
  log = await openLog(spec.directory, spec.options)
})
if (log !== undefined) await live(log)

async function live(log: Log): Promise<void> {
  log.on('failed', () => say('failed'))
  if (spec.waitsForZeros) await untilFilled(log)
  say('opened')
  for (let number = 0; number < spec.producers; number++) {
    new Worker(producerUrl, {
      workerData: { handle: log.handle, run: spec.run, number, limit: spec.recordsPerProducer },
    })
  }
  const own = { run: spec.run, number: spec.producers, limit: spec.recordsPerProducer }
  void new Committer(log.connect(), own).workWithoutBlocking()
  if (spec.truncates) void truncateNowAndThen(log)
  await once(process.stdin, 'data')
  say('closing')
  if (await tellRefusal(() => log.close())) say('closed')
}

function untilFilled(log: Log): Promise<void> {
  const { segmentSequence } = log.stats()
  const name = `wal-${String(segmentSequence).padStart(20, '0')}.seg`
  const path = join(spec.directory, name)
  return eventually(
    'the first segment is full of zeros',
    () => statSync(path).size === spec.options.segmentBytes,
  )
}

async function truncateNowAndThen(log: Log): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, TRUNCATE_MS))
    const lsn = log.durableLsn - KEPT_RECORDS
    if (lsn <= 0) continue
    say('keep', lsn)
    try {
      await log.truncateBefore(lsn)
    } catch {
      // The disk is gone, or the log is closed.
      return
    }
  }
}
