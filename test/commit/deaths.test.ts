// @timeout 120
// Deaths of producers at chosen moments: inside the disk's calls, while waiting, with a place in the ring.

import { Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Log } from '../../src/index.ts'
import { untilCommitterSleeps } from '../support/committer-sleep.ts'
import { eventually } from '../support/eventually.ts'
import { closeAll, openFaulty } from '../support/failing-log.ts'
import { contentAfterReopen, contentOf } from '../support/log-content.ts'
import { endLeftovers, ScriptedProducer } from '../support/scripted-producer.ts'
import { StepTraps } from '../support/step-traps.ts'
import deepStackUrl from './deep-stack.worker.ts?url'
import vmTimeoutUrl from './vm-timeout.worker.ts?url'

test.after.each(endLeftovers)

type Place = 'before' | 'after' | 'in-call'

for (const stagingSlots of [1, 2]) {
  for (const operation of ['write-frame', 'sync-frame'] as const) {
    for (const place of ['before', 'after', 'in-call'] as const) {
      const title = `${stagingSlots} slots: terminate() of a leader, ${place} its ${operation}`
      test(`${title}: another writes its frame again, and it is there once`, () =>
        terminateLeader(stagingSlots, operation, place))
    }
  }
}

async function terminateLeader(
  stagingSlots: number,
  operation: 'write-frame' | 'sync-frame',
  place: Place,
): Promise<void> {
  const { log, faults, producers, directory } = await openFaulty({ stagingSlots }, 2)
  const traps = new StepTraps()
  const watcher = await ScriptedProducer.start(log, { traps })
  // Behind the seal of the new log, the committer would be rung, and may lead in the place of one who is to die.
  assert.is((await watcher.commitSync('first')).error, undefined)
  await untilCommitterSleeps(log)
  const leaders = place === 'in-call' ? producers.slice(0, 1) : producers.slice(0, stagingSlots)
  const others = [...producers.slice(leaders.length), watcher]
  const hold = faults.hold(operation, place, { times: leaders.length })
  for (const [index, leader] of leaders.entries()) {
    void leader.commitSync(`of the dead ${index}`)
    await hold.reached(index + 1)
  }
  traps.arm(0, 'none', 'timedOut')
  const waiting = others.map((other) => other.commitSync('of the living'))
  await eventually('all are published', () => log.stats().pendingRecords === leaders.length + others.length)
  const ends = leaders.map((leader) => leader.terminate())
  if (place === 'in-call') {
    // A system call is not cut short: until it returns nobody takes over, however often they look.
    const looks = traps.steps
    await eventually('it was looked at', () => traps.steps > looks + 3)
    assert.is(log.durableLsn, 1)
    hold.release()
  }
  await Promise.all(ends)
  for (const { error } of await Promise.all(waiting)) assert.is(error, undefined)
  const expected = ['first', ...leaders.map((_, index) => `of the dead ${index}`)]
  assert.equal([...contentOf(log).values()], [...expected, ...others.map(() => 'of the living')])
  assert.ok(log.stats().takeovers >= leaders.length)
  assert.is(log.stats().noops, 0)
  await closeAll(log, others)
  assert.is((await contentAfterReopen(directory)).size, 1 + leaders.length + others.length)
}

for (const place of ['with the commit-lock', 'in its write'] as const) {
  test(`a commitSync that waits for room in a full ring goes on when the leader dies ${place}`, async () => {
    const { log, faults, producers, directory } = await openFaulty({ ringBytes: 4096 }, 2)
    const [filler, waiter] = producers
    const traps = new StepTraps()
    const leader = await ScriptedProducer.start(log, { traps })
    // Else it may lead in the place of the one who is to die.
    await untilCommitterSleeps(log)
    const expected = ['of the dead']
    if (place === 'in its write') {
      const hold = faults.hold('write-frame')
      void leader.commitSync('of the dead')
      await hold.reached()
    } else {
      // The first one publishes its record, the second one takes the lock.
      traps.arm(3, 'hold', 'compareExchange')
      void leader.commitSync('of the dead')
      await traps.reached()
    }
    while ((await filler.call('tryAppend', [{ payload: 'filler' }])).value !== undefined)
      expected.push('filler')
    assert.ok(expected.length > 100, `${expected.length} records fill the ring`)
    const { fullRings } = log.stats()
    const waiting = waiter.commitSync('waits', { timeoutMs: 10_000 })
    await eventually('it finds the ring full', () => log.stats().fullRings > fullRings)
    assert.is(log.durableLsn, 0)
    await leader.terminate()
    const { value, error } = await waiting
    assert.is(error, undefined)
    expected.push('waits')
    assert.is(value!.lsn, expected.length)
    assert.equal([...contentOf(log).values()], expected)
    assert.ok(log.stats().takeovers > 0)
    await closeAll(log, producers)
    assert.equal([...(await contentAfterReopen(directory)).values()], expected)
  })
}

test('a waiter that dies as it is woken to lead does not take the wake-up with it', async () => {
  const { log, faults, producers } = await openFaulty({}, 2)
  const [leader, other] = producers
  const traps = new StepTraps()
  let victim = await ScriptedProducer.start(log, { traps })
  const expected: string[] = []
  let deaths = 0
  for (let round = 0; deaths < 4; round++) {
    assert.ok(round < 40, 'one of two waiters is woken first often enough')
    const hold = faults.hold('sync-frame')
    const led = leader.commitSync(`led ${round}`)
    await hold.reached()
    traps.arm(1, 'exit', 'woken')
    const waiting = [victim.commitSync(`dead ${round}`), other.commitSync(`other ${round}`)]
    expected.push(`led ${round}`, `dead ${round}`, `other ${round}`)
    await eventually('all are published', () => log.stats().pendingRecords === 3)
    hold.release()
    assert.is((await led).error, undefined)
    assert.is((await waiting[1]).error, undefined)
    const { error } = await waiting[0]
    if (error === undefined) continue
    deaths++
    victim = await ScriptedProducer.start(log, { traps })
  }
  traps.disarm()
  assert.equal([...contentOf(log).values()].sort(), expected.sort())
  assert.is(log.stats().noops, 0)
  await closeAll(log, [leader, other, victim])
})

test('a timeout of vm in the midst of large batches leaves whole batches or noops', async () => {
  const { log, producers, directory } = await openFaulty({ ringBytes: 1 << 20 }, 2)
  const stop = new SharedArrayBuffer(4)
  const spinners = [1, 2].map((name) => runScript(vmTimeoutUrl, { handle: log.handle, stop, name }))
  const acknowledged: [number, string][] = []
  // Until enough of them were cut off between reserving and publishing; these two are the survivors.
  while (log.stats().noops < 6) {
    for (const producer of producers) {
      const payload = `survivor ${acknowledged.length}`
      const { value, error } = await producer.commitSync(payload, { timeoutMs: 10_000 })
      assert.is(error, undefined)
      acknowledged.push([value!.lsn, payload])
    }
  }
  Atomics.store(new Int32Array(stop), 0, 1)
  for (const result of await Promise.all(spinners)) {
    assert.ok(result.timeouts > 0)
    acknowledged.push(...result.acknowledged)
  }
  // What was published by a call that was cut off is durable when something behind it is.
  assert.is((await producers[0].commitSync('last')).error, undefined)
  checkBatches(log, acknowledged)
  const content = contentOf(log)
  await closeAll(log, producers)
  assert.equal(await contentAfterReopen(directory), content)
})

function checkBatches(log: Log, acknowledged: readonly [number, string][]): void {
  const content = contentOf(log)
  for (const [lsn, payload] of acknowledged) assert.is(content.get(lsn), payload)
  // Payloads of a batch are "<name>.<batch>.<index>.<count>".
  let left: string[] = []
  for (const payload of content.values()) {
    const [name, batch, index, count] = payload.split('.')
    if (count === undefined) continue
    if (index === '0') {
      assert.is(left.length, 0)
      left = Array.from({ length: Number(count) }, (_, other) => `${name}.${batch}.${other}.${count}`)
    }
    assert.is(left.shift(), payload)
  }
  assert.is(left.length, 0)
}

test('a commit at any depth of the stack is whole or throws, and the next one succeeds', async () => {
  const { log, producers, directory } = await openFaulty({}, 1)
  const { acknowledged, overflows } = await runScript(deepStackUrl, { handle: log.handle })
  assert.ok(overflows > 0 && acknowledged.length > 0, `${overflows} overflows`)
  const survivor = await producers[0].commitSync('survivor', { timeoutMs: 10_000 })
  assert.is(survivor.error, undefined)
  const content = contentOf(log)
  for (const [lsn, payload] of acknowledged) assert.is(content.get(lsn), payload)
  assert.is(new Set(content.values()).size, content.size)
  assert.is(log.durableLsn - content.size, log.stats().noops)
  await closeAll(log, producers)
  assert.equal(await contentAfterReopen(directory), content)
})

test('the places of dead producers are used again, and only those', async () => {
  const { log, producers } = await openFaulty({ maxProducers: 3 }, 1)
  const [survivor] = producers
  for (let round = 0; round < 12; round++) {
    const traps = new StepTraps()
    const victim = await ScriptedProducer.start(log, { traps })
    // In turn with nothing, with a hole in the ring, with the commit-lock, with a staged frame.
    traps.arm([0, 4, 20, 60][round % 4], 'hold')
    const call = victim.commitSync(`victim ${round}`)
    if (round % 4 === 0) await call
    else await eventually('it holds something', () => traps.isHeld)
    await victim.terminate()
    assert.is((await survivor.commitSync('survivor', { timeoutMs: 10_000 })).error, undefined)
  }
  const living = [await ScriptedProducer.start(log), await ScriptedProducer.start(log)]
  const refusal = await ScriptedProducer.start(log).then(
    () => 'one too many',
    (error: Error) => error.message,
  )
  assert.match(refusal, 'all 3 places for producers are taken')
  await living[0].close()
  living[0] = await ScriptedProducer.start(log)
  await closeAll(log, [survivor, ...living])
})

interface ScriptResult {
  acknowledged: [number, string][]
  overflows: number
  timeouts: number
}

/** Runs a worker to its end; resolves with the message it sent. */
function runScript(url: URL, workerData: object): Promise<ScriptResult> {
  const worker = new Worker(url, { workerData })
  return new Promise((resolve, reject) => {
    let result: ScriptResult
    worker.on('message', (message: ScriptResult) => {
      result = message
    })
    worker.once('error', reject)
    worker.once('exit', () => resolve(result))
  })
}

test.run()
