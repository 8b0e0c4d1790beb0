import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Producer } from '../../src/index.ts'
import { Gate } from '../support/gate.ts'
import { openSmallLog, textsOf } from '../support/small-log.ts'

const BEFORE = 'as it was when the call was made'

/** Each way to hand over bytes; the caller overwrites them as soon as the call is back. */
const CALLS: [string, (producer: Producer, payload: Uint8Array) => unknown][] = [
  ['append', (producer, payload) => producer.append({ payload })],
  ['tryAppend', (producer, payload) => producer.tryAppend({ payload })],
  ['commit', (producer, payload) => producer.commit({ payload })],
  ['commitBatch', (producer, payload) => producer.commitBatch([{ payload }, { payload }])],
]

const KINDS: [string, (text: string) => Uint8Array][] = [
  ['a Uint8Array', (text) => new TextEncoder().encode(text)],
  ['a Buffer, whose slice() copies nothing', (text) => Buffer.from(text)],
  ['a view into the midst of a larger buffer', (text) => Buffer.from(`<<<${text}>>>`).subarray(3, -3)],
  ['bytes of shared memory', (text) => fillShared(text)],
]

for (const [kind, make] of KINDS) {
  test(`${kind}, overwritten after the call, is stored as it was before`, async () => {
    const log = await openSmallLog()
    const producer = log.connect()
    for (const [, call] of CALLS) {
      const payload = make(BEFORE)
      call(producer, payload)
      payload.fill(120)
    }
    await producer.flush()
    assert.equal(
      textsOf(log),
      Array.from({ length: 5 }, () => BEFORE),
    )
    await log.close()
  })

  test(`${kind}, overwritten while the commit waits for ring space, is stored as it was before`, async () => {
    const gate = new Gate()
    const log = await openSmallLog({ ringBytes: 4096, fileSystem: gate.fileSystem })
    const producer = log.connect()
    const fillers = await fillRing(producer, gate)
    const payload = make(BEFORE)
    const commits = [producer.commit({ payload }), producer.commitBatch([{ payload }, { payload }])]
    payload.fill(120)
    gate.open()
    await Promise.all(commits)
    assert.equal(textsOf(log).slice(fillers), [BEFORE, BEFORE, BEFORE])
    await log.close()
  })
}

test('a large payload, encoded straight into the ring, is copied too', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  const payload = Buffer.alloc(100_000, 'a')
  const committed = producer.commit({ payload })
  payload.fill('b')
  await committed
  assert.is(textsOf(log)[0], 'a'.repeat(100_000))
  await log.close()
})

test('strings of one batch do not overwrite each other', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  producer.commitBatchSync([{ payload: 'first' }, { payload: 'second, longer' }, { payload: '' }])
  assert.equal(textsOf(log), ['first', 'second, longer', ''])
  await log.close()
})

test('records that are read own their bytes: neither reading on nor changing one touches another', async () => {
  const log = await openSmallLog()
  const producer = log.connect()
  for (let index = 0; index < 100; index++) producer.append({ payload: `record ${index}` })
  await producer.flush()
  const records = [...log.read()]
  for (const [index, { payload }] of records.entries()) {
    assert.is(Buffer.from(payload).toString(), `record ${index}`)
    payload.fill(0)
  }
  assert.is(new Set(records.map(({ payload }) => payload.buffer)).size, 100)
  assert.is(textsOf(log)[42], 'record 42')
  await log.close()
})

/** Shuts the gate with one frame before it, then fills the ring behind that; returns how many records it took. */
async function fillRing(producer: Producer, gate: Gate): Promise<number> {
  gate.shut()
  producer.append({ payload: 'held' })
  await gate.untilHeld(1)
  let count = 1
  while (producer.tryAppend({ payload: 'filler' }) !== undefined) count++
  return count
}

function fillShared(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text)
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length))
  shared.set(bytes)
  return shared
}

test.run()
