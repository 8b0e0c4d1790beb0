import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Ledger, payloadOf, type RecoveredRecord, type ScriptEvent } from './events.ts'

const BYTES = 20

function submitted(id: number, batch = 0, producer = 'left'): ScriptEvent {
  return { type: 'submitted', id, producer, batch, payloadBytes: BYTES }
}

function record(id: number, lsn: number): RecoveredRecord {
  return { lsn, payload: payloadOf(id, BYTES) }
}

/** Two acknowledged records, one that failed, one of which nobody knows. */
const EVENTS: readonly ScriptEvent[] = [
  submitted(1),
  { type: 'acknowledged', id: 1, lsn: 1 },
  submitted(2),
  { type: 'acknowledged', id: 2, lsn: 2 },
  submitted(3),
  { type: 'failed', id: 3, outcome: 'not-written', lsn: 3 },
  submitted(4),
]
const GOOD = [record(1, 1), record(2, 2)]

function wrongOf(events: readonly ScriptEvent[], records: readonly RecoveredRecord[], nextLsn = 10): string {
  const ledger = new Ledger(events)
  return [...ledger.check(records, nextLsn), ...ledger.violations].join('; ')
}

test('what was acknowledged and what nobody was told of may be there, and nothing else is said', () => {
  assert.is(wrongOf(EVENTS, GOOD), '')
  assert.is(wrongOf(EVENTS, [...GOOD, record(4, 4)]), '')
})

test('an acknowledged record that is missing, changed, twice there or elsewhere is wrong', () => {
  assert.match(wrongOf(EVENTS, [record(1, 1)]), 'record 2 was acknowledged as LSN 2, and is not there')
  assert.match(wrongOf(EVENTS, [record(1, 1), { lsn: 2, payload: '2:xx' }]), 'never submitted')
  assert.match(wrongOf(EVENTS, [...GOOD, record(2, 5)]), 'twice')
  assert.match(wrongOf(EVENTS, [record(1, 1), record(2, 5)]), 'its receipt said 2')
  assert.match(wrongOf(EVENTS, [record(2, 2), record(1, 1)]), 'LSN 1 comes after 2')
})

test('a record that was never submitted or told as not written must not be there', () => {
  assert.match(wrongOf(EVENTS, [...GOOD, record(9, 9)]), 'never submitted')
  assert.match(wrongOf(EVENTS, [...GOOD, record(3, 3)]), 'told as not written')
})

test('an indeterminate record may be there until the log was resumed', () => {
  const events = [submitted(1), { type: 'failed', id: 1, outcome: 'indeterminate', lsn: 1 } as const]
  assert.is(wrongOf(events, [record(1, 1)]), '')
  assert.match(wrongOf([...events, { type: 'resumed' }], [record(1, 1)]), 'failed before a resume()')
})

test('half a batch is wrong, a whole one and none are not', () => {
  const events = [submitted(1, 7), submitted(2, 7)]
  assert.is(wrongOf(events, []), '')
  assert.is(wrongOf(events, GOOD), '')
  assert.match(wrongOf(events, [record(2, 2)]), 'of batch 7 1 of 2')
})

test('records of one producer stand in the order of its calls', () => {
  const events = [submitted(1), submitted(2), submitted(3, 0, 'right')]
  assert.is(wrongOf(events, [record(3, 1), record(1, 2), record(2, 3)]), '')
  assert.match(wrongOf(events, [record(2, 1), record(1, 2)]), 'comes after a later one')
})

test('an LSN that was handed out is not handed out again', () => {
  assert.match(wrongOf(EVENTS, GOOD, 3), 'the next LSN is 3, but 3 was handed out')
  const twice: ScriptEvent[] = [...EVENTS, { type: 'acknowledged', id: 4, lsn: 2 }]
  assert.match(wrongOf(twice, GOOD), 'LSN 2 was handed out for record 2 and for record 4')
})

test('a verdict is final', () => {
  const events: ScriptEvent[] = [...EVENTS, { type: 'acknowledged', id: 3, lsn: 3 }]
  assert.match(wrongOf(events, GOOD), 'record 3 was not-written and then acknowledged')
})

test('what was dropped may be missing, and nothing behind it', () => {
  const events: ScriptEvent[] = [...EVENTS, { type: 'truncating', beforeLsn: 2 }]
  assert.is(wrongOf(events, [record(2, 2)]), '')
  assert.match(wrongOf(events, [record(1, 1)]), 'record 2 was acknowledged')
})

test.run()
