// @timeout 120
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GroupWalError } from '../../src/errors.ts'
import { segmentName } from '../../src/format/segment-name.ts'
import { type ReadOptions, readRecords } from '../../src/read/reader.ts'
import { HandmadeLog, noopPayload } from '../support/handmade-log.ts'
import { MemoryFileSystem } from '../support/memory-file-system.ts'

/** What a read gave: the records as text, and the code of the error that ended it. */
interface Outcome {
  records: string[]
  code: string | undefined
}

function read(files: Map<string, Uint8Array>, options: ReadOptions = {}): Outcome {
  const fs = new MemoryFileSystem(files)
  const outcome: Outcome = { records: [], code: undefined }
  try {
    for (const record of readRecords(fs, 'dir', options)) {
      const { lsn, recordType, vshardId, tenantId, payload } = record
      outcome.records.push([lsn, recordType, vshardId, tenantId, Buffer.from(payload).toString('hex')].join())
    }
  } catch (error) {
    if (!GroupWalError.is(error)) throw error
    outcome.code = error.code
  }
  if (fs.openCount !== 0) throw new Error('a file was left open')
  return outcome
}

/** Two small segments: frames of one record and of several, a noop, a large record, seals. 8 records. */
function smallLog(): HandmadeLog {
  const log = new HandmadeLog()
    .segment({}, 5 * 4096)
    .put('one')
    .put('two', 'three')
  log.frame({ records: [{ lsn: 4, recordType: 0x7f00, payload: noopPayload(2) }, { lsn: 6 }], lsnCount: 3 })
  log.seal()
  log
    .segment({}, 7 * 4096)
    .put('seven'.repeat(1000))
    .seal()
  return log.put('eight', 'nine').put('ten')
}

/** Bytes of a segment that mean something: the header, and each frame without its padding. */
function meaningfulRanges(log: HandmadeLog, segment: number): Array<[from: number, to: number]> {
  const file = log.file(segment)
  const ranges: Array<[number, number]> = [[0, 512]]
  for (let offset = 4096; offset < file.length; offset += 4096) {
    const view = new DataView(file.buffer, file.byteOffset + offset)
    if (view.getUint32(0, true) === 0x52465747) ranges.push([offset, offset + 128 + view.getUint32(72, true)])
  }
  return ranges
}

function isPrefix(found: string[], all: string[]): boolean {
  return found.length <= all.length && found.every((record, index) => record === all[index])
}

const LAST_LSN = 10
/** LSN 10 stands in the last frame: nothing proves it durable. */
const PROVEN_RECORDS = 7
const ALLOWED_CODES = [undefined, 'GROUPWAL_CORRUPT']

test('the undamaged log reads in full', () => {
  const log = smallLog()
  const { records, code } = read(log.files)
  assert.is(code, undefined)
  assert.is(records.length, PROVEN_RECORDS + 1)
  assert.equal(read(log.files, { toLsn: LAST_LSN }).records, records)
})

test('with any bit flipped, acknowledged records are returned unchanged or reported, never left out', () => {
  const log = smallLog()
  const all = read(log.files).records
  let flips = 0
  for (const segment of [1, 2]) {
    const file = log.file(segment)
    for (const [from, to] of meaningfulRanges(log, segment)) {
      for (let bit = from * 8; bit < to * 8; bit++) {
        // Within the large payload all bytes are alike.
        if (to - from > 1000 && bit > (from + 300) * 8 && bit < (to - 100) * 8 && bit % 97 !== 0) continue
        file[bit >> 3] ^= 1 << (bit & 7)
        const place = `segment ${segment}, bit ${bit & 7} of byte ${bit >> 3}`
        // The reader of an open log knows what is durable: nothing may be missing.
        const open = read(log.files, { toLsn: LAST_LSN })
        assert.is(open.code, 'GROUPWAL_CORRUPT', place)
        assert.ok(isPrefix(open.records, all), place)
        // The reader of a closed log may lose the last frame, which nothing proves.
        const closed = read(log.files)
        assert.ok(ALLOWED_CODES.includes(closed.code), `${place}: ${closed.code}`)
        assert.ok(isPrefix(closed.records, all), place)
        if (closed.code === undefined) assert.ok(closed.records.length >= PROVEN_RECORDS, place)
        file[bit >> 3] ^= 1 << (bit & 7)
        flips += 1
      }
    }
  }
  assert.ok(flips > 15_000, `${flips} flips`)
})

test('padding may hold anything', () => {
  const log = smallLog()
  const all = read(log.files).records
  for (const segment of [1, 2]) {
    const file = log.file(segment)
    const meaningful = meaningfulRanges(log, segment)
    for (let at = 0; at < file.length; at++) {
      if (!meaningful.some(([from, to]) => at >= from && at < to)) file[at] ^= 0xff
    }
  }
  assert.equal(read(log.files), { records: all, code: undefined })
})

/** Two segments of two frames; LSN 4 is the last. */
function tinyLog(): HandmadeLog {
  const log = new HandmadeLog()
    .segment({}, 3 * 4096)
    .put('1')
    .put('2')
  return log
    .segment({}, 4 * 4096)
    .put('3')
    .put('4'.repeat(5000))
}

test('a segment before the last one that is cut short at any byte is damage', () => {
  const log = tinyLog()
  const whole = log.file(1)
  const all = read(log.files).records
  for (let length = 0; length < whole.length; length++) {
    log.files.set(segmentName(1), whole.slice(0, length))
    const { records, code } = read(log.files)
    assert.is(code, 'GROUPWAL_CORRUPT', `${length} bytes`)
    assert.ok(isPrefix(records, all), `${length} bytes`)
  }
})

test('the last segment cut short at any byte loses whole frames from the end, and an open log notices', () => {
  const log = tinyLog()
  const whole = log.file(2)
  const all = read(log.files).records
  const ends = log.frames.slice(2).map(({ endOffset }) => endOffset)
  for (let length = 0; length <= whole.length; length++) {
    log.files.set(segmentName(2), whole.slice(0, length))
    const closed = read(log.files)
    const open = read(log.files, { toLsn: 4 })
    const recordCount = 2 + ends.filter((end) => end <= length).length
    assert.is(closed.code, length < 512 ? 'GROUPWAL_CORRUPT' : undefined, `${length} bytes`)
    assert.equal(closed.records, length < 512 ? [] : all.slice(0, recordCount))
    assert.is(open.code, recordCount === 4 ? undefined : 'GROUPWAL_CORRUPT', `${length} bytes`)
  }
})

test('any block replaced by zeros, or by any other block of the log, is noticed or costs only the unproven', () => {
  const log = smallLog()
  const all = read(log.files).records
  const blocks: Uint8Array[] = [new Uint8Array(4096)]
  for (const file of log.files.values()) {
    for (let at = 0; at < file.length; at += 4096) blocks.push(file.slice(at, at + 4096))
  }
  for (const [name, file] of log.files) {
    for (let at = 4096; at < file.length; at += 4096) {
      const original = file.slice(at, at + 4096)
      for (const block of blocks) {
        if (Buffer.compare(block, original) === 0) continue
        file.set(block, at)
        const { records, code } = read(log.files)
        assert.ok(ALLOWED_CODES.includes(code), `${name} ${at}: ${code}`)
        assert.ok(isPrefix(records, all), `${name} ${at}`)
        if (code === undefined) assert.ok(records.length >= PROVEN_RECORDS, `${name} ${at}`)
        const open = read(log.files, { toLsn: LAST_LSN })
        if (open.code === undefined) assert.equal(open.records, all)
        else assert.is(open.code, 'GROUPWAL_CORRUPT')
      }
      file.set(original, at)
    }
  }
})

test.run()
