// What the stress compares must not pass anything over: each promise that is broken here has to be found.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { latencyOfBuckets, StressControl } from '../../src/cli/stress/control.ts'
import { createFaultyDisk, DISK_FAULTS, FaultOrder, isOrdered } from '../../src/cli/stress/disk.ts'
import { type HistoryCounts, StressHistory, Violation } from '../../src/cli/stress/history.ts'
import {
  LedgerReader,
  LedgerWriter,
  TOLD_DURABLE,
  TOLD_INDETERMINATE,
  TOLD_NOT_WRITTEN,
  TOLD_NOTHING,
} from '../../src/cli/stress/ledger.ts'
import { isGrowing, memoryTrend } from '../../src/cli/stress/memory.ts'
import { StressPlan } from '../../src/cli/stress/plan.ts'
import type { LogRecord } from '../../src/read/reader.ts'
import { createNodeFileSystem } from '../../src/storage/node-file-system.ts'
import { chooseSeed } from '../support/random.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const plan = new StressPlan({ seed: chooseSeed('stress'), producers: 4, maxBatchBytes: 65_536 })
// The producers' ways to commit, see STRESS_MODES.
const SYNC = 0
const PROMISE = 1
const BATCH = 2
const OTHER_SYNC = 4

/** A record of the log: which one of which incarnation, and its LSN. */
type Seen = [incarnation: number, index: number, lsn: number]
type Told = [told: number, lsn: number]

interface Run {
  seen: Seen[]
  told?: Record<number, Told[]>
  canFail?: boolean
  /** Makes another record of the one at this place. */
  change?: (record: LogRecord) => void
}

function record([incarnation, index, lsn]: Seen): LogRecord {
  const { payload, recordType, vshardId, tenantId } = plan.recordOf({ incarnation, index })
  return {
    lsn,
    payload: Uint8Array.from(payload as Uint8Array),
    recordType: recordType!,
    vshardId: vshardId!,
    tenantId: tenantId!,
    wallClockMs: 0,
  }
}

function compare({ seen, told = {}, canFail = false, change }: Run): HistoryCounts {
  const ledgers = temporaryDirectory()
  for (const [incarnation, entries] of Object.entries(told)) {
    const ledger = new LedgerWriter(ledgers, Number(incarnation))
    for (const [kind, lsn] of entries) ledger.add(kind, lsn)
    ledger.close()
  }
  const history = new StressHistory(plan, ledgers, canFail)
  for (const [at, each] of seen.entries()) {
    const made = record(each)
    if (at === seen.length - 1) change?.(made)
    history.see(made)
    history.compare()
  }
  history.finish()
  return history.counts
}

/** The records of the first batch that has more than one, and what comes before. */
function batchOfMany(): { first: number; count: number; before: Seen[] } {
  for (let first = 0; ; ) {
    const count = plan.batchLength(BATCH, first)
    const before = Array.from({ length: first }, (_, index): Seen => [BATCH, index, index + 1])
    if (count > 1) return { first, count, before }
    first += count
  }
}

test('what was acknowledged and is in the log passes, and is counted', () => {
  const counts = compare({
    seen: [
      [SYNC, 0, 1],
      [OTHER_SYNC, 0, 2],
      [SYNC, 1, 3],
      [OTHER_SYNC, 1, 9],
    ],
    told: {
      [SYNC]: [
        [TOLD_DURABLE, 1],
        [TOLD_DURABLE, 3],
      ],
      [OTHER_SYNC]: [
        [TOLD_DURABLE, 2],
        [TOLD_DURABLE, 9],
      ],
    },
  })
  assert.equal([counts.records, counts.acknowledged, counts.failed, counts.unacknowledged], [4, 4, 0, 0])
})

test('records that failed, were given up, or of which nobody was told may be in the log as they may', () => {
  const counts = compare({
    canFail: true,
    seen: [
      [SYNC, 0, 1],
      [SYNC, 2, 9],
      // Its producer died, or the process was killed, before it noted this down.
      [SYNC, 5, 10],
      [OTHER_SYNC, 1, 12],
    ],
    told: {
      [SYNC]: [
        [TOLD_DURABLE, 1],
        [TOLD_NOT_WRITTEN, 3],
        [TOLD_DURABLE, 9],
        [TOLD_NOT_WRITTEN, 0],
      ],
      [OTHER_SYNC]: [
        [TOLD_INDETERMINATE, 11],
        [TOLD_NOTHING, 12],
        [TOLD_INDETERMINATE, 13],
      ],
    },
  })
  assert.equal([counts.acknowledged, counts.failed, counts.unacknowledged], [2, 4, 2])
})

const many = batchOfMany()

for (const [what, run, message] of [
  [
    'an acknowledged record is lost at the end',
    { seen: [], told: { [SYNC]: [[TOLD_DURABLE, 1]] } },
    /acknowledged as LSN 1, and is not in the log/,
  ],
  [
    'an acknowledged record is lost amid others',
    { seen: [[OTHER_SYNC, 0, 2]], told: { [SYNC]: [[TOLD_DURABLE, 1]] } },
    /record 0 of producer 0 was acknowledged/,
  ],
  [
    'an acknowledged record is lost before one of the same producer',
    {
      seen: [[SYNC, 1, 2]],
      told: {
        [SYNC]: [
          [TOLD_DURABLE, 1],
          [TOLD_DURABLE, 2],
        ],
      },
    },
    /acknowledged as LSN 1, and is not in the log/,
  ],
  [
    'a receipt names the LSN of another record',
    { seen: [[SYNC, 0, 1]], told: { [SYNC]: [[TOLD_DURABLE, 2]] } },
    /was told LSN 2, and has LSN 1/,
  ],
  [
    'a record stands in the log twice',
    {
      seen: [
        [SYNC, 0, 1],
        [SYNC, 0, 2],
      ],
    },
    /stands behind record 0/,
  ],
  [
    'the records of a producer change places',
    {
      seen: [
        [SYNC, 1, 1],
        [SYNC, 0, 2],
      ],
      canFail: true,
    },
    /record 0 of producer 0 has LSN 2 and stands behind/,
  ],
  [
    'an LSN stands in the log twice',
    {
      seen: [
        [SYNC, 0, 1],
        [OTHER_SYNC, 0, 1],
      ],
    },
    /LSN 1 stands behind LSN 1/,
  ],
  [
    'a byte is changed',
    { seen: [[SYNC, longIndex(), 1]], canFail: true, change: ({ payload }: LogRecord) => (payload[0]! ^= 1) },
    /none that a producer wrote/,
  ],
  [
    'a payload is shorter',
    {
      seen: [[SYNC, longIndex(), 1]],
      canFail: true,
      change: (made: LogRecord) => (made.payload = made.payload.slice(1)),
    },
    /none that a producer wrote/,
  ],
  [
    'a record type is unknown',
    { seen: [[SYNC, 0, 1]], change: (made: LogRecord) => (made.recordType = 5) },
    /none that a producer wrote/,
  ],
  [
    'what was not written is there',
    { canFail: true, seen: [[SYNC, 0, 1]], told: { [SYNC]: [[TOLD_NOT_WRITTEN, 0]] } },
    /failed as not-written, and is in the log/,
  ],
  [
    'an indeterminate record comes back after resume()',
    {
      canFail: true,
      seen: [
        [SYNC, 0, 1],
        [SYNC, 1, 2],
      ],
      told: {
        [SYNC]: [
          [TOLD_INDETERMINATE, 1],
          [TOLD_DURABLE, 2],
        ],
      },
    },
    /failed before the log was resumed/,
  ],
  [
    'the LSN of a failed record is handed out again',
    {
      canFail: true,
      seen: [
        [OTHER_SYNC, 0, 1],
        [OTHER_SYNC, 1, 2],
      ],
      told: { [SYNC]: [[TOLD_NOT_WRITTEN, 1]], [OTHER_SYNC]: [[TOLD_DURABLE, 1]] },
    },
    /LSN 1 of record 0 of producer 0, which failed, was handed out again/,
  ],
  [
    "a producer's record is missing though none failed",
    {
      seen: [
        [SYNC, 0, 1],
        [SYNC, 2, 3],
      ],
    },
    /record 2 .* is in the log, and record 1 .* is not/,
  ],
  ['a record was never submitted', { seen: [[SYNC, 5000, 1]], canFail: true }, /was never submitted/],
  ['a batch ends early', { seen: [...many.before, [BATCH, many.first, 100]] }, /is in the log in part/],
  [
    'a batch lacks its beginning',
    { canFail: true, seen: [...many.before, [BATCH, many.first + 1, 100]] },
    /lacks its beginning/,
  ],
  [
    'another record stands in a batch',
    {
      seen: [...many.before, [BATCH, many.first, 100], [SYNC, 0, 101], [BATCH, many.first + 1, 102]],
    },
    /is in the log in part/,
  ],
] as [string, Run, RegExp][]) {
  test(`found: ${what}`, () => {
    assert.throws(
      () => compare(run),
      (error: unknown) => error instanceof Violation && message.test(error.message),
    )
  })
}

/** Index of a record with some payload. */
function longIndex(): number {
  for (let index = 0; ; index++) if (plan.payloadOf({ incarnation: SYNC, index }).length > 10) return index
}

test('sizes go from nothing to the largest, which is as large as a record can be', () => {
  // One in 1,024 is the largest: of 4,000 none was, once in fifty seeds.
  const sizes = Array.from(
    { length: 40_000 },
    (_, index) => plan.payloadOf({ incarnation: SYNC, index }).length,
  )
  assert.is(Math.min(...sizes), 0)
  assert.is(Math.max(...sizes), 65_536 - 24)
  assert.is(plan.modeOf(PROMISE), 'promise')
})

test('a ledger gives back what it was told while it grows; an entry that was cut off does not count', () => {
  const home = temporaryDirectory()
  const entries: Told[] = Array.from({ length: 5000 }, (_, index) =>
    index % 7 === 3 ? [TOLD_NOT_WRITTEN, 0] : [index % 4, index ** 3 + 1],
  )
  const writer = new LedgerWriter(home, 1)
  const reader = new LedgerReader(home, 1)
  for (const [told, lsn] of entries.slice(0, 10)) writer.add(told, lsn)
  assert.is(reader.peek(), undefined)
  writer.flush()
  for (const [told, lsn] of entries.slice(10)) writer.add(told, lsn)
  writer.close()
  for (const [told, lsn] of entries) {
    assert.equal(reader.peek(), { told, lsn })
    reader.skip()
  }
  assert.is(reader.peek(), undefined)
})

test('an LSN that goes back is refused by the ledger', () => {
  const writer = new LedgerWriter(temporaryDirectory(), 1)
  writer.add(TOLD_DURABLE, 7)
  assert.throws(() => writer.add(TOLD_DURABLE, 7), /got LSN 7 after 7/)
})

test('memory that grows all the time is noticed, memory that is taken once is not', () => {
  const life = (bytesAt: (share: number) => number) =>
    memoryTrend(Array.from({ length: 101 }, (_, at) => ({ ms: at * 200, bytes: bytesAt(at / 100) })))!
  assert.ok(isGrowing(life((share) => 100e6 + share * 300e6)))
  assert.not(isGrowing(life((share) => (share < 0.2 ? 50e6 : 400e6))))
  assert.is(
    memoryTrend([
      { ms: 0, bytes: 1 },
      { ms: 5000, bytes: 2 },
    ]),
    undefined,
  )
})

test('percentiles come from the buckets', () => {
  const control = StressControl.create(1)
  for (let count = 0; count < 98; count++) control.recordLatency(100)
  for (let count = 0; count < 2; count++) control.recordLatency(10_000)
  const { p50Micros, p99Micros } = latencyOfBuckets(control.latencies())
  assert.ok(p50Micros >= 100 && p50Micros < 120, String(p50Micros))
  assert.ok(p99Micros >= 10_000 && p99Micros < 12_000, String(p99Micros))
})

test('a fault that was ordered befalls one call, after as many as were said', () => {
  const order = FaultOrder.create()
  const disk = createFaultyDisk(createNodeFileSystem(), order)
  const number = DISK_FAULTS.findIndex(({ name }) => name === 'open: EMFILE')
  order.place(number, 1)
  disk.close(disk.open('package.json', 0, 0))
  assert.throws(
    () => disk.open('package.json', 0, 0),
    (error: unknown) => isOrdered(error),
  )
  disk.close(disk.open('package.json', 0, 0))
  assert.is(order.count, 1)
})

test.run()
