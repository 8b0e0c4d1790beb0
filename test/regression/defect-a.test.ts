// Defect (a) of the original: submit() returned the last LSN of the batch, or the durable LSN of the log, instead of
// the record's own.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { untilCommitterSleeps } from '../support/committer-sleep.ts'
import { eventually } from '../support/eventually.ts'
import { closeAll, openFaulty } from '../support/failing-log.ts'
import { contentOf } from '../support/log-content.ts'
import { endLeftovers } from '../support/scripted-producer.ts'

test.after.each(endLeftovers)

test('threads that share a batch are each told the LSN of their own record', async () => {
  const { log, faults, producers } = await openFaulty({}, 4)
  const [leader, ...followers] = producers
  for (let round = 0; round < 5; round++) {
    const hold = faults.hold('sync-frame')
    const led = leader.commitSync(`led ${round}`)
    await hold.reached()
    const calls = followers.map((follower, index) => follower.commitSync(`followed ${round}.${index}`))
    await eventually('all are published', () => log.stats().pendingRecords === 4)
    hold.release()
    const content = new Map<number, string>()
    content.set((await led).value!.lsn, `led ${round}`)
    for (const [index, { value }] of (await Promise.all(calls)).entries()) {
      content.set(value!.lsn, `followed ${round}.${index}`)
    }
    const read = contentOf(log)
    assert.is(content.size, 4, 'LSNs are unique')
    for (const [lsn, payload] of content) assert.is(read.get(lsn), payload)
  }
  await closeAll(log, producers)
})

test('promises that share a batch are each resolved with the LSN of their own record', async () => {
  const { log } = await openFaulty({}, 0)
  const producer = log.connect()
  // Else its thread may start in the midst of this turn, and go on from record to record.
  await untilCommitterSleeps(log)
  const commits = Array.from({ length: 40 }, (_, index) => producer.commit({ payload: `single ${index}` }))
  const batch = producer.commitBatch([{ payload: 'batch 0' }, { payload: 'batch 1' }])
  const last = producer.commit({ payload: 'last' })
  const lsns = (await Promise.all(commits)).map(({ lsn }) => lsn)
  assert.equal(
    lsns,
    lsns.map((_, index) => index + 1),
  )
  assert.equal(await batch, { firstLsn: 41, lastLsn: 42, durable: true })
  assert.is((await last).lsn, 43)
  assert.ok(log.stats().frames < 10, 'they did share')
  assert.is(contentOf(log).get(17), 'single 16')
  producer.close()
  await log.close()
})

test.run()
