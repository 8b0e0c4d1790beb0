import { once } from 'node:events'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Log, type OpenOptions, type Producer, WaitGivenUpError } from '../../src/index.ts'
import { eventually } from '../support/eventually.ts'
import { Gate } from '../support/gate.ts'
import { failureOf, failureWith } from '../support/rejection.ts'
import { RemoteProducer } from '../support/remote-producer.ts'
import { openSmallLog, textsOf } from '../support/small-log.ts'

/** Long enough for the call to come that far, short enough not to be waited for. */
const SOON = { timeoutMs: 5 }

test('a commit that times out gives up the wait, not the record: it is indeterminate, and durable later', async () => {
  await withHeldDisk({}, async ({ log, gate, producer }) => {
    const failure = await failureWith('GROUPWAL_TIMEOUT', producer.commit({ payload: 'late' }, SOON))
    assert.instance(failure, WaitGivenUpError)
    assert.equal([failure.outcome, failure.lsn], ['indeterminate', 2])
    gate.open()
    await producer.flush()
    assert.equal(textsOf(log), ['held', 'late'])
  })
})

test('a commitBatch that times out is indeterminate as a whole, and the error names its first LSN', async () => {
  await withHeldDisk({}, async ({ log, gate, producer }) => {
    const records = [{ payload: 'b1' }, { payload: 'b2' }]
    const failure = await failureWith('GROUPWAL_TIMEOUT', producer.commitBatch(records, SOON))
    assert.equal([failure.outcome, failure.lsn], ['indeterminate', 2])
    gate.open()
    await producer.flush()
    assert.equal(textsOf(log), ['held', 'b1', 'b2'])
  })
})

test('a commit that times out before it has a place is withdrawn: not written, no LSN, never in the log', async () => {
  await withHeldDisk({ ringBytes: 4096 }, async ({ log, gate, producer }) => {
    const filled = fillRing(producer)
    const withdrawn = await Promise.all([
      failureWith('GROUPWAL_TIMEOUT', producer.commit({ payload: 'withdrawn' }, SOON)),
      failureWith('GROUPWAL_TIMEOUT', producer.commitBatch([{ payload: 'withdrawn' }], SOON)),
    ])
    for (const { outcome, lsn } of withdrawn) assert.equal([outcome, lsn], ['not-written', undefined])
    const staying = producer.commit({ payload: 'stays' })
    gate.open()
    assert.is((await staying).lsn, filled + 1)
    assert.not.ok(textsOf(log).includes('withdrawn'))
  })
})

test('an aborted signal gives up the wait of commit, commitBatch and flush, and its reason is the cause', async () => {
  await withHeldDisk({}, async ({ log, gate, producer }) => {
    const abort = new AbortController()
    const options = { signal: abort.signal }
    const failures = [
      failureWith('GROUPWAL_ABORTED', producer.commit({ payload: 'one' }, options)),
      failureWith('GROUPWAL_ABORTED', producer.commitBatch([{ payload: 'two' }], options)),
      failureWith('GROUPWAL_ABORTED', producer.flush(undefined, options)),
    ]
    const reason = new Error('the user left')
    abort.abort(reason)
    for (const failure of await Promise.all(failures)) {
      assert.is(failure.cause, reason)
      assert.is(failure.outcome, 'indeterminate')
    }
    gate.open()
    await producer.flush()
    assert.equal(textsOf(log), ['held', 'one', 'two'])
  })
})

test('a commit whose signal was aborted before is not written and takes no LSN', async () => {
  await withHeldDisk({}, async ({ gate, producer }) => {
    const failure = await failureWith(
      'GROUPWAL_ABORTED',
      producer.commit({ payload: 'never' }, { signal: AbortSignal.abort() }),
    )
    assert.equal([failure.outcome, failure.lsn], ['not-written', undefined])
    gate.open()
    assert.is((await producer.commit({ payload: 'next' })).lsn, 2)
  })
})

/** With it a promise could be settled, but none behind it. */
const HALF_SIGNAL = { aborted: false, addEventListener: () => {} }

test('a signal that throws when its listener is taken off holds up no other promise', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  const thrown = once(process, 'uncaughtException')
  const removeEventListener = (): void => {
    throw new Error('not taken off')
  }
  const signal = { ...HALF_SIGNAL, removeEventListener } as unknown as AbortSignal
  const first = producer.commit({ payload: 'first' }, { signal })
  const second = producer.commit({ payload: 'second' }, { timeoutMs: 2000 })
  assert.equal([(await first).lsn, (await second).lsn], [1, 2])
  assert.is((await thrown)[0].message, 'not taken off')
  await log.close()
})

test('what is no signal is a TypeError that says what it is, and nothing is written', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  for (const wrong of [new AbortController(), null, 5, 'abort', {}, { aborted: false }, HALF_SIGNAL]) {
    const options = { signal: wrong as AbortSignal }
    for (const call of [
      () => producer.commit({ payload: 'x' }, options),
      () => producer.commitBatch([{ payload: 'x' }], options),
      () => producer.flush(undefined, options),
    ]) {
      const error = await call().then(
        () => undefined,
        (reason: unknown) => reason,
      )
      assert.instance(error, TypeError, String(wrong))
      assert.match((error as Error).message, 'signal must be an AbortSignal, got ')
    }
  }
  assert.is(log.stats().pendingRecords, 0)
  assert.is(producer.lastLsn, 0)
  await log.close()
})

test('a signal aborted while the commit waits for space withdraws it', async () => {
  await withHeldDisk({ ringBytes: 4096 }, async ({ log, gate, producer }) => {
    fillRing(producer)
    const abort = new AbortController()
    const failed = failureWith(
      'GROUPWAL_ABORTED',
      producer.commit({ payload: 'withdrawn' }, { signal: abort.signal }),
    )
    const other = producer.commit({ payload: 'stays' })
    abort.abort()
    assert.is((await failed).outcome, 'not-written')
    gate.open()
    await other
    assert.not.ok(textsOf(log).includes('withdrawn'))
  })
})

test('flush times out without harm to the records, also while commits wait for space', async () => {
  await withHeldDisk({ ringBytes: 4096 }, async ({ gate, producer }) => {
    assert.is((await failureWith('GROUPWAL_TIMEOUT', producer.flush(undefined, SOON))).lsn, 1)
    const filled = fillRing(producer)
    const queued = producer.commit({ payload: 'queued' })
    await failureWith('GROUPWAL_TIMEOUT', producer.flush(undefined, SOON))
    await failureWith('GROUPWAL_ABORTED', producer.flush(undefined, { signal: AbortSignal.timeout(5) }))
    gate.open()
    assert.is((await queued).lsn, filled + 1)
    await producer.flush()
  })
})

test('blocking calls time out alike: published is indeterminate, without a place it is not written', async () => {
  await withHeldDisk({ ringBytes: 4096 }, async ({ log, gate }) => {
    const remote = await RemoteProducer.connect(log.handle)
    const published = await remote.fails('commitSync', { payload: 'late' }, SOON)
    assert.equal([published.code, published.outcome, published.lsn], ['GROUPWAL_TIMEOUT', 'indeterminate', 2])
    const batch = await remote.fails('commitBatchSync', [{ payload: 'b1' }, { payload: 'b2' }], SOON)
    assert.equal([batch.code, batch.outcome, batch.lsn], ['GROUPWAL_TIMEOUT', 'indeterminate', 3])
    const flushed = await remote.fails('flushSync', undefined, SOON)
    assert.equal([flushed.code, flushed.lsn], ['GROUPWAL_TIMEOUT', 4])
    let filled = 4
    while ((await remote.call('tryAppend', { payload: 'filler' })) !== undefined) filled++
    for (const method of ['commitSync', 'append'] as const) {
      const refused = await remote.fails(method, { payload: 'withdrawn' }, SOON)
      assert.equal(
        [refused.code, refused.outcome, refused.lsn],
        ['GROUPWAL_TIMEOUT', 'not-written', undefined],
      )
    }
    gate.open()
    assert.is((await remote.call('commitSync', { payload: 'next' })).lsn, filled + 1)
    assert.equal(textsOf(log).slice(0, 4), ['held', 'late', 'b1', 'b2'])
    assert.not.ok(textsOf(log).includes('withdrawn'))
    await remote.end()
  })
})

test('a blocking call that times out leaves the commits that wait before it in their order', async () => {
  await withHeldDisk({ ringBytes: 4096 }, async ({ log, gate }) => {
    const remote = await RemoteProducer.connect(log.handle)
    while ((await remote.call('tryAppend', { payload: 'filler' })) !== undefined);
    const queued = [remote.call('commit', { payload: 'q1' }), remote.call('commit', { payload: 'q2' })]
    assert.is((await remote.fails('append', { payload: 'gives up' }, SOON)).outcome, 'not-written')
    const flush = await remote.fails('flushSync', undefined, SOON)
    assert.equal([flush.code, flush.outcome], ['GROUPWAL_TIMEOUT', 'indeterminate'])
    gate.open()
    await Promise.all(queued)
    assert.equal(textsOf(log).slice(-2), ['q1', 'q2'])
    await remote.end()
  })
})

test('a timeout of 0 gives up at once, Infinity and a month never', async () => {
  await withHeldDisk({}, async ({ gate, producer }) => {
    await failureWith('GROUPWAL_TIMEOUT', producer.commit({ payload: 'at once' }, { timeoutMs: 0 }))
    const patient = [Number.POSITIVE_INFINITY, 31 * 86_400_000].map((timeoutMs) =>
      producer.commit({ payload: `${timeoutMs}` }, { timeoutMs }),
    )
    await failureWith('GROUPWAL_TIMEOUT', producer.flush(undefined, SOON))
    gate.open()
    await Promise.all(patient)
  })
})

test('a timeout that is no number of milliseconds is refused, and nothing is written', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  const wrong: [unknown, new () => Error][] = [
    [-1, RangeError],
    [Number.NaN, RangeError],
    ['5', TypeError],
    [null, TypeError],
  ]
  for (const [value, type] of wrong) {
    const options = { timeoutMs: value as number }
    const calls: (() => unknown)[] = [
      () => producer.commit({ payload: 'x' }, options),
      () => producer.commitBatch([{ payload: 'x' }], options),
      () => producer.commitSync({ payload: 'x' }, options),
      () => producer.commitBatchSync([{ payload: 'x' }], options),
      () => producer.append({ payload: 'x' }, options),
      () => producer.flush(undefined, options),
      () => producer.flushSync(undefined, options),
    ]
    for (const call of calls) {
      const failure = await failureOf(call)
      assert.instance(failure, type, `${call} with ${String(value)}: ${failure}`)
    }
  }
  assert.is(producer.commitSync({ payload: 'first' }).lsn, 1)
  await log.close()
})

test('a call that is refused leaves no timer and no listener behind', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  producer.close()
  const { signal } = new AbortController()
  const listeners = countListeners(signal)
  const timersBefore = countTimers()
  for (const call of [
    () => producer.commit({ payload: 'x' }, { timeoutMs: 600_000, signal }),
    () => producer.commitBatch([{ payload: 'x' }], { timeoutMs: 600_000, signal }),
    () => producer.flush(undefined, { timeoutMs: 600_000, signal }),
  ]) {
    await failureWith('GROUPWAL_CLOSED', call)
  }
  assert.is(countTimers(), timersBefore)
  assert.is(listeners.count, 0)
  await log.close()
})

test('a settled commit leaves no timer and no listener behind', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  const { signal } = new AbortController()
  const listeners = countListeners(signal)
  const timersBefore = countTimers()
  await Promise.all([
    producer.commit({ payload: 'x' }, { timeoutMs: 600_000, signal }),
    producer.commitBatch([{ payload: 'x' }], { timeoutMs: 600_000, signal }),
    producer.flush(undefined, { timeoutMs: 600_000, signal }),
  ])
  await eventually('the guard of pending promises is gone', () => countTimers() <= timersBefore)
  assert.is(listeners.count, 0)
  await log.close()
})

test('a flush that was given up leaves it to a later one to tell that an append failed', async () => {
  for (const giveUp of ['flush', 'flushSync'] as const) {
    await withHeldDisk({}, async ({ log, gate }) => {
      const remote = await RemoteProducer.connect(log.handle)
      const lsn = await remote.call('append', { payload: 'fails' })
      assert.is((await remote.fails(giveUp, undefined, SOON)).code, 'GROUPWAL_TIMEOUT')
      const failed = once(log, 'failed')
      gate.openBroken()
      await failed
      gate.mend()
      await log.resume()
      await remote.call('commit', { payload: 'goes well' })
      const told = await remote.fails('flush')
      assert.equal([told.code, told.lsn, told.causeCode], ['GROUPWAL_COMMIT_FAILED', lsn, 'EIO'])
      await remote.call('flush')
      await remote.end()
    })
  }
})

test('a flush of what is durable settles at once, whatever else is pending', async () => {
  await withoutTimers(async () => {
    await withHeldDisk({}, async ({ gate, producer }) => {
      gate.letThrough()
      await producer.flush(1)
      const pending = producer.commit({ payload: 'pending' })
      await gate.untilHeld(2)
      await producer.flush(1)
      gate.open()
      await pending
    })
  })
})

test('a flush is woken at its own LSN, though this thread waits for a newer one already', async () => {
  await withoutTimers(async () => {
    await withHeldDisk({}, async ({ gate, producer }) => {
      const newer = producer.commit({ payload: 'newer' })
      // The thread waits for the newer one when its turn has ended.
      await new Promise((resolve) => setImmediate(resolve))
      const flushed = producer.flush(1)
      gate.letThrough()
      await gate.untilHeld(2)
      await flushed
      gate.open()
      await newer
    })
  })
})

test('a sync that lasts over stallWarnMs emits stalled, once, and says how long it lasts', async () => {
  const stalls: number[] = []
  let told: Promise<unknown> | undefined
  const listen = (log: Log) => {
    log.on('stalled', ({ lastsMs }) => stalls.push(lastsMs))
    told = once(log, 'stalled')
  }
  await withHeldDisk(
    { stallWarnMs: 20 },
    async ({ gate, producer }) => {
      const committed = producer.commit({ payload: 'waits' })
      await told
      // As long as some more of its looks take.
      await failureWith('GROUPWAL_TIMEOUT', producer.flush(undefined, { timeoutMs: 60 }))
      assert.is(stalls.length, 1)
      assert.ok(stalls[0] >= 20, `${stalls[0]} ms`)
      gate.open()
      await committed
    },
    listen,
  )
})

interface HeldDisk {
  log: Log
  gate: Gate
  producer: Producer
}

/** A log whose disk stands still in the midst of its first frame. */
async function withHeldDisk(
  options: OpenOptions,
  run: (held: HeldDisk) => Promise<void>,
  listen: (log: Log) => void = () => {},
): Promise<void> {
  const gate = new Gate()
  const log = await openSmallLog({ ...options, fileSystem: gate.fileSystem })
  listen(log)
  const producer = log.connect()
  gate.shut()
  producer.append({ payload: 'held' })
  await gate.untilHeld(1)
  try {
    await run({ log, gate, producer })
  } finally {
    gate.open()
    producer.close()
    await log.close()
  }
}

/** Returns the LSN of the last record that found a place. */
function fillRing(producer: Producer): number {
  let filled = producer.lastLsn
  for (let lsn: number | undefined = filled; lsn !== undefined; lsn = producer.tryAppend({ payload: 'f' })) {
    filled = lsn
  }
  return filled
}

/** Lets no interval of this thread's producers fire: whatever happens does so because somebody was woken. */
async function withoutTimers(run: () => Promise<void>): Promise<void> {
  const { setInterval } = globalThis
  globalThis.setInterval = ((_: unknown, ms: number) => setInterval(() => {}, ms)) as typeof setInterval
  try {
    await run()
  } finally {
    globalThis.setInterval = setInterval
  }
}

function countTimers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
}

/** How many listeners the signal has, counted at its two methods. */
function countListeners(signal: AbortSignal): { count: number } {
  const listeners = { count: 0 }
  for (const [name, step] of [
    ['addEventListener', 1],
    ['removeEventListener', -1],
  ] as const) {
    const original = signal[name].bind(signal) as (...args: unknown[]) => void
    signal[name] = ((...args: unknown[]) => {
      listeners.count += step
      original(...args)
    }) as never
  }
  return listeners
}

test.run()
