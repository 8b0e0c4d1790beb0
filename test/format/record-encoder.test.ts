import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { RecordEncoder } from '../../src/format/record-encoder.ts'

const FIELDS = { lsn: 1, recordType: 0x8001, vshardId: 0, tenantId: 0, continues: false }

// Small ones are put together in private memory, large ones in their place.
for (const granules of [4, 400]) {
  test(`a payload that grows while it is copied does not reach into the next record: ${granules} granules`, () => {
    const length = granules * 32 - 24
    const memory = new SharedArrayBuffer(2 * granules * 32)
    const encoder = new RecordEncoder(new Int32Array(memory), new Uint8Array(memory))
    // Stands for a view on a growable SharedArrayBuffer, which another thread may grow between any two looks at it.
    const payload = new Uint8Array(length + 16).fill(7)
    Object.defineProperty(payload, 'length', { value: length })
    encoder.encodeRecord(0, granules, FIELDS, payload, 0, length)
    const stored = new Uint8Array(memory)
    assert.is(stored.lastIndexOf(7), granules * 32 - 1)
    assert.is(stored.indexOf(7), 24)
  })
}

test.run()
