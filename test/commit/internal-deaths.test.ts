// @timeout 120
// The log goes on without its internal workers.

import { once } from 'node:events'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Log, type OpenOptions, openLog } from '../../src/index.ts'
import { untilCommitterSleeps } from '../support/committer-sleep.ts'
import { eventually } from '../support/eventually.ts'
import { checkFailure, closeAll, errorOf, openFaulty, rejectionOf } from '../support/failing-log.ts'
import { Faults } from '../support/faults.ts'
import { internalWorker } from '../support/internal-threads.ts'
import { contentAfterReopen, contentOf } from '../support/log-content.ts'
import { endLeftovers, ScriptedProducer } from '../support/scripted-producer.ts'
import { StepTraps } from '../support/step-traps.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

test.after.each(endLeftovers)

const LARGE = 'x'.repeat(300 * 1024)
const SETTINGS: OpenOptions = { segmentBytes: 1 << 20, sealIdleMs: 0, syncMethod: 'fdatasync' }

test('without the committer every kind of commit goes on, and its death is told', async () => {
  const { log, producers, directory } = await openFaulty({}, 1)
  const [producer] = producers
  const inHost = log.connect()
  const died = once(log, 'worker-died')
  await internalWorker('committer').terminate()
  assert.is((await died)[0].name, 'committer')
  await commitInEveryWay(log, producer, 'one')
  assert.is((await inHost.commit({ payload: 'in the host' })).durable, true)
  inHost.append({ payload: 'in the host' })
  await inHost.flush()
  await commitInEveryWay(log, producer, 'two')
  const content = contentOf(log)
  assert.is(content.size, 12)
  await closeAll(log, producers)
  assert.equal(await contentAfterReopen(directory), content)
})

async function commitInEveryWay(log: Log, producer: ScriptedProducer, name: string): Promise<void> {
  const { durableLsn } = log
  assert.is((await producer.commit(`${name} commit`)).error, undefined)
  assert.is((await producer.commitSync(`${name} commitSync`)).error, undefined)
  assert.is((await producer.append(`${name} append`)).error, undefined)
  assert.is((await producer.call('flush', [])).error, undefined)
  assert.is((await producer.commitBatchSync([`${name} batch`, `${name} batch`])).error, undefined)
  assert.is(log.durableLsn, durableLsn + 5)
}

for (const stagingSlots of [1, 2]) {
  test(`${stagingSlots} slots: at whatever step the committer dies, the promises that wait for it settle`, async () => {
    const stride = process.env.ALL_STEPS ? 1 : 20
    let step = 1
    while (await committerDiesAt(step, { stagingSlots })) step += stride
    assert.ok(step > 40, `leading has more steps than ${step}`)
  })
}

async function committerDiesAt(step: number, options: OpenOptions): Promise<boolean> {
  const traps = new StepTraps()
  const faults = new Faults({ worker: 'committer', traps })
  const directory = temporaryDirectory()
  const log = await openLog(directory, { ...SETTINGS, ...options, fileSystem: faults.fileSystem })
  const producer = await ScriptedProducer.start(log)
  // Its first round, with all that is done only once, is behind it. An append waits for it to lead, however late its
  // thread starts: for a promise its own thread would lead meanwhile.
  assert.is((await producer.append('before')).error, undefined)
  await eventually('the committer has led', () => log.durableLsn === 1)
  await untilCommitterSleeps(log)
  const died = once(log, 'worker-died')
  traps.arm(step, step % 2 === 0 ? 'exit' : 'throw')
  const results = await Promise.all([1, 2, 3].map((name) => producer.commit(`pending ${name}`)))
  for (const { error } of results) assert.is(error, undefined)
  const isDead = traps.isSprung
  if (isDead) await died
  traps.disarm()
  assert.is((await producer.commit('after')).error, undefined)
  const payloads = [...contentOf(log).values()]
  assert.equal(payloads, ['before', 'pending 1', 'pending 2', 'pending 3', 'after'])
  await closeAll(log, [producer])
  assert.is((await contentAfterReopen(directory)).size, 5)
  return isDead
}

for (const operation of [
  'write-other',
  'sync-other',
  'write-header',
  'sync-header',
  'rename',
  'sync-directory',
] as const) {
  for (const place of ['before', 'after'] as const) {
    test(`the segment-keeper dies ${place} its ${operation}: leaders make room in its place`, async () => {
      const { log, faults, producers, directory } = await openFaulty({}, 1)
      const [producer] = producers
      const hold = faults.hold(operation, place)
      const commits = Promise.all(Array.from({ length: 12 }, () => producer.commitSync(LARGE)))
      await hold.reached()
      const died = once(log, 'worker-died')
      await internalWorker('keeper').terminate()
      assert.is((await died)[0].name, 'segment-keeper')
      for (const { error } of await commits) assert.is(error, undefined, error?.stack)
      assert.is((await rejectionOf(log.truncateBefore(5))).code, 'GROUPWAL_WORKER_DIED')
      const { segmentSequence } = log.stats()
      await closeAll(log, producers)
      const content = await contentAfterReopen(directory)
      assert.is(content.size, 12)
      assert.ok(segmentSequence >= 4)
    })
  }
}

test('an exception in the segment-keeper, for whose room a leader waits, is no failure of the disk', async () => {
  for (let step = 1; step <= 26; step += 5) {
    const traps = new StepTraps()
    const faults = new Faults({ worker: 'segment-keeper', traps })
    const log = await openLog(temporaryDirectory(), { ...SETTINGS, fileSystem: faults.fileSystem })
    const producer = await ScriptedProducer.start(log)
    const died = once(log, 'worker-died')
    const hold = faults.hold('write-other')
    const commits = Promise.all(Array.from({ length: 12 }, () => producer.commitSync(LARGE)))
    await hold.reached()
    await eventually('somebody waits for room', () => log.stats().roomWaits > 0)
    traps.arm(step, 'throw')
    hold.release()
    for (const { error } of await commits) assert.is(error, undefined, error?.stack)
    assert.is((await died)[0].name, 'segment-keeper')
    await closeAll(log, [producer])
  }
})

test('after the segment-keeper died in its work a failed log can be resumed', async () => {
  const { log, faults, producers, directory } = await openFaulty({}, 1)
  const [producer] = producers
  const hold = faults.hold('sync-other')
  const commits = Promise.all(Array.from({ length: 4 }, () => producer.commitSync(LARGE)))
  await hold.reached()
  await internalWorker('keeper').terminate()
  await commits
  faults.fail('write-frame', { code: 'EIO' })
  checkFailure(errorOf(await producer.commitSync('failed')), 'indeterminate', 'EIO')
  await log.resume()
  for (let index = 0; index < 8; index++) assert.is((await producer.commitSync(LARGE)).error, undefined)
  await closeAll(log, producers)
  assert.is((await contentAfterReopen(directory)).size, 12)
})

test.run()
