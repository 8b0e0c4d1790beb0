// What a thread publishes in one long turn of its event loop is written while that turn goes on.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openLog } from '../../src/index.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const ENOUGH_TO_KNOW_A_WRITE = 100
/** A committer that has just started may take one by itself. */
const FRAMES = 4
/** Far more than the ring can hold. */
const AT_MOST = 200_000

test('promises of one turn are written in several frames before it ends, when it lasts longer than a write', async () => {
  const log = await openLog(temporaryDirectory(), { sealIdleMs: 0 })
  const producer = log.connect()
  for (let count = 0; count < ENOUGH_TO_KNOW_A_WRITE; count++) producer.commitSync({ payload: 'before' })
  const enough = log.stats().frames + FRAMES
  const promises: Promise<unknown>[] = []
  // No await: one turn.
  while (log.stats().frames < enough && promises.length < AT_MOST)
    promises.push(producer.commit({ payload: 'in the turn' }))
  const frames = log.stats().frames
  assert.ok(frames >= enough, `${frames} of ${enough} frames after ${promises.length} commits`)
  await Promise.all(promises)
  await log.close()
})

test.run()
