import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  CorruptLogError,
  GroupWalError,
  type GroupWalErrorCode,
  ReadTruncatedError,
} from '../../src/errors.ts'
import { segmentName } from '../../src/format/segment-name.ts'
import { type ReadOptions, readRecords } from '../../src/read/reader.ts'
import { createNodeFileSystem } from '../../src/storage/node-file-system.ts'
import { withFailingClose } from '../support/failing-close.ts'
import { HandmadeLog, noopPayload } from '../support/handmade-log.ts'
import { MemoryFileSystem } from '../support/memory-file-system.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

function readFrom(fs: MemoryFileSystem, options?: ReadOptions): string[] {
  const found: string[] = []
  for (const { lsn, payload } of readRecords(fs, 'dir', options)) {
    found.push(`${lsn}:${new TextDecoder().decode(payload)}`)
  }
  assert.is(fs.openCount, 0)
  return found
}

function read(log: HandmadeLog, options?: ReadOptions): string[] {
  return readFrom(new MemoryFileSystem(log.files), options)
}

function errorOf(run: () => unknown): GroupWalError {
  try {
    run()
  } catch (error) {
    assert.ok(GroupWalError.is(error), String(error))
    return error
  }
  throw new Error('nothing was thrown')
}

function assertCode(run: () => unknown, code: GroupWalErrorCode): void {
  assert.is(errorOf(run).code, code)
}

function flip(log: HandmadeLog, segment: number, offset: number): void {
  log.file(segment)[offset] ^= 1
}

/** LSNs 1 to 9 in segments 1, 2 and 3. */
function threeSegments(): HandmadeLog {
  const log = new HandmadeLog()
  for (let segment = 0; segment < 3; segment++) {
    log.segment()
    for (let frame = 0; frame < 3; frame++) log.put(`p${log.nextLsn}`)
  }
  return log
}

test('a segment that was written from docs/format.md alone is read back in full', () => {
  const log = new HandmadeLog().segment({ blockBytes: 16384, segmentBytes: 1 << 20 }, 1 << 20)
  const records = [
    { lsn: 1, payload: Uint8Array.of(0, 255, 1), recordType: 0x8001, vshardId: 65535, tenantId: 0xffffffff },
    { lsn: 2, recordType: 0, continues: true },
    { lsn: 3, payload: new Uint8Array(100_000).fill(7), recordType: 0x7eff, vshardId: 1, tenantId: 2 },
  ]
  log.frame({ records, wallClockMs: 1_800_000_000_001 })
  log.seal()
  log.frame({ records: [{ lsn: 4 }], wallClockMs: 1_700_000_000_000 })
  const fs = new MemoryFileSystem(log.files)
  const found = [...readRecords(fs, 'dir')]
  assert.equal(
    found,
    [...records, { lsn: 4 }].map((record) => ({
      lsn: record.lsn,
      recordType: (record as { recordType?: number }).recordType ?? 0x8001,
      vshardId: (record as { vshardId?: number }).vshardId ?? 0,
      tenantId: (record as { tenantId?: number }).tenantId ?? 0,
      payload: (record as { payload?: Uint8Array }).payload ?? new Uint8Array(0),
      wallClockMs: record.lsn === 4 ? 1_700_000_000_000 : 1_800_000_000_001,
    })),
  )
})

test('records own their bytes', () => {
  const log = new HandmadeLog().segment().put('first').put('second')
  const [first, second] = [...readRecords(new MemoryFileSystem(log.files), 'dir')]
  assert.is(new TextDecoder().decode(first.payload), 'first')
  assert.is(first.payload.buffer.byteLength, 5)
  assert.is.not(first.payload.buffer, second.payload.buffer)
})

test('an empty directory and a log without records have none', () => {
  assert.equal(read(new HandmadeLog()), [])
  assert.equal(read(new HandmadeLog().segment()), [])
  assert.equal(read(new HandmadeLog().segment().seal(true)), [])
})

test('a range is read by both its ends, wherever frames and segments begin', () => {
  const log = threeSegments()
  for (let from = 1; from <= 10; from++) {
    for (let to = 0; to <= 9; to++) {
      const expected: string[] = []
      for (let lsn = from; lsn <= to; lsn++) expected.push(`${lsn}:p${lsn}`)
      assert.equal(read(log, { fromLsn: from, toLsn: to }), expected, `${from} to ${to}`)
    }
  }
})

test('a range may begin and end within a frame', () => {
  const log = new HandmadeLog().segment().put('a', 'b', 'c', 'd')
  assert.equal(read(log, { fromLsn: 2, toLsn: 3 }), ['2:b', '3:c'])
})

test('without toLsn everything valid is read, up to a torn tail', () => {
  const log = threeSegments().put('torn')
  flip(log, 3, log.last.offset + 140)
  assert.is(read(log).length, 9)
})

test('segments below fromLsn are not opened but for their headers', () => {
  const log = threeSegments()
  flip(log, 1, 4096 + 140)
  assert.equal(read(log, { fromLsn: 7 }), ['7:p7', '8:p8', '9:p9'])
  const fs = new MemoryFileSystem(log.files)
  let frames = 0
  fs.beforeRead = (name, position) => {
    if (name === segmentName(1) && position > 0) frames += 1
  }
  readFrom(fs, { fromLsn: 7 })
  assert.is(frames, 0)
})

test('frames below fromLsn are passed over by their headers, which still must form the chain', () => {
  const body = threeSegments()
  flip(body, 3, 4096 + 140)
  assert.equal(read(body, { fromLsn: 8 }), ['8:p8', '9:p9'])
  const header = threeSegments()
  flip(header, 3, 4096 + 60)
  assertCode(() => read(header, { fromLsn: 8 }), 'GROUPWAL_CORRUPT')
})

test('a frame at or below toLsn that is torn, or missing, is damage: it was known to be durable', () => {
  const torn = threeSegments()
  flip(torn, 3, torn.last.offset + 140)
  const error = errorOf(() => read(torn, { toLsn: 9 })) as CorruptLogError
  assert.instance(error, CorruptLogError)
  assert.equal([error.segment, error.offset, error.firstLsn, error.lastLsn], [segmentName(3), 12288, 9, 9])
  assert.equal(read(torn, { toLsn: 8 }).length, 8)
  assertCode(() => read(threeSegments(), { toLsn: 10 }), 'GROUPWAL_CORRUPT')
  assertCode(() => read(new HandmadeLog(), { toLsn: 1 }), 'GROUPWAL_CORRUPT')
})

test('records before the damage are returned before it is reported', () => {
  const log = threeSegments()
  flip(log, 2, 8192 + 140)
  const seen: number[] = []
  assertCode(() => {
    for (const { lsn } of readRecords(new MemoryFileSystem(log.files), 'dir')) seen.push(lsn)
  }, 'GROUPWAL_CORRUPT')
  assert.equal(seen, [1, 2, 3, 4])
})

test('gaps, cuts and copied frames do not show', () => {
  const log = new HandmadeLog().segment().put('a').put('b')
  const { last } = log
  log.put('void')
  log.cutSegment({ segment: 1, last, gapLast: 1000 }).put('c')
  assert.equal(read(log), ['1:a', '2:b', '1001:c'])
  assert.equal(read(log, { toLsn: 2 }), ['1:a', '2:b'])
  assert.equal(read(log, { toLsn: 500 }), ['1:a', '2:b'])
  assert.equal(read(log, { fromLsn: 3, toLsn: 1001 }), ['1001:c'])
  assert.equal(read(log, { fromLsn: 1001 }), ['1001:c'])
})

test('a noop is never returned', () => {
  const log = new HandmadeLog().segment().put('a')
  log.frame({ records: [{ lsn: 2, recordType: 0x7f00, payload: noopPayload(3) }, { lsn: 5 }], lsnCount: 4 })
  log.put('b')
  assert.equal(read(log), ['1:a', '5:', '6:b'])
})

test("an unknown type of the log's own stops the read when it is required, and is passed over otherwise", () => {
  const optional = new HandmadeLog().segment().put('a')
  optional.frame({ records: [{ lsn: 2, recordType: 0x7f01 }] }).put('b')
  assert.equal(read(optional), ['1:a', '3:b'])
  const required = new HandmadeLog().segment().put('a')
  required.frame({ records: [{ lsn: 2, recordType: 0xff01 }] }).put('b')
  assertCode(() => read(required), 'GROUPWAL_UNKNOWN_RECORD_TYPE')
  assert.equal(read(required, { fromLsn: 3 }), ['3:b'])
  assertCode(() => read(required, { knownTypes: [1, 0x7f01] }), 'GROUPWAL_UNKNOWN_RECORD_TYPE')
})

test('a caller that names the types it knows is stopped by required others and spared the optional ones', () => {
  const log = new HandmadeLog().segment()
  for (const recordType of [0x8001, 0x0002, 0x8003]) {
    log.frame({ records: [{ lsn: log.nextLsn, recordType }] })
  }
  assert.equal(read(log, { knownTypes: [1, 3] }), ['1:', '3:'])
  assert.equal(read(log, { knownTypes: [0x0001, 0x8002, 3] }), ['1:', '2:', '3:'])
  assertCode(() => read(log, { knownTypes: [1, 2] }), 'GROUPWAL_UNKNOWN_RECORD_TYPE')
})

test('what is no LSN is refused before anything is read', () => {
  const fs = new MemoryFileSystem(threeSegments().files)
  for (const fromLsn of [0, -1, 1.5, Number.NaN, 2 ** 53]) {
    assert.throws(
      () => readRecords(fs, 'dir', { fromLsn }),
      (error: unknown) => error instanceof RangeError,
    )
  }
  for (const toLsn of [-1, 0.5, Number.NaN, 2 ** 53]) {
    assert.throws(
      () => readRecords(fs, 'dir', { toLsn }),
      (error: unknown) => error instanceof RangeError,
    )
  }
  assert.is(fs.readCount, 0)
})

test('leaving the loop closes the file', () => {
  const fs = new MemoryFileSystem(threeSegments().files)
  for (const { lsn } of readRecords(fs, 'dir')) {
    assert.is(fs.openCount, 1)
    if (lsn === 2) break
  }
  assert.is(fs.openCount, 0)
})

test('reads that fall short are gone on with, also in the midst of a header', () => {
  const fs = new MemoryFileSystem(threeSegments().files)
  const all = readFrom(fs)
  for (const most of [1, 100, 511, 5000]) {
    fs.maxReadBytes = most
    assert.equal(readFrom(fs), all, `${most} bytes at a time`)
  }
})

test('whoever leaves the loop is not told of a file that does not close', () => {
  const memory = new MemoryFileSystem(threeSegments().files)
  let fails = false
  const { fs } = withFailingClose(memory, () => fails)
  for (const { lsn } of readRecords(fs, 'dir')) {
    fails = true
    if (lsn === 2) break
  }
  assert.is(memory.openCount, 0)
})

test('a file that does not close in the midst of a read ends it with a typed error', () => {
  const { fs } = withFailingClose(new MemoryFileSystem(threeSegments().files))
  assertCode(() => [...readRecords(fs, 'dir')], 'GROUPWAL_IO')
})

// Dropped segments.

function dropped(count: number): HandmadeLog {
  const log = threeSegments()
  for (let segment = 1; segment <= count; segment++) log.files.delete(segmentName(segment))
  return log
}

test('by default a read begins at the first record that is there', () => {
  assert.equal(read(dropped(1))[0], '4:p4')
  assert.equal(read(dropped(2), { fromLsn: 1, toLsn: 9 }), ['7:p7', '8:p8', '9:p9'])
})

test('a read from an LSN that was dropped says so, and where the log begins', () => {
  const error = errorOf(() => read(dropped(1), { fromLsn: 3 })) as ReadTruncatedError
  assert.instance(error, ReadTruncatedError)
  assert.equal([error.code, error.lsn, error.firstLsn], ['GROUPWAL_READ_TRUNCATED', 3, 4])
  assert.equal(read(dropped(1), { fromLsn: 4 }).length, 6)
})

test('a log that began above fromLsn has dropped nothing', () => {
  const log = new HandmadeLog()
  log.nextLsn = 1000
  log.segment().put('a')
  assert.equal(read(log, { fromLsn: 5 }), ['1000:a'])
})

test('LSNs of a gap were never there, so they were not dropped', () => {
  const log = new HandmadeLog().segment().put('a')
  log.cutSegment({ segment: 1, last: log.last, gapLast: 99 }).put('b')
  log.files.delete(segmentName(1))
  assert.equal(read(log, { fromLsn: 50 }), ['100:b'])
  assert.equal(read(log, { fromLsn: 2 }), ['100:b'])
})

test('a log of which nothing is left but an empty segment knows what was dropped', () => {
  const log = new HandmadeLog().segment().put('a').put('b')
  log.cutSegment({ segment: 1, last: log.last, gapLast: 99 })
  log.files.delete(segmentName(1))
  assertCode(() => read(log, { fromLsn: 2, toLsn: 2 }), 'GROUPWAL_READ_TRUNCATED')
  assert.equal(read(log, { fromLsn: 1, toLsn: 2 }), [])
  assert.equal(read(log, { fromLsn: 3 }), [])
})

test('segments that are dropped before the first record came out move the beginning', () => {
  const fs = new MemoryFileSystem(threeSegments().files)
  fs.beforeRead = (name, position) => {
    if (name === segmentName(1) && position > 0) {
      // Reused at once: what the open fd shows is another segment.
      fs.files.get(name)?.fill(0x55)
      fs.files.delete(name)
    }
  }
  assert.equal(readFrom(fs)[0], '4:p4')
})

test('segments that are dropped while they are read end the read with an error, never with a hole', () => {
  const big = 'x'.repeat(300_000)
  for (const reused of [false, true]) {
    const log = new HandmadeLog()
    for (let segment = 0; segment < 3; segment++) {
      log.segment({}, 1 << 20)
      log.put(`${big}1`).put(`${big}2`).put(`${big}3`)
    }
    const fs = new MemoryFileSystem(log.files)
    const seen: number[] = []
    const error = errorOf(() => {
      for (const { lsn } of readRecords(fs, 'dir', { toLsn: 9 })) {
        seen.push(lsn)
        if (lsn !== 1) continue
        for (const name of [segmentName(1), segmentName(2)]) {
          if (reused) fs.files.get(name)?.fill(0x55)
          fs.files.delete(name)
        }
      }
    })
    assert.instance(error, ReadTruncatedError)
    assert.equal(seen, reused ? [1] : [1, 2, 3])
    assert.is((error as ReadTruncatedError).lsn, seen.length + 1)
    assert.is(fs.openCount, 0)
  }
})

test('a link to a segment that leads nowhere is an error of the file system, nothing was dropped', () => {
  const directory = temporaryDirectory()
  symlinkSync(join(directory, 'not mounted', segmentName(1)), join(directory, segmentName(1)))
  const error = errorOf(() => [...readRecords(createNodeFileSystem(), directory)])
  assert.is(error.code, 'GROUPWAL_IO', error.message)
  assert.is((error.cause as { code: string }).code, 'ENOENT')
})

test('a missing segment in the middle is damage, not a dropped one', () => {
  const log = threeSegments()
  log.files.delete(segmentName(2))
  assertCode(() => read(log), 'GROUPWAL_CORRUPT')
})

// Headers and the directory.

test('a damaged segment header is damage, at whatever end of the log', () => {
  for (const segment of [1, 2, 3]) {
    const log = threeSegments()
    flip(log, segment, 70)
    const error = errorOf(() => read(log)) as CorruptLogError
    assert.is(error.segment, segmentName(segment))
  }
})

test('a segment of another log is damage', () => {
  const log = threeSegments()
    .segment({ logId: new Uint8Array(16) })
    .put('x')
  assertCode(() => read(log), 'GROUPWAL_CORRUPT')
})

test('a damaged header of a void segment does not matter', () => {
  const log = new HandmadeLog().segment().put('a')
  const { last } = log
  log.segment().put('void')
  log.cutSegment({ segment: 1, last }).put('b')
  flip(log, 2, 70)
  assert.equal(read(log), ['1:a', '2:b'])
})

test('a file under a name that its header does not know is a spare', () => {
  const log = threeSegments()
  log.files.set(segmentName(4), log.file(1).slice())
  log.files.set('spare-00000000000000000004.seg', log.file(1).slice())
  log.files.set('wal-00000000000000000004.tmp', log.file(1).slice())
  assert.is(read(log).length, 9)
})

test('a future version is refused by its own code', () => {
  const log = threeSegments().segment({ version: 2 })
  assertCode(() => read(log), 'GROUPWAL_UNSUPPORTED_VERSION')
})

test('a file-system error is passed on with its cause', () => {
  const fs = new MemoryFileSystem(threeSegments().files)
  fs.beforeRead = (_name, position) => {
    if (position > 0) throw Object.assign(new Error('EIO: the disk is tired'), { code: 'EIO' })
  }
  const error = errorOf(() => readFrom(fs))
  assert.is(error.code, 'GROUPWAL_IO')
  assert.is((error.cause as { code: string }).code, 'EIO')
  assert.is(fs.openCount, 0)
  fs.list = () => {
    throw Object.assign(new Error('ENOENT: dir'), { code: 'ENOENT' })
  }
  assertCode(() => readFrom(fs), 'GROUPWAL_IO')
})

test.run()
