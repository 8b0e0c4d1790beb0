import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually } from '../support/eventually.ts'
import { closeAll, openFaulty, rejectionOf } from '../support/failing-log.ts'

test('the error of a flush names a record that failed, and not an earlier one that is durable', async () => {
  const { log, faults, producers } = await openFaulty({}, 1)
  const inHost = log.connect()
  inHost.append({ payload: 'kept' })
  await eventually('it is durable', () => log.durableLsn === 1)
  faults.fail('write-frame', { code: 'EIO' })
  const lost = inHost.append({ payload: 'lost' })
  const error = await rejectionOf(inHost.flush())
  assert.is(error.lsn, lost)
  inHost.close()
  await closeAll(log, producers)
})

test.run()
