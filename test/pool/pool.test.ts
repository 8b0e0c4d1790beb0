import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Piscina } from 'piscina'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CommitFailedError, connect, GroupWalError, type Log, openLog } from '../../src/index.ts'
import { createProducerPool, type ProducerPool, type ProducerPoolOptions } from '../../src/pool.ts'
import { failureOf } from '../support/rejection.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import tasksUrl from './tasks.worker.ts?url'

async function withPool(
  options: Partial<ProducerPoolOptions>,
  use: (pool: ProducerPool<unknown, unknown>, log: Log) => Promise<void>,
): Promise<void> {
  const log = await openLog(temporaryDirectory())
  const pool = createProducerPool(log, { filename: tasksUrl, maxThreads: 2, ...options })
  try {
    await use(pool, log)
  } finally {
    await pool.destroy()
    await log.close()
  }
}

async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => assert.unreachable('it was to be rejected'),
    (error: unknown) => error,
  )
}

test('tasks commit from several workers by connect() without an argument', () =>
  withPool({ maxThreads: 3 }, async (pool, log) => {
    assert.instance(pool, Piscina)
    assert.is(pool.threads.length, 3)
    assert.is(pool.options.minThreads, 3)
    const texts = Array.from({ length: 60 }, (_, index) => `task ${index}`)
    const results = (await Promise.all(texts.map((text) => pool.run(text)))) as { lsn: number }[]
    assert.is(new Set(results.map(({ lsn }) => lsn)).size, 60)
    const payloads = [...log.read()].map((record) => Buffer.from(record.payload).toString())
    assert.equal(payloads.sort(), texts.sort())
  }))

test('all tasks of a worker share one producer', () =>
  withPool({ maxThreads: 1 }, async (pool, log) => {
    await Promise.all(Array.from({ length: 300 }, (_, index) => pool.run(`${index}`)))
    assert.is(log.stats().producers, 1)
  }))

test('a task that closed the producer gets a new one', () =>
  withPool({ maxThreads: 1 }, async (pool, log) => {
    assert.is(await pool.run(null, { name: 'closeOwn' }), true)
    assert.is(log.stats().producers, 1)
  }))

test('an idle worker still settles promise commits', () =>
  withPool({ maxThreads: 1, concurrentTasksPerWorker: 4 }, async (pool) => {
    const runs = Array.from({ length: 4 }, (_, index) =>
      pool.run({ count: 50, text: `c${index}` }, { name: 'commitMany' }),
    )
    const lsns = ((await Promise.all(runs)) as number[][]).flat()
    assert.is(new Set(lsns).size, 200)
  }))

for (const [what, filename] of [
  ['a URL', tasksUrl],
  ['the text of a URL', tasksUrl.href],
  ['a path', fileURLToPath(tasksUrl)],
] as const) {
  test(`the file may be given as ${what}, to the pool and to run`, () =>
    withPool({ filename, maxThreads: 1 }, async (pool) => {
      assert.ok(((await pool.run('one')) as { lsn: number }).lsn > 0)
      assert.is(await pool.run(null, { filename, name: 'closeOwn' }), true)
    }))
}

for (const workerData of [[1, [2, 'three']], { handle: 'mine' }, 'text', null, undefined]) {
  test(`workerData arrives unchanged: ${JSON.stringify(workerData)}`, () =>
    withPool({ workerData, maxThreads: 1 }, async (pool) => {
      assert.equal(await pool.run(null, { name: 'tellWorkerData' }), {
        direct: workerData,
        byPiscina: workerData,
        byClass: workerData,
        isMainThread: false,
      })
    }))
}

test('a CommitFailedError arrives with class, code, outcome, lsn and cause', () =>
  withPool({ maxThreads: 1 }, async (pool) => {
    const error = await rejectionOf(pool.run(null, { name: 'failCommit' }))
    assert.ok(GroupWalError.is(error))
    assert.instance(error, CommitFailedError)
    const { code, outcome, lsn, cause, stack, name } = error as CommitFailedError
    assert.equal(
      { code, outcome, lsn, name },
      { code: 'GROUPWAL_COMMIT_FAILED', outcome: 'indeterminate', lsn: 7, name: 'CommitFailedError' },
    )
    assert.is((cause as { code: string }).code, 'ENOSPC')
    assert.match(String(stack), /failCommit/)
  }))

test('other errors keep their class, fields and inner errors; what cannot be cloned stays behind', () =>
  withPool({ maxThreads: 1 }, async (pool) => {
    const error = (await rejectionOf(pool.run(null, { name: 'failOddly' }))) as AggregateError & {
      self: unknown
    }
    assert.instance(error, AggregateError)
    assert.is(error.self, error)
    assert.instance(error.errors[0], TypeError)
    assert.is(error.errors[0].depth, 2)
    assert.not('callback' in error.errors[0])
    assert.is(error.errors[1], 'a string')
    assert.is(await rejectionOf(pool.run(null, { name: 'throwText' })), 'just text')
  }))

test('a worker that exits is told as producer-died, and is replaced', () =>
  withPool({ maxThreads: 1 }, async (pool, log) => {
    const { threadId } = (await pool.run('first')) as { threadId: number }
    const died = once(log, 'producer-died')
    const error = await rejectionOf(pool.run(null, { name: 'leaveProcess' }))
    assert.match((error as Error).message, /exited with code: 3/)
    const [{ workerId }] = await died
    assert.is(workerId, threadId)
    const again = (await pool.run('second')) as { threadId: number; lsn: number }
    assert.not.equal(again.threadId, threadId)
    assert.is(again.lsn, 3)
  }))

test('an error of ours that nobody caught in the worker arrives as what it was', () =>
  withPool({ maxThreads: 1 }, async (pool, log) => {
    const died = once(log, 'producer-died')
    const error = await rejectionOf(pool.run(null, { name: 'dieUncaught' }))
    assert.instance(error, CommitFailedError)
    assert.is((error as CommitFailedError).outcome, 'indeterminate')
    await died
  }))

test('an aborted task loses its worker, and the next one has another', () =>
  withPool({ maxThreads: 1 }, async (pool, log) => {
    await pool.run('first')
    const died = once(log, 'producer-died')
    const controller = new AbortController()
    const run = rejectionOf(pool.run(null, { name: 'spinForever', signal: controller.signal }))
    while (log.durableLsn < 2) await new Promise(setImmediate)
    controller.abort()
    assert.is(((await run) as Error).name, 'AbortError')
    await died
    assert.is(((await pool.run('after')) as { lsn: number }).lsn, 3)
  }))

for (const end of ['close', 'destroy'] as const) {
  test(`${end}() disconnects the producers and tells of no death`, async () => {
    const log = await openLog(temporaryDirectory())
    const pool = createProducerPool(log, { filename: tasksUrl, maxThreads: 2 })
    const deaths: unknown[] = []
    log.on('producer-died', (death) => deaths.push(death))
    const runs = [pool.run('one'), pool.run('two'), pool.run('three')]
    if (end === 'destroy') await Promise.all(runs)
    const ended = pool[end]()
    assert.is(((await rejectionOf(pool.run('too late'))) as Error).name, 'AbortError')
    await Promise.all([ended, ...runs])
    assert.is(log.stats().producers, 0)
    assert.is(pool.threads.length, 0)
    assert.equal(deaths, [])
    assert.is(log.durableLsn, 3)
    await log.close()
  })
}

test('destroy() also ends a worker that is busy', async () => {
  const log = await openLog(temporaryDirectory())
  const pool = createProducerPool(log, { filename: tasksUrl, maxThreads: 2 })
  const deaths: unknown[] = []
  log.on('producer-died', (death) => deaths.push(death))
  const run = rejectionOf(pool.run(null, { name: 'spinForever' }))
  while (log.durableLsn < 1) await new Promise(setImmediate)
  await pool.destroy()
  assert.match(((await run) as Error).message, /[Tt]erminat/)
  assert.equal(deaths, [])
  await log.close()
})

for (const force of [false, true]) {
  test(`close({ force: ${force} }) gives up after closeTimeout, says so, and ends the workers all the same`, async () => {
    const log = await openLog(temporaryDirectory())
    const pool = createProducerPool(log, { filename: tasksUrl, maxThreads: 1, closeTimeout: 50 })
    const run = rejectionOf(pool.run(null, { name: 'spinForever' }))
    const emitted = once(pool, 'error')
    await pool.close({ force })
    assert.match(((await emitted) as unknown as [Error])[0].message, /not finished within 50 ms/)
    assert.match(((await run) as Error).message, /[Tt]erminat/)
    assert.is(pool.threads.length, 0)
    await log.close()
  })
}

test('a worker that runs out of heap fails its own task; the others commit on', () =>
  withPool({ maxThreads: 2, resourceLimits: { maxOldGenerationSizeMb: 16 } }, async (pool, log) => {
    const died = once(log, 'producer-died')
    const doomed = rejectionOf(pool.run(null, { name: 'runOutOfMemory' }))
    let isDead = false
    void doomed.then(() => {
      isDead = true
    })
    const lsns: number[] = []
    while (!isDead) lsns.push(((await pool.run('beside')) as { lsn: number }).lsn)
    assert.is(((await doomed) as { code: string }).code, 'ERR_WORKER_OUT_OF_MEMORY')
    await died
    lsns.push(((await pool.run('after')) as { lsn: number }).lsn)
    const kept = new Set([...log.read()].map(({ lsn }) => lsn))
    for (const lsn of lsns) assert.ok(kept.has(lsn))
    assert.not(log.lastCommitFailed)
  }))

test('Piscina.move works for the task and for its result', () =>
  withPool({ maxThreads: 1 }, async (pool) => {
    const bytes = new Uint8Array([1, 2, 3])
    const result = await pool.run(Piscina.move(bytes), { name: 'move' })
    assert.equal(result, new Uint8Array([2, 3, 4]))
    assert.is(bytes.length, 0)
  }))

test('options that the pool sets itself, a bad filename and a bad name are TypeErrors', async () => {
  const log = await openLog(temporaryDirectory())
  const make = (options: object): unknown => createProducerPool(log, options as ProducerPoolOptions)
  const filename = tasksUrl
  for (const options of [
    { filename, atomics: 'sync' },
    { filename, minThreads: 1 },
    { filename, idleTimeout: 1 },
    {},
    { filename: 5 },
    { filename, name: 7 },
    null,
  ]) {
    assert.throws(
      () => make(options as object),
      (error: unknown) => error instanceof TypeError,
    )
  }
  await log.close()
})

for (const [name, value, error, limit] of [
  ['maxThreads', Number.NaN, RangeError, 'an integer from 1 to 1000'],
  ['maxThreads', Number.POSITIVE_INFINITY, RangeError, 'an integer from 1 to 1000'],
  ['maxThreads', 0, RangeError, 'an integer from 1 to 1000'],
  ['maxThreads', 1.5, RangeError, 'an integer from 1 to 1000'],
  ['maxThreads', 1001, RangeError, 'an integer from 1 to 1000'],
  ['maxThreads', null, TypeError, 'a number'],
  ['closeTimeout', Number.NaN, RangeError, '0 or more'],
  ['closeTimeout', -1, RangeError, '0 or more'],
  ['closeTimeout', null, TypeError, 'a number'],
] as const) {
  test(`${name}: ${value} is a ${error.name} that names it and the limit`, async () => {
    const log = await openLog(temporaryDirectory())
    const make = (): unknown =>
      createProducerPool(log, { filename: tasksUrl, [name]: value } as ProducerPoolOptions)
    const failure = await failureOf(make)
    assert.instance(failure, error)
    assert.is(failure.message, `${name} must be ${limit}, got ${value}`)
    await log.close()
  })
}

test('connect() without an argument outside of a pool is a typed error', () => {
  assert.throws(
    () => connect(),
    (error: unknown) => GroupWalError.is(error) && error.code === 'GROUPWAL_INVALID_HANDLE',
  )
})

test.run()
