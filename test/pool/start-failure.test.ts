import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GroupWalError, type Log, openLog } from '../../src/index.ts'
import { createProducerPool, type ProducerPool, type ProducerPoolOptions } from '../../src/pool.ts'
import { waitAsync } from '../../src/shared/atomics.ts'
import { failureOf } from '../support/rejection.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import startUrl from './start.worker.ts?url'

const WELL = 0
const THROW = 1
const EXIT = 2
const LATE = 3
const OWN = 4
const HOLD = 5

async function withPool(
  options: ProducerPoolOptions,
  use: (pool: ProducerPool<unknown, unknown>, log: Log) => Promise<void>,
): Promise<void> {
  const log = await openLog(temporaryDirectory())
  const pool = createProducerPool(log, options)
  try {
    await use(pool, log)
  } finally {
    await pool.destroy()
    await log.close()
  }
}

function startWith(how: number): { filename: URL; workerData: Int32Array; maxThreads: number } {
  const workerData = new Int32Array(new SharedArrayBuffer(8))
  workerData[0] = how
  return { filename: startUrl, workerData, maxThreads: 2 }
}

/** A task is given to the first worker, which has not started yet, and aborted: resolves when the worker is gone. */
async function abortWhileStarting(pool: ProducerPool<unknown, unknown>): Promise<void> {
  const [starting] = pool.threads
  const exited = once(starting!, 'exit')
  const controller = new AbortController()
  const aborted = failureOf(pool.run(undefined, { signal: controller.signal }))
  controller.abort()
  assert.is((await aborted).name, 'AbortError')
  assert.not(pool.threads.includes(starting!))
  await exited
}

async function startFailureOf(run: Promise<unknown>): Promise<GroupWalError> {
  const error = await run.then(
    () => assert.unreachable('it was to be rejected'),
    (thrown: unknown) => thrown,
  )
  assert.ok(GroupWalError.is(error), String(error))
  assert.is(error.code, 'GROUPWAL_WORKER_START')
  return error
}

for (const [what, how, message, causeCode] of [
  ['throws while it is loaded', THROW, /cannot start/, 'E_START'],
  ['exits while it is loaded', EXIT, /exited with code 4/, undefined],
  ['dies of an uncaught error while it is loaded', LATE, /uncaught while starting/, undefined],
  ['throws one of our errors', OWN, /no place/, 'GROUPWAL_TOO_MANY_PRODUCERS'],
] as const) {
  test(`a file that ${what} rejects this and every later run`, () =>
    withPool(startWith(how), async (pool) => {
      const errors = await Promise.all([1, 2, 3, 4].map(() => startFailureOf(pool.run(undefined))))
      errors.push(await startFailureOf(pool.run(undefined)))
      for (const error of errors) {
        assert.match(error.message, message)
        assert.is((error.cause as { code?: string }).code, causeCode)
      }
    }))
}

test('a failure to start is known without any run, and does not end the host', () =>
  withPool(startWith(LATE), async (pool) => {
    while (pool.threads.length > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await startFailureOf(pool.run(undefined))
  }))

test('a missing file', async () => {
  const filename = join(temporaryDirectory(), 'missing.js')
  await withPool({ filename, maxThreads: 1 }, async (pool) => {
    assert.match((await startFailureOf(pool.run(1))).message, /missing\.js/)
    assert.match((await startFailureOf(pool.run(2))).message, /missing\.js/)
  })
})

test('a function that is not there rejects only the runs that name it', async () => {
  const filename = join(temporaryDirectory(), 'named.mjs')
  writeFileSync(filename, 'export const double = (number) => 2 * number; export const value = 1')
  await withPool({ filename, maxThreads: 1 }, async (pool) => {
    for (const name of ['default', 'value', 'none']) {
      const error = await pool.run(1, { name }).catch((thrown: unknown) => thrown)
      assert.instance(error, TypeError)
      assert.match((error as Error).message, `named.mjs exports no function named ${name}`)
    }
    assert.is(await pool.run(4, { name: 'double' }), 8)
  })
})

test('a replacement that fails to start rejects what waits for it', () =>
  withPool({ ...startWith(WELL), maxThreads: 1 }, async (pool, log) => {
    assert.is(await pool.run(undefined), 'done')
    const dying = pool.run(EXIT).catch((error: Error) => error.message)
    const waiting = [pool.run(undefined), pool.run(undefined)].map(startFailureOf)
    assert.match(String(await dying), /exited with code: 5/)
    await Promise.all(waiting)
    await startFailureOf(pool.run(undefined))
    assert.is(log.durableLsn, 0)
  }))

test('a worker that starts anew works on', () =>
  withPool({ ...startWith(WELL), maxThreads: 1 }, async (pool) => {
    await pool.run(WELL).catch(() => {})
    assert.is(await pool.run(undefined), 'done')
  }))

test('a task that is aborted while its worker starts costs the pool this worker only', () =>
  withPool(startWith(WELL), async (pool) => {
    const gone = abortWhileStarting(pool)
    assert.equal(await Promise.all([1, 2, 3].map(() => pool.run(undefined))), ['done', 'done', 'done'])
    await gone
    assert.equal(await Promise.all([1, 2, 3].map(() => pool.run(undefined))), ['done', 'done', 'done'])
    assert.is(pool.threads.length, 2)
  }))

test('where a task was aborted, a replacement that fails to start is still told', () =>
  withPool({ ...startWith(EXIT), maxThreads: 1 }, async (pool) => {
    const gone = abortWhileStarting(pool)
    assert.match((await startFailureOf(pool.run(undefined))).message, /exited with code 4/)
    await gone
    assert.match((await startFailureOf(pool.run(undefined))).message, /exited with code 4/)
  }))

test('a task that is aborted while a replacement starts does not keep piscina from replacing others', () => {
  const options = startWith(WELL)
  const words = options.workerData
  return withPool(options, async (pool) => {
    assert.equal(await Promise.all([pool.run(undefined), pool.run(undefined)]), ['done', 'done'])
    const first = pool.threads
    assert.match((await failureOf(pool.run(HOLD))).message, /exited with code: 5/)
    await waitAsync(words, 1, 0)
    const held = pool.threads.find((worker) => !first.includes(worker))!
    // Piscina gives what waits to a worker that is not ready, as soon as another one has finished its task.
    const controller = new AbortController()
    const before = pool.run(undefined)
    const aborted = failureOf(pool.run(undefined, { signal: controller.signal }))
    assert.is(await before, 'done')
    const changed = [once(held, 'exit'), once(pool, 'workerCreate')]
    words[0] = WELL
    controller.abort()
    assert.is((await aborted).name, 'AbortError')
    await Promise.all(changed)
    // All workers die while one task waits for a new one.
    const dying = [pool.run(WELL), pool.run(WELL)].map(failureOf)
    const waiting = pool.run(undefined)
    for (const { message } of await Promise.all(dying)) assert.match(message, /exited with code: 5/)
    assert.is(await waiting, 'done')
  })
})

test('a worker that the application ends while it starts is replaced', () =>
  withPool({ ...startWith(WELL), maxThreads: 1 }, async (pool) => {
    await pool.threads[0]!.terminate()
    assert.is(await pool.run(undefined), 'done')
  }))

test('an error of a started but idle worker is emitted, as piscina does it', () =>
  withPool({ ...startWith(WELL), maxThreads: 1 }, async (pool) => {
    await pool.run(undefined)
    const emitted = once(pool, 'error').catch((error: Error) => [error])
    pool.threads[0]!.emit('error', new Error('by itself'))
    assert.is((await emitted)[0].message, 'by itself')
  }))

test.run()
