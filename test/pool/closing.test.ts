import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Log, openLog } from '../../src/index.ts'
import { createProducerPool, type ProducerPool, type ProducerPoolOptions } from '../../src/pool.ts'
import { load, notify, store, type Words, waitAsync } from '../../src/shared/atomics.ts'
import { eventually } from '../support/eventually.ts'
import { failureOf } from '../support/rejection.ts'
import { skipUnless } from '../support/skip.ts'
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

test('close({ force: true }) finishes each task at work, turns away those that wait, and resolves when all threads have ended', async () => {
  const { log, pool } = await openPool({ maxThreads: 2 })
  const deaths: unknown[] = []
  log.on('producer-died', (death) => deaths.push(death))
  let exits = 0
  for (const worker of pool.threads) worker.once('exit', () => exits++)
  const [first, second, waiting] = [makeWords(), makeWords(), makeWords()]
  const atWork = [first, second].map((words) => pool.run(words, { name: 'commitWhenTold' }))
  await Promise.all([areAtWork(first, 1), areAtWork(second, 1)])
  const { signal } = new AbortController()
  // Piscina keeps those that can be aborted in another queue.
  const turnedAway = [{}, { signal }, {}].map((options) =>
    failureOf(pool.run(waiting, { name: 'commitWhenTold', ...options })),
  )
  tell(waiting)
  const closed = pool.close({ force: true })
  for (const { name } of await Promise.all(turnedAway)) assert.is(name, 'AbortError')
  tell(first)
  assert.is(await atWork[0], 1)
  tell(second)
  assert.is(await atWork[1], 2)
  await closed
  assert.is(exits, 2)
  assert.is(load(waiting, 0), 0, 'no task that was turned away has run')
  assert.is(log.durableLsn, 2)
  assert.is(log.stats().producers, 0)
  assert.equal(deaths, [])
  await log.close()
})

for (const [first, second] of [
  ['close', 'destroy'],
  ['close', 'close'],
  ['destroy', 'destroy'],
  ['destroy', 'close'],
] as const) {
  test(`${first}() and ${second}() at the same time end all threads, and start none`, async () => {
    const { log, pool } = await openPool({ maxThreads: 2 })
    const words = makeWords()
    const run = failureOrValue(pool.run(words, { name: 'commitWhenTold' }))
    await areAtWork(words, 1)
    const ends = [pool[first](), pool[second]()]
    // One that is turned away must not take new workers for its own.
    await failureOf(pool.run('late'))
    tell(words)
    await Promise.all([run, ...ends])
    assert.is(pool.threads.length, 0)
    await new Promise(setImmediate)
    assert.is(pool.threads.length, 0)
    await log.close()
  })
}

test('a listener for producer-died that throws does not keep the pool from replacing the worker', async () => {
  const { log, pool } = await openPool({ maxThreads: 1 })
  const thrown = new Promise((resolve) => process.once('uncaughtException', resolve))
  log.once('producer-died', () => {
    throw new Error('of a listener')
  })
  await pool.run('before')
  await failureOf(pool.run(undefined, { name: 'leaveProcess' }))
  assert.is(((await thrown) as Error).message, 'of a listener')
  assert.is(((await pool.run('after')) as { lsn: number }).lsn, 3)
  await pool.destroy()
  await log.close()
})

test('an option of close() that is wrong is a TypeError, and the pool works on', async () => {
  const { log, pool } = await openPool({ maxThreads: 1 })
  for (const options of [null, 1, { force: 1 }]) {
    const { name } = await failureOf(() => pool.close(options as { force?: boolean }))
    assert.is(name, 'TypeError')
  }
  assert.is(((await pool.run('on')) as { lsn: number }).lsn, 1)
  await pool.close()
  await log.close()
})

/** The writing end of a FIFO, when there is a reader. */
function openForReader(fifo: string): number | undefined {
  try {
    return openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error
    return undefined
  }
}

const whyNoFifo = spawnSync('mkfifo', ['--version']).error && 'no mkfifo command'
for (const end of ['close', 'destroy'] as const) {
  skipUnless(
    test as Parameters<typeof skipUnless>[0],
    whyNoFifo,
    `${end}() also waits for the thread of a task that was aborted before`,
    async () => {
      const { log, pool } = await openPool({ maxThreads: 1 })
      const fifo = join(temporaryDirectory(), 'fifo')
      assert.is(spawnSync('mkfifo', [fifo]).status, 0)
      const [blocked] = pool.threads
      const events: string[] = []
      blocked!.once('exit', () => events.push('exit'))
      const controller = new AbortController()
      const run = failureOf(pool.run(fifo, { name: 'waitForProcess', signal: controller.signal }))
      let fd: number | undefined
      await eventually('it has begun', () => {
        fd = openForReader(fifo)
        return fd !== undefined
      })
      controller.abort()
      assert.is((await run).name, 'AbortError')
      const [replacement] = pool.threads
      const replacementEnded = once(replacement!, 'exit')
      const ended = pool[end]().then(() => events.push(end))
      await replacementEnded
      await new Promise(setImmediate)
      closeSync(fd!)
      await ended
      assert.equal(events, ['exit', end])
      await log.close()
    },
  )
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
  // The place of the thread that died stays until a producer needs one, but is not counted.
  assert.is(log.stats().producers, 0)
  await log.close()
})

/** Either is right here. */
function failureOrValue(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error: unknown) => error)
}

test.run()
