// Rings that wrap again and again, and numbers near the ends of their words.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Log, type OpenOptions, openLog } from '../../src/index.ts'
import { untilCommitterSleeps } from '../support/committer-sleep.ts'
import { closeAll } from '../support/failing-log.ts'
import { contentAfterReopen, contentOf } from '../support/log-content.ts'
import { checkRescues } from '../support/rescues.ts'
import { endLeftovers, ScriptedProducer } from '../support/scripted-producer.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

test.after.each(endLeftovers)

/** 128 granules; at most 64 of them in one reservation. */
const TINY: OpenOptions = { ringBytes: 4096, segmentBytes: 1 << 20 }
/** The last LSN that is handed out, see docs. */
const LSN_LIMIT = Number.MAX_SAFE_INTEGER - 2 ** 28

for (const firstLsn of [2 ** 31 - 300, 2 ** 32 - 300, 2 ** 33 - 300, LSN_LIMIT - 1000]) {
  for (const stagingSlots of [1, 2]) {
    test(`LSNs from ${firstLsn} on, ${stagingSlots} slots: producers of every kind keep their order through the wrap`, () =>
      commitInEveryWay({ ...TINY, firstLsn, stagingSlots }, firstLsn))
  }
}

for (const ringPosition of [2 ** 31 - 500, 2 ** 32 - 500]) {
  test(`ring positions from ${ringPosition} on: producers of every kind keep their order through the wrap`, () =>
    commitInEveryWay({ ...TINY, ringPosition }, 1))
}

for (const end of [2 ** 31, 2 ** 32]) {
  test(`one frame takes records from both ends of the ring where its positions pass ${end}`, async () => {
    const log = await openLog(temporaryDirectory(), { ...TINY, ringPosition: end - 5 })
    const producer = log.connect()
    // Else its thread may start in the midst of this turn, and take a part of them.
    await untilCommitterSleeps(log)
    // One granule each; the committer is rung when this turn has ended, and takes all of them.
    const payloads = Array.from({ length: 10 }, (_, index) => String(index))
    await Promise.all(payloads.map((payload) => producer.commit({ payload })))
    assert.is(log.stats().frames, 1)
    assert.equal([...contentOf(log).values()], payloads)
    producer.close()
    await log.close()
  })
}

const ROUNDS = 30
/** Of each round of a worker: two commits, a batch of three, a promise, an append. */
const RECORDS_PER_ROUND = 7

async function commitInEveryWay(options: OpenOptions, firstLsn: number): Promise<void> {
  const directory = temporaryDirectory()
  const log = await openLog(directory, options)
  const producers = await ScriptedProducer.startMany(log, 3)
  await Promise.all(producers.map((producer, name) => commitRounds(producer, name)))
  const total = ROUNDS * RECORDS_PER_ROUND * producers.length
  assert.is(log.durableLsn, firstLsn + total - 1)
  checkOrder(log, firstLsn, total)
  checkRescues(log.stats().recheckRescues)
  const content = contentOf(log)
  await closeAll(log, producers)
  assert.equal(await contentAfterReopen(directory, options), content)
  const again = await openLog(directory, options)
  const producer = again.connect()
  assert.is(producer.commitSync({ payload: 'again' }).lsn, firstLsn + total)
  producer.flushSync(firstLsn + 5)
  producer.close()
  await again.close()
}

async function commitRounds(producer: ScriptedProducer, name: number): Promise<void> {
  let count = 0
  const payload = (): string => `${name}.${count++}.`.padEnd(10 + ((count * 37) % 300), '.')
  for (let round = 0; round < ROUNDS; round++) {
    const calls = [
      producer.commitSync(payload()),
      producer.commit(payload()),
      producer.commitBatchSync([payload(), payload(), payload()]),
      producer.append(payload()),
      producer.commitSync(payload()),
    ]
    for (const { error } of await Promise.all(calls)) assert.is(error, undefined, error?.stack)
  }
  assert.is((await producer.flushSync()).error, undefined)
}

/** Every record once, LSNs without holes, and each producer's records in the order of its calls. */
function checkOrder(log: Log, firstLsn: number, total: number): void {
  const content = contentOf(log)
  assert.is(content.size, total)
  const next = new Map<string, number>()
  let lsn = firstLsn
  for (const [own, payload] of content) {
    assert.is(own, lsn++)
    const [name, index] = payload.split('.')
    assert.is(Number(index), next.get(name) ?? 0, `producer ${name}`)
    next.set(name, Number(index) + 1)
  }
}

test('reading from an LSN works on both sides of 2^31 and 2^32', async () => {
  for (const middle of [2 ** 31, 2 ** 32]) {
    const log = await openLog(temporaryDirectory(), { ...TINY, firstLsn: middle - 10 })
    const producer = log.connect()
    for (let index = 0; index < 20; index++) producer.commitSync({ payload: `${index}` })
    for (let index = 0; index < 20; index++) {
      const [record] = log.read({ fromLsn: middle - 10 + index })
      assert.is(Buffer.from(record.payload).toString(), `${index}`)
    }
    producer.close()
    await log.close()
  }
})

test('the last LSN of a log is handed out, and no later one; what is there stays readable', async () => {
  const directory = temporaryDirectory()
  const log = await openLog(directory, { ...TINY, firstLsn: LSN_LIMIT - 5 })
  const producer = log.connect()
  const lsns: number[] = []
  const codes = new Set<string | undefined>()
  for (let index = 0; index < 12; index++) {
    try {
      lsns.push(producer.commitSync({ payload: `${index}` }).lsn)
    } catch (error) {
      codes.add((error as { code?: string }).code)
    }
  }
  assert.ok(lsns.length >= 5)
  assert.equal(
    lsns,
    lsns.map((_, index) => LSN_LIMIT - 5 + index),
  )
  assert.equal([...codes], ['GROUPWAL_LSN_EXHAUSTED'])
  const promised = await producer.commit({ payload: 'promised' }).catch((error) => error.code)
  assert.is(promised, 'GROUPWAL_LSN_EXHAUSTED')
  assert.is(contentOf(log).size, lsns.length)
  producer.close()
  await log.close()
})

test.run()
