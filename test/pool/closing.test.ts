import { once } from 'node:events'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Log, openLog } from '../../src/index.ts'
import { createProducerPool, type ProducerPool, type ProducerPoolOptions } from '../../src/pool.ts'
import { load, notify, store, type Words, waitAsync } from '../../src/shared/atomics.ts'
import { failureOf } from '../support/rejection.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import tasksUrl from './tasks.worker.ts?url'

async function openPool(
  options: Partial<ProducerPoolOptions>,
): Promise<{ log: Log; pool: ProducerPool<unknown, unknown> }> {
  const log = await openLog(temporaryDirectory())
  return { log, pool: createProducerPool(log, { filename: tasksUrl, ...options }) }
}

/** For the task `commitWhenTold`. */
function makeWords(): Words {
  return new Int32Array(new SharedArrayBuffer(8))
}

async function areAtWork(words: Words, count: number): Promise<void> {
  for (let seen = load(words, 0); seen < count; seen = load(words, 0)) await waitAsync(words, 0, seen)
}

function tell(words: Words): void {
  store(words, 1, 1)
  notify(words, 1, Number.POSITIVE_INFINITY)
}

for (const closeTimeout of [Number.POSITIVE_INFINITY, 2 ** 31, undefined]) {
  for (const force of [false, true]) {
    test(`close({ force: ${force} }) with closeTimeout ${closeTimeout} finishes the task at work`, async () => {
      const options = { maxThreads: 1, closeTimeout } as Partial<ProducerPoolOptions>
      const { log, pool } = await openPool(options)
      const errors: unknown[] = []
      pool.on('error', (error) => errors.push(error))
      const words = makeWords()
      const run = pool.run(words, { name: 'commitWhenTold' })
      await areAtWork(words, 1)
      const closed = pool.close({ force })
      // Of two timers of one millisecond, which is what one that is too long comes to, the older one fires first.
      await new Promise((resolve) => setTimeout(resolve, 1))
      tell(words)
      assert.is(await run, 1)
      await closed
      assert.equal(errors, [])
      assert.is(pool.threads.length, 0)
      await log.close()
    })
  }
}

test('a task that is aborted while close() waits is a death as ever, and disturbs no other task', async () => {
  const { log, pool } = await openPool({ maxThreads: 2 })
  const words = makeWords()
  const controller = new AbortController()
  const aborted = failureOf(pool.run(words, { name: 'commitWhenTold', signal: controller.signal }))
  const run = pool.run(words, { name: 'commitWhenTold' })
  await areAtWork(words, 2)
  const died = once(log, 'producer-died')
  const closed = pool.close()
  controller.abort()
  assert.is((await aborted).name, 'AbortError')
  await died
  tell(words)
  assert.is(await run, 1)
  await closed
  // The place of the thread that died stays until a producer needs one.
  assert.is(log.stats().producers, 1)
  await log.close()
})

test.run()
