import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Log, Producer } from '../../src/index.ts'
import { failureOf } from '../support/rejection.ts'
import { openSmallLog, textsOf } from '../support/small-log.ts'

test('a payload getter that commits by the same producer does not alter the fields of its own record', async () => {
  await withProducer({}, async (log, producer) => {
    const record = {
      recordType: 7,
      tenantId: 70,
      get payload(): string {
        producer.append({ recordType: 8, tenantId: 80, payload: 'inner' })
        return 'outer'
      },
    }
    await producer.commit(record)
    const found = [...log.read()].map((each) => [each.recordType, each.tenantId])
    assert.equal(found, [
      [8, 80],
      [7, 70],
    ])
  })
})

test('an option that commits by the same producer when it is read does not alter the record', async () => {
  await withProducer({}, async (log, producer) => {
    const options = {
      get timeoutMs(): number {
        producer.append({ payload: 'inner' })
        return 10_000
      },
    }
    await producer.commit({ payload: 'outer' }, options)
    assert.is(textsOf(log).at(-1), 'outer')
  })
})

test('a commitBatch reads each payload once, and takes it as it was then', async () => {
  await withProducer({}, async (log, producer) => {
    let reads = 0
    const record = {
      get payload(): string | Uint8Array {
        return reads++ === 0 ? 'first' : Buffer.from('other')
      },
    }
    await producer.commitBatch([record, { payload: 'second' }])
    assert.is(reads, 1)
    assert.equal(textsOf(log), ['first', 'second'])
  })
})

test('a signal that is aborted while the record is read withdraws it', async () => {
  await withProducer({}, async (log, producer) => {
    const abort = new AbortController()
    const record = {
      get payload(): string {
        abort.abort()
        return 'never'
      },
    }
    const failure = await failureOf(producer.commit(record, { signal: abort.signal }))
    assert.equal([failure.code, failure.outcome], ['GROUPWAL_ABORTED', 'not-written'])
    assert.equal(textsOf(log), [])
  })
})

test('a payload that a later record of its batch shortens is refused, and nothing is written', async () => {
  await withProducer({}, async (log, producer) => {
    await producer.commit({ payload: 's'.repeat(200) })
    const buffer: ResizableBuffer = Reflect.construct(ArrayBuffer, [200, { maxByteLength: 200 }])
    const bytes = new Uint8Array(buffer)
    const later = {
      get payload(): string {
        buffer.resize(1)
        return 'later'
      },
    }
    assert.instance(await failureOf(producer.commitBatch([{ payload: bytes }, later])), TypeError)
    assert.equal(textsOf(log), ['s'.repeat(200)])
  })
})

for (const length of [-4096, Number.NaN, 0.5, 2, 1e9]) {
  test(`the bytes of a payload are stored whole, also when its class says that its length is ${length}`, async () => {
    class Odd extends Uint8Array {
      override get length(): number {
        return length
      }
    }
    await withProducer({}, async (log, producer) => {
      await producer.commit({ payload: new Odd(Buffer.from('whole')) })
      await producer.commit({ payload: 'next' })
      assert.equal(textsOf(log), ['whole', 'next'])
    })
  })
}

test('the bytes of a payload are stored whole, also when it has a length of its own', async () => {
  await withProducer({}, async (log, producer) => {
    for (const byteLength of [5, 100, 6000]) {
      const payload = Buffer.alloc(byteLength, 'x')
      Object.defineProperty(payload, 'length', { value: 2 })
      await producer.commit({ payload })
      assert.is(textsOf(log).at(-1), 'x'.repeat(byteLength))
    }
  })
})

test('a commit that waits for ring space keeps the bytes of a payload whose class has a subarray of its own', async () => {
  class Odd extends Uint8Array {
    override subarray(): Uint8Array<ArrayBuffer> {
      return new Uint8Array(1)
    }
  }
  await withProducer({ ringBytes: 4096 }, async (log, producer) => {
    const commits: Promise<unknown>[] = []
    for (let index = 0; index < 50; index++) {
      commits.push(producer.commit({ payload: new Odd(Buffer.alloc(300, 'x')) }))
    }
    await Promise.all(commits)
    for (const text of textsOf(log)) assert.is(text.length, 300)
  })
})

/** Not in the types of the language version that is compiled to. */
type ResizableBuffer = ArrayBuffer & { resize(byteLength: number): void }

async function withProducer(
  options: object,
  body: (log: Log, producer: Producer) => Promise<void>,
): Promise<void> {
  const log = await openSmallLog(options)
  const producer = log.connect()
  try {
    await body(log, producer)
  } finally {
    await log.close({ timeoutMs: 2000 })
  }
}

test.run()
