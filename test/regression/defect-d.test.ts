// Defect (d) of the original: Ok { lsn: 0, durable: true } when nothing was ever durable.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkFailure, closeAll, errorOf, openFaulty, rejectionOf } from '../support/failing-log.ts'
import { contentAfterReopen } from '../support/log-content.ts'
import { endLeftovers } from '../support/scripted-producer.ts'

test.after.each(endLeftovers)

test('when the very first commit fails nobody is told that it is durable, and no LSN 0 exists', async () => {
  const { log, faults, producers, directory } = await openFaulty({}, 1)
  const [producer] = producers
  const inHost = log.connect()
  assert.is(log.durableLsn, 0)
  await inHost.flush()
  inHost.flushSync()
  assert.is(inHost.lastLsn, 0)
  assert.equal([...log.read()], [])

  faults.fail('sync-frame', { code: 'EIO' })
  const error = errorOf(await producer.commitSync('first'))
  checkFailure(error, 'indeterminate', 'EIO')
  assert.is(error.lsn, 1)
  checkFailure(errorOf(await producer.commitSync('second')), 'not-written', 'EIO')
  checkFailure(await rejectionOf(inHost.commit({ payload: 'third' })), 'not-written', 'EIO')
  checkFailure(errorOf(await producer.flushSync(1)), 'indeterminate', 'EIO')
  assert.is(log.durableLsn, 0)
  assert.equal([...log.read()], [])
  await log.resume()
  assert.is(log.durableLsn, 0)
  assert.equal([...log.read()], [])
  assert.is((await producer.commitSync('fourth')).value?.lsn, 2)
  inHost.close()
  await closeAll(log, producers)
  assert.equal([...(await contentAfterReopen(directory)).entries()], [[2, 'fourth']])
})

test.run()
