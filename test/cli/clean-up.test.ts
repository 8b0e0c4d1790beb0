import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { thenCleanUp } from '../../src/cli/clean-up.ts'
import { failureOf } from '../support/rejection.ts'

const CLEAN_UPS = {
  'at once': (): void => {
    throw new Error('second')
  },
  later: async (): Promise<void> => {
    await Promise.resolve()
    throw new Error('second')
  },
}

for (const [when, failing] of Object.entries(CLEAN_UPS)) {
  test(`what a command failed with is told, though cleaning up behind it fails ${when}, too`, async () => {
    const first = new Error('first')
    assert.is(await failureOf(() => thenCleanUp(() => Promise.reject(first), failing)), first)
  })

  test(`a command that came to its end tells that cleaning up failed ${when}`, async () => {
    const failure = await failureOf(() => thenCleanUp(() => Promise.resolve('done'), failing))
    assert.is(failure?.message, 'second')
  })
}

test('cleaning up comes once, behind the run, whether that failed or not', async () => {
  for (const fails of [false, true]) {
    const order: string[] = []
    const run = async (): Promise<string> => {
      await Promise.resolve()
      order.push('run')
      if (fails) throw new Error('run')
      return 'result'
    }
    const ended = thenCleanUp(run, () => void order.push('clean up'))
    assert.is(await ended.catch((error: Error) => error.message), fails ? 'run' : 'result')
    assert.equal(order, ['run', 'clean up'])
  }
})

test.run()
