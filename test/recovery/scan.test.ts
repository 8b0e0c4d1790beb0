import { constants } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeSegmentHeader, type SegmentHeader } from '../../src/format/segment-header.ts'
import { findLaterFrames, ScanBuffer, SegmentScanner } from '../../src/recovery/scan.ts'
import { HandmadeLog, saltOf } from '../support/handmade-log.ts'
import { MemoryFileSystem } from '../support/memory-file-system.ts'

const BUFFER_BYTES = 65536

function headerOf(file: Uint8Array): SegmentHeader {
  const decoded = decodeSegmentHeader(file)
  if (!decoded.ok) throw new Error(decoded.reason)
  return decoded.header
}

function scan(
  log: HandmadeLog,
  options: { startOffset?: number; endOffset?: number; maxReadBytes?: number } = {},
): { scanner: SegmentScanner; fs: MemoryFileSystem; buffer: ScanBuffer } {
  const fs = new MemoryFileSystem(log.files)
  fs.maxReadBytes = options.maxReadBytes ?? Number.POSITIVE_INFINITY
  const fd = fs.open(log.name, constants.O_RDONLY)
  const buffer = new ScanBuffer((bytes) => new Uint8Array(bytes), BUFFER_BYTES)
  const range = {
    startOffset: options.startOffset ?? log.blockBytes,
    endOffset: options.endOffset ?? Number.POSITIVE_INFINITY,
  }
  const scanner = new SegmentScanner(fs, fd, headerOf(log.file(log.segmentSequence)), buffer, range)
  return { scanner, fs, buffer }
}

function lsns(scanner: SegmentScanner): number[] {
  const found: number[] = []
  for (;;) {
    const frame = scanner.next()
    if (frame === undefined) return found
    found.push(frame.header.firstLsn)
  }
}

test('frames come out in order until the first place without one', () => {
  const log = new HandmadeLog().segment().put('a').put('b', 'c').seal().put('d')
  const { scanner } = scan(log)
  assert.equal(lsns(scanner), [1, 2, 4, 4])
  assert.equal(scanner.invalid, {
    offset: log.last.endOffset,
    detail: 'no frame stands there',
    header: undefined,
    begun: false,
  })
})

test('a body holds exactly the records', () => {
  const log = new HandmadeLog().segment().put('hello')
  const frame = scan(log).scanner.next()!
  assert.is(frame.body.length, 32)
  assert.is(new TextDecoder().decode(frame.body.subarray(24, 29)), 'hello')
  assert.is(frame.endOffset, 8192)
})

test('frames of every size come out whole, whatever the reads return at once', () => {
  for (const maxReadBytes of [1000, 4096, 65536, Number.POSITIVE_INFINITY]) {
    const log = new HandmadeLog().segment({}, 1 << 20)
    const sizes = [1, 3936, 3937, 30000, 60000, 65000, 70000, 200000, 5, 65536 - 152, 65536 - 151]
    for (const size of sizes) log.put('x'.repeat(size))
    const { scanner } = scan(log, { maxReadBytes })
    const seen: number[] = []
    for (let frame = scanner.next(); frame !== undefined; frame = scanner.next()) {
      seen.push(new DataView(frame.body.buffer, frame.body.byteOffset).getUint32(4, true))
    }
    assert.equal(seen, sizes)
  }
})

test('every read is block aligned in the file and in the buffer', () => {
  const log = new HandmadeLog().segment({ blockBytes: 16384 }, 1 << 20)
  for (const size of [1, 30000, 60000, 200000, 5]) log.put('x'.repeat(size))
  const { scanner, fs } = scan(log)
  const read = fs.read.bind(fs)
  fs.read = (fd, bytes, offset, length, position) => {
    assert.is(offset % 16384, 0)
    assert.is(length % 16384, 0)
    assert.is(position % 16384, 0)
    return read(fd, bytes, offset, length, position)
  }
  assert.equal(lsns(scanner), [1, 2, 3, 4, 5])
})

test('a scan may begin at any frame', () => {
  const log = new HandmadeLog().segment().put('a').put('b').put('c')
  assert.equal(lsns(scan(log, { startOffset: log.frames[1].offset }).scanner), [2, 3])
})

test('a scan ends at the cut, and a frame that crosses it is not valid', () => {
  const log = new HandmadeLog().segment().put('a').put('b'.repeat(5000)).put('c')
  const atCut = scan(log, { endOffset: log.frames[1].endOffset }).scanner
  assert.equal(lsns(atCut), [1, 2])
  assert.is(atCut.invalid, undefined)
  const across = scan(log, { endOffset: log.frames[1].endOffset - 4096 }).scanner
  assert.equal(lsns(across), [1])
  assert.is(across.invalid?.detail, 'the frame reaches behind the cut')
})

test('bodies below the wanted LSN are neither read nor checked', () => {
  const log = new HandmadeLog()
    .segment({}, 1 << 20)
    .put('a'.repeat(300000))
    .put('b')
    .put('c')
  log.file(1)[4096 + 200000] ^= 1
  const { scanner, buffer } = scan(log)
  assert.is(scanner.next(2)?.body.length, 0)
  assert.is(scanner.next(2)?.body.length, 32)
  assert.is(buffer.bytes.length, BUFFER_BYTES)
  assert.equal(lsns(scan(log).scanner), [])
})

test('a frame of another segment, offset or life of the file is not valid here', () => {
  const wrong: Array<Parameters<HandmadeLog['frame']>[0]> = [
    { segmentSequence: 2 },
    { offset: 8192 },
    { salt: saltOf(1) ^ 1n },
    { salt: saltOf(1) ^ (1n << 63n) },
  ]
  for (const fields of wrong) {
    const log = new HandmadeLog().segment().frame({ records: [{ lsn: 1 }], ...fields })
    const { scanner } = scan(log)
    assert.is(scanner.next(), undefined)
    assert.is(scanner.invalid?.header, undefined)
  }
})

test('a damaged header of this life shows as a frame that was begun', () => {
  const log = new HandmadeLog().segment().put('a')
  log.file(1)[4096 + 60] ^= 1
  const { scanner } = scan(log)
  scanner.next()
  assert.is(scanner.invalid?.begun, true)
  assert.is(scanner.invalid?.header, undefined)
})

test('a file that ends within a frame, within its header or before it is no error of the scan', () => {
  const log = new HandmadeLog().segment().put('a').put('b'.repeat(9000))
  const whole = log.file(1)
  for (const length of [0, 512, 4096, 8191, 8192, 8192 + 100, 8192 + 128, 8192 + 8192]) {
    log.files.set(log.name, whole.slice(0, length))
    const fs = new MemoryFileSystem(log.files)
    const fd = fs.open(log.name, constants.O_RDONLY)
    const buffer = new ScanBuffer((bytes) => new Uint8Array(bytes), BUFFER_BYTES)
    const range = { startOffset: 4096, endOffset: Number.POSITIVE_INFINITY }
    const scanner = new SegmentScanner(fs, fd, headerOf(whole), buffer, range)
    assert.equal(lsns(scanner), length < 8192 ? [] : [1])
    assert.is(scanner.invalid?.offset, length < 8192 ? 4096 : 8192)
  }
})

test('later frames are found at any block, old ones and inner ones are not', () => {
  const log = new HandmadeLog().segment({}, 1 << 18)
  for (const text of ['a', 'b'.repeat(20000), 'c', 'd']) log.put(text)
  log.put('e'.repeat(9000))
  const [, second, , fourth, fifth] = log.frames
  const { scanner } = scan(log, { startOffset: second.offset })
  const later = findLaterFrames(scanner, headerOf(log.file(1)), 4)
  assert.is(later.first?.offset, fourth.offset)
  assert.is(later.mostDurable?.durableLsn, 4)
  assert.is(later.endOffset, fifth.endOffset)
  const none = scan(log, { startOffset: fifth.endOffset }).scanner
  assert.is(findLaterFrames(none, headerOf(log.file(1)), 1).first, undefined)
})

test('a frame inside a payload is never taken for one', () => {
  const inner = new HandmadeLog().segment().put('a').put('inner')
  const copied = inner.file(1).slice(8192, 12288)
  const log = new HandmadeLog().segment().put('a')
  // Even at a block boundary and with the right salt: it stands at another offset than it says.
  const payload = new Uint8Array(3 * 4096)
  payload.set(copied, 2 * 4096 - 128 - 24)
  log.frame({ records: [{ lsn: 2, payload }] })
  const { scanner } = scan(log, { startOffset: 8192 + 4096 })
  assert.is(findLaterFrames(scanner, headerOf(log.file(1)), 1).first, undefined)
})

test.run()
