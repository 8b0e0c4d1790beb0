import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { LogRecord } from '../../../src/index.ts'
import { payloadOf } from '../../crash/kill-records.ts'
import { MOST_UNACKNOWLEDGED } from './host-spec.ts'
import { Ledger } from './ledger.ts'

/** A record as a recovery returns it; a batch is [first index, count]. */
function record(lsn: number, index: number, batch: [number, number] = [index, 1], run = 0): LogRecord {
  const [batchFirst, batchCount] = batch
  const payload = Buffer.from(payloadOf({ run, producer: 0, index, batchFirst, batchCount }))
  return { lsn, recordType: 0, tenantId: 0, vshardId: 0, payload, wallClockMs: 0 }
}

/** A life in which producer 0 got LSNs 1 to 3 acknowledged. */
function afterThree(): Ledger {
  const ledger = new Ledger()
  ledger.beginLife(0)
  ledger.acknowledge(0, 0, 3, 1)
  return ledger
}

const THREE = [record(1, 0), record(2, 1), record(3, 2)]

test('what was acknowledged, and submitted beyond, may be returned', () => {
  const settlement = afterThree().settle([...THREE, record(4, 3)])
  assert.equal(settlement, { recovered: 4, lost: 0, violations: [] })
})

test('an acknowledged record that is missing is lost', () => {
  const { lost, violations } = afterThree().settle(THREE.slice(0, 2))
  assert.is(lost, 1)
  assert.match(violations.join(), 'record 0:0:2 (LSN 3) was promised and is lost')
})

test('a record that was dropped on purpose may be missing', () => {
  const ledger = afterThree()
  ledger.keepFrom(3)
  assert.equal(ledger.settle(THREE.slice(2)).violations, [])
})

test('what one recovery returned is returned by the next, and nothing else of that time', () => {
  for (const [second, complaint] of [
    [THREE, 'record 0:0:3 (LSN 4) was promised and is lost'],
    [[...THREE, record(4, 3), record(5, 4)], 'record 0:0:4 (LSN 5) is back from the dead'],
  ] as const) {
    const ledger = afterThree()
    assert.equal(ledger.settle([...THREE, record(4, 3)]).violations, [])
    ledger.beginLife(1)
    assert.match(ledger.settle(second).violations.join(), complaint)
  }
})

for (const [name, records, complaint] of [
  ['a record that was never submitted', [...THREE, record(4, 3 + MOST_UNACKNOWLEDGED)], 'was not submitted'],
  [
    'a changed record',
    [...THREE, { ...record(4, 3), payload: Buffer.from('0:0:3:3:1:x!') }],
    'was never written',
  ],
  ['a hole in a producer', [...THREE, record(5, 4)], 'comes after'],
  ['a record twice', [...THREE, record(4, 2)], 'comes after'],
  ['an LSN twice', [...THREE, record(3, 3)], 'is returned after'],
  ['another record under an LSN', [record(1, 1), record(2, 0), record(3, 2)], 'of 0:0:0 returns 0:0:1'],
  ['a batch without its end', [...THREE, record(4, 3, [3, 2])], 'the last batch of 0:0 is not whole'],
  ['a batch that others break off', [...THREE, record(4, 3, [3, 2]), record(5, 4)], 'is not whole'],
  [
    'a first record that is not the first',
    [record(2, 1), record(3, 2)],
    'the records before 0:0:1 are missing',
  ],
] as [string, LogRecord[], string][]) {
  test(`seen: ${name}`, () => {
    assert.match(afterThree().settle(records).violations.join('\n'), complaint)
  })
}

test('an LSN of an earlier life, acknowledged, handed out or recovered, is never used again', () => {
  for (const used of [3, 4, 5]) {
    const ledger = afterThree()
    ledger.handOut(0, 3, 4)
    assert.equal(ledger.settle([...THREE, record(4, 3), record(5, 4)]).violations, [])
    ledger.beginLife(1)
    ledger.acknowledge(0, 0, 1, used)
    assert.match(ledger.settle([]).violations.join('\n'), new RegExp(`LSN ${used} (of 0:0:. )?goes to 1:0:0`))
  }
})

test.run()
