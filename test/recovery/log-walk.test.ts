import { constants } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CorruptLogError } from '../../src/errors.ts'
import { liveSegments } from '../../src/format/live-segments.ts'
import { decodeSegmentHeader, type SegmentHeader } from '../../src/format/segment-header.ts'
import { segmentName } from '../../src/format/segment-name.ts'
import { LogWalk, type WalkEnd, type WalkSource } from '../../src/recovery/log-walk.ts'
import { ScanBuffer } from '../../src/recovery/scan.ts'
import { HandmadeLog, handHeader } from '../support/handmade-log.ts'
import { MemoryFileSystem } from '../support/memory-file-system.ts'

interface Walked {
  lsns: number[]
  end: WalkEnd | undefined
  damage: CorruptLogError | undefined
  provenLsn: number
  nextLsn: number
}

/** @param meanwhile what happens behind the first frame */
function walk(log: HandmadeLog, startIndex = 0, toLsn?: number, meanwhile?: () => void): Walked {
  const fs = new MemoryFileSystem(log.files)
  const headers: SegmentHeader[] = []
  for (const file of log.files.values()) {
    const decoded = decodeSegmentHeader(file)
    if (decoded.ok) headers.push(decoded.header)
  }
  const source: WalkSource = {
    fs,
    live: liveSegments(headers),
    openSegment: ({ segmentSequence }) => fs.open(segmentName(segmentSequence), constants.O_RDONLY),
    buffer: new ScanBuffer((bytes) => new Uint8Array(bytes), 65536),
  }
  const walker = new LogWalk(source, startIndex, toLsn)
  const walked: Walked = { lsns: [], end: undefined, damage: undefined, provenLsn: 0, nextLsn: 0 }
  try {
    for (let frame = walker.next(); frame !== undefined; frame = walker.next()) {
      for (let count = 0; count < frame.header.lsnCount; count++)
        walked.lsns.push(frame.header.firstLsn + count)
      if (walked.lsns.length === 1) meanwhile?.()
    }
    walked.end = walker.end
  } catch (error) {
    if (!(error instanceof CorruptLogError)) throw error
    walked.damage = error
  } finally {
    walker.close()
  }
  walked.provenLsn = walker.chain.provenLsn
  walked.nextLsn = walker.chain.nextLsn
  assert.is(fs.openCount, 0)
  return walked
}

/** Ends without damage at this place, having read LSNs 1 to `last`. */
function assertEnds(
  walked: Walked,
  last: number,
  torn: boolean,
  place: { index: number; offset: number },
): void {
  assert.is(walked.damage?.message, undefined)
  assert.equal(
    walked.lsns,
    Array.from({ length: last }, (_, index) => index + 1),
  )
  assert.is(walked.end?.torn, torn)
  assert.is(walked.end?.segmentIndex, place.index)
  assert.is(walked.end?.offset, place.offset)
}

function assertDamaged(
  walked: Walked,
  place: { segment: number; offset: number; lsns?: [number, number | undefined] },
): void {
  assert.ok(walked.damage, `no damage, but ${walked.lsns.length} LSNs and ${JSON.stringify(walked.end)}`)
  assert.is(walked.damage.segment, segmentName(place.segment))
  assert.is(walked.damage.offset, place.offset, walked.damage.message)
  if (place.lsns !== undefined) {
    assert.equal([walked.damage.firstLsn, walked.damage.lastLsn], [place.lsns[0], place.lsns[1]])
  }
}

function flip(log: HandmadeLog, segment: number, offset: number): void {
  log.file(segment)[offset] ^= 1
}

/** Segments 1 and 2, three frames each, LSNs 1 to 6. */
function twoSegments(): HandmadeLog {
  return new HandmadeLog().segment().put('1').put('2').put('3').segment().put('4').put('5').put('6')
}

test('a log without segments ends at once', () => {
  assertEnds(walk(new HandmadeLog()), 0, false, { index: 0, offset: 0 })
})

test('a log without frames ends in its first segment', () => {
  assertEnds(walk(new HandmadeLog().segment()), 0, false, { index: 0, offset: 4096 })
})

test('frames are read across segments', () => {
  assertEnds(walk(twoSegments()), 6, false, { index: 1, offset: 4 * 4096 })
})

test('where the log begins with a damaged record, its frame tells the LSNs that are lost', () => {
  const log = twoSegments()
  const { last } = log
  log.put('failed').cutSegment({ segment: 2, last, gapLast: 7 }).put('8')
  log.files.delete(segmentName(1))
  // Made ahead of need, its header knows no better.
  const header = handHeader({ segmentSequence: 2, segmentBytes: 1 << 16, nextLsn: 2, nextFrameSequence: 2 })
  log.file(2).set(header)
  flip(log, 2, 4096 + 152)
  assertDamaged(walk(log), { segment: 2, offset: 4096, lsns: [4, 4] })
})

test('a segment that was made ahead moves nothing, and proves nothing of what was written since', () => {
  assertEnds(walk(twoSegments().segment().segment()), 6, false, { index: 1, offset: 4 * 4096 })
  const log = twoSegments().segment({ nextLsn: 6 })
  flip(log, 2, 3 * 4096 + 152)
  assertEnds(walk(log), 5, true, { index: 1, offset: 3 * 4096 })
})

test('a segment that was made ahead proves that what was durable then is missing', () => {
  const truncated = twoSegments().segment({ nextLsn: 6 })
  truncated.files.set(segmentName(2), truncated.file(2).subarray(0, 2 * 4096))
  assertDamaged(walk(truncated), { segment: 2, offset: 2 * 4096, lsns: [5, undefined] })
  const begun = twoSegments().segment({ nextLsn: 6 })
  flip(begun, 2, 4096 + 10)
  assertDamaged(walk(begun), { segment: 1, offset: 4 * 4096, lsns: [4, 4] })
  flip(begun, 1, 3 * 4096 + 10)
  // A frame behind the damage tells the LSNs more exactly than the header does.
  assertDamaged(walk(begun), { segment: 1, offset: 3 * 4096, lsns: [3, 4] })
  begun.file(2).fill(0, 2 * 4096)
  assertDamaged(walk(begun), { segment: 1, offset: 3 * 4096, lsns: [3, undefined] })
})

test('what is written while a log is read is no damage: frames behind the place that was read before', () => {
  const log = new HandmadeLog().segment().put('1').put('2').put('3').put('4')
  const file = log.file(1)
  const whole = file.slice()
  file.fill(0, 3 * 4096)
  const walked = walk(log, 0, undefined, () => file.set(whole))
  assertEnds(walked, 4, false, { index: 0, offset: 5 * 4096 })
})

test('what is written while a log is read is no damage: the segment that was made ahead when it was listed', () => {
  const log = new HandmadeLog().segment().put('1').put('2').put('3').segment({ nextLsn: 2 }).put('4').put('5')
  const [first, second] = [log.file(1), log.file(2)]
  const [wholeFirst, wholeSecond] = [first.slice(), second.slice()]
  first.fill(0, 2 * 4096)
  second.fill(0, 4096)
  const walked = walk(log, 0, undefined, () => {
    first.set(wholeFirst)
    second.set(wholeSecond)
  })
  assertEnds(walked, 5, false, { index: 1, offset: 3 * 4096 })
})

test('a segment ahead whose neighbour is missing proves nothing', () => {
  const log = twoSegments().segment().segment()
  log.files.delete(segmentName(3))
  assertEnds(walk(log), 6, false, { index: 1, offset: 4 * 4096 })
})

test('a full segment is left for the next one', () => {
  const log = new HandmadeLog()
    .segment({}, 3 * 4096)
    .put('1')
    .put('2')
    .segment()
    .put('3')
  assertEnds(walk(log), 3, false, { index: 1, offset: 8192 })
})

test('a walk may begin at any segment', () => {
  const walked = walk(twoSegments(), 1)
  assert.equal(walked.lsns, [4, 5, 6])
})

test('a walk stops when it has read what was asked for', () => {
  const walked = walk(twoSegments(), 0, 4)
  assert.equal(walked.lsns, [1, 2, 3, 4])
  assert.is(walked.end?.reached, true)
})

test('what is durable when the next frame is staged is proven, the last frame is not', () => {
  const log = twoSegments()
  assert.is(walk(log).provenLsn, 5)
  assert.is(walk(log.seal()).provenLsn, 6)
})

// Tails: damaged or missing frames that nothing proves.

test('a torn last frame is cut: damaged header, damaged body or nothing of it', () => {
  const header = twoSegments()
  flip(header, 2, header.last.offset + 64)
  assertEnds(walk(header), 5, true, { index: 1, offset: header.last.offset })
  const body = twoSegments()
  flip(body, 2, body.last.offset + 130)
  assertEnds(walk(body), 5, true, { index: 1, offset: body.last.offset })
  assert.is(walk(body).end?.tornBytes, 4096)
  const nothing = twoSegments()
  nothing.file(2).fill(0, nothing.last.offset)
  assertEnds(walk(nothing), 5, false, { index: 1, offset: nothing.last.offset })
})

test('a torn first frame of a new segment is cut there, or in the old segment when not even its header is there', () => {
  const log = new HandmadeLog().segment().put('1').segment().put('2')
  flip(log, 2, 4096 + 130)
  assertEnds(walk(log), 1, true, { index: 1, offset: 4096 })
  log.file(2).fill(0, 4096)
  assertEnds(walk(log), 1, false, { index: 0, offset: 8192 })
})

test('with several writes in flight a whole frame behind a torn one is void', () => {
  const log = new HandmadeLog().segment().put('1')
  log.frame({ records: [{ lsn: 2 }] })
  const torn = log.last
  log.frame({ records: [{ lsn: 3 }], durableLsn: 1 })
  log.frame({ records: [{ lsn: 4 }], durableLsn: 1 })
  log.file(1).fill(0, torn.offset, torn.endOffset)
  const walked = walk(log)
  assertEnds(walked, 1, true, { index: 0, offset: torn.offset })
  assert.is(walked.end?.tornBytes, 3 * 4096)
})

test('frames of an earlier life behind the end are neither frames nor a torn tail', () => {
  const log = new HandmadeLog().segment().put('1')
  const old = new HandmadeLog().segment({ salt: 5n })
  for (let count = 0; count < 5; count++) old.frame({ records: [{ lsn: count + 1 }], salt: 5n })
  log.file(1).set(old.file(1).subarray(8192), 8192)
  assertEnds(walk(log), 1, false, { index: 0, offset: 8192 })
})

test('a seal that is torn with nothing behind it costs nothing', () => {
  const log = twoSegments().seal()
  flip(log, 2, log.last.offset + 1)
  assertEnds(walk(log), 6, false, { index: 1, offset: log.last.offset })
  const begun = twoSegments().seal()
  flip(begun, 2, begun.last.offset + 50)
  assertEnds(walk(begun), 6, true, { index: 1, offset: begun.last.offset })
})

// Damage: something proves that a frame stood there.

test('a damaged frame that a later one knew as durable is damage, and names its LSNs', () => {
  for (const at of [64, 130]) {
    const log = new HandmadeLog().segment().put('1').put('2', '3').put('4').put('5')
    flip(log, 1, log.frames[1].offset + at)
    assertDamaged(walk(log), { segment: 1, offset: log.frames[1].offset, lsns: [2, 3] })
  }
})

test('a missing frame behind which a later one knew it as durable is damage', () => {
  const log = new HandmadeLog().segment().put('1').put('2').put('3')
  log.file(1).fill(0, log.frames[1].offset, log.frames[1].endOffset)
  assertDamaged(walk(log), { segment: 1, offset: log.frames[1].offset, lsns: [2, 2] })
})

test('a proof counts although its own body is torn', () => {
  const log = new HandmadeLog().segment().put('1').put('2').put('3')
  flip(log, 1, log.frames[1].offset + 130)
  flip(log, 1, log.frames[2].offset + 130)
  assertDamaged(walk(log), { segment: 1, offset: log.frames[1].offset })
})

test('a seal turns a damaged last frame from a torn tail into damage', () => {
  const log = twoSegments().seal()
  flip(log, 2, log.frames[5].offset + 130)
  assertDamaged(walk(log), { segment: 2, offset: log.frames[5].offset, lsns: [6, 6] })
})

test('the first frame of the next segment proves the one before complete, seals included', () => {
  for (const seal of [false, true]) {
    const log = new HandmadeLog().segment().put('1').put('2')
    if (seal) log.seal()
    const last = log.last
    log.segment().frame({ records: [{ lsn: 3 }], durableLsn: 0 })
    flip(log, 1, last.offset + 100)
    assertDamaged(walk(log), { segment: 1, offset: last.offset })
  }
})

test('a first frame of the next segment proves by its header alone', () => {
  const log = new HandmadeLog().segment().put('1').put('2').segment().put('3')
  flip(log, 1, log.frames[1].offset + 130)
  flip(log, 2, 4096 + 130)
  assertDamaged(walk(log), { segment: 1, offset: log.frames[1].offset, lsns: [2, 2] })
})

test('when the first frame of the next segment is damaged, those behind it prove it', () => {
  const log = twoSegments()
  flip(log, 2, 4096 + 10)
  assertDamaged(walk(log), { segment: 1, offset: 4 * 4096, lsns: [4, 4] })
})

test('a missing segment is damage', () => {
  const log = twoSegments().segment().put('7')
  log.files.delete(segmentName(2))
  assertDamaged(walk(log), { segment: 1, offset: 4 * 4096, lsns: [4, 6] })
})

test('missing segments at the beginning were dropped on purpose', () => {
  const log = twoSegments()
  log.files.delete(segmentName(1))
  assert.equal(walk(log).lsns, [4, 5, 6])
})

test('a damaged frame where the walk begins is never passed over', () => {
  for (const at of [10, 130]) {
    const first = twoSegments()
    flip(first, 1, 4096 + at)
    assertDamaged(walk(first), { segment: 1, offset: 4096, lsns: [1, 1] })
    const second = twoSegments().segment().put('7')
    second.files.delete(segmentName(1))
    flip(second, 2, 4096 + at)
    assertDamaged(walk(second), { segment: 2, offset: 4096, lsns: [4, 4] })
    const empty = twoSegments()
    empty.file(1).fill(0, 4096)
    assertDamaged(walk(empty), { segment: 1, offset: 4096, lsns: [1, 3] })
  }
})

test('a torn first frame where the walk begins is a torn tail', () => {
  const log = twoSegments()
  log.file(2).fill(0, log.frames[4].offset)
  flip(log, 2, 4096 + 130)
  log.files.delete(segmentName(1))
  const walked = walk(log)
  assert.is(walked.damage, undefined)
  assert.equal([walked.lsns, walked.end?.offset, walked.end?.torn], [[], 4096, true])
})

test('a truncated segment with a successor is damage', () => {
  const log = twoSegments()
  for (const length of [4096, 8192, 12288, 12300, 4 * 4096 - 4000]) {
    const file = log.file(1)
    log.files.set(segmentName(1), file.slice(0, length))
    assert.ok(walk(log).damage, `${length} bytes`)
    log.files.set(segmentName(1), file)
  }
})

test('a frame that does not continue the chain is damage even at the end', () => {
  const wrong: Array<Parameters<HandmadeLog['frame']>[0]> = [
    { frameSequence: 4 },
    { frameSequence: 2 },
    { previousChecksum: 7 },
    { previousOffset: 4096 },
    { records: [{ lsn: 4 }], firstLsn: 4, durableLsn: 2 },
    { records: [{ lsn: 2 }], firstLsn: 2, durableLsn: 1 },
  ]
  for (const fields of wrong) {
    const log = new HandmadeLog().segment().put('1').put('2')
    log.frame({ records: [{ lsn: 3 }], ...fields })
    assertDamaged(walk(log), { segment: 1, offset: log.last.offset })
  }
})

test('a torn frame whose header does not continue the chain is damage too', () => {
  const log = new HandmadeLog().segment().put('1')
  log.frame({ records: [{ lsn: 2 }], frameSequence: 3 })
  flip(log, 1, log.last.offset + 130)
  assertDamaged(walk(log), { segment: 1, offset: log.last.offset })
})

// Cuts, copies and gaps.

test('a cut voids what stands behind it, and the chain goes on from the frame before', () => {
  const log = new HandmadeLog().segment().put('1').put('2')
  const last = log.last
  log.put('void').put('void too').segment().put('void as well')
  log.cutSegment({ segment: 1, last }).put('3')
  assertEnds(walk(log), 3, false, { index: 1, offset: 8192 })
})

test('a gap in the header moves the LSNs of the first frame', () => {
  const log = new HandmadeLog().segment().put('1').put('2')
  log.cutSegment({ segment: 1, last: log.last, gapLast: 1000 }).put('a').put('b')
  const walked = walk(log)
  assert.equal(walked.lsns, [1, 2, 1001, 1002])
  assert.is(walked.damage, undefined)
})

test('a cut of everything begins the log anew', () => {
  const log = new HandmadeLog().segment().put('void')
  log.cutSegment({ segment: 1, last: undefined, gapLast: 50 }).put('a')
  assert.equal(walk(log).lsns, [51])
})

test('gaps without a frame between them join', () => {
  for (const gapFirst of [2, 1001]) {
    const log = new HandmadeLog().segment().put('1')
    const last = log.last
    log.cutSegment({ segment: 1, last, gapLast: 1000 })
    log.cutSegment({ segment: 2, last, offset: 4096, gapLast: 2000 })
    log.segment({ ...lastHeader(log, last, gapFirst), segmentSequence: 3 }).put('a')
    const walked = walk(log)
    assert.is(walked.damage?.message, undefined)
    assert.equal(walked.lsns, [1, 2001])
  }
})

/** The header that cuts segment 2 at its beginning, with a gap that begins somewhere else. */
function lastHeader(
  log: HandmadeLog,
  last: { endLsn: number; frameSequence: number; checksum: number },
  gapFirst: number,
): Parameters<HandmadeLog['segment']>[0] {
  log.nextLsn = 2001
  return {
    cutSegment: 2,
    cutOffset: 4096,
    cutLastLsn: last.endLsn - 1,
    cutFrameSequence: last.frameSequence,
    cutChecksum: last.checksum,
    gapFirst,
    gapLast: 2000,
  }
}

test('a gap that overlaps records or leaves LSNs out is damage', () => {
  for (const gapFirst of [2, 4]) {
    const log = new HandmadeLog().segment().put('1').put('2')
    const { last } = log
    log.segment({
      cutSegment: 1,
      cutOffset: last.endOffset,
      cutLastLsn: 2,
      cutFrameSequence: 2,
      cutChecksum: last.checksum,
      gapFirst,
      gapLast: 9,
    })
    log.frame({ records: [{ lsn: 10 }], firstLsn: 10, previousOffset: 0 })
    assertDamaged(walk(log), { segment: 2, offset: 4096 })
  }
})

test('copied frames come before the gap and are proven', () => {
  const log = new HandmadeLog().segment().put('1').put('2').put('3')
  const kept = log.frames[1]
  log.frameSequence = kept.frameSequence
  log.nextLsn = kept.endLsn
  log.previousOffset = 0
  log.previousChecksum = kept.checksum
  log.segment({
    cutSegment: 1,
    cutOffset: kept.endOffset,
    cutLastLsn: 2,
    cutFrameSequence: 2,
    cutChecksum: kept.checksum,
    provenOffset: 8192,
    gapFirst: 4,
    gapLast: 99,
  })
  log.put('3')
  assert.equal(walk(log).lsns, [1, 2, 3])
  assert.is(walk(log).provenLsn, 3)
  log.frame({ records: [{ lsn: 100 }], firstLsn: 100, durableLsn: 3 })
  assert.equal(walk(log).lsns, [1, 2, 3, 100])
  // Nothing behind it is needed to make damage of a copied frame.
  log.file(2).fill(0, log.last.offset)
  flip(log, 2, 4096 + 130)
  assertDamaged(walk(log), { segment: 2, offset: 4096, lsns: [3, 3] })
})

test('a cut among copied frames is damage', () => {
  const log = new HandmadeLog().segment().put('1')
  const { last } = log
  const cut = {
    cutSegment: 1,
    cutOffset: last.endOffset,
    cutLastLsn: 1,
    cutFrameSequence: 1,
    cutChecksum: last.checksum,
  }
  log.previousOffset = 0
  log.segment({ ...cut, provenOffset: 12288 }).put('2')
  const kept = log.last
  log.put('3')
  log.cutSegment({ segment: 2, last: kept })
  assertDamaged(walk(log), { segment: 2, offset: 8192 })
})

test('damage before a cut is damage', () => {
  const log = new HandmadeLog().segment().put('1').put('2')
  log.cutSegment({ segment: 1, last: log.last })
  flip(log, 1, 8192 + 130)
  assertDamaged(walk(log), { segment: 1, offset: 8192, lsns: [2, 2] })
})

test('a cut that does not fit what stands before it is damage', () => {
  const log = new HandmadeLog().segment().put('1').put('2')
  log.cutSegment({ segment: 1, last: { ...log.last, checksum: 1 } })
  assertDamaged(walk(log), { segment: 2, offset: 0 })
})

test('a cut whose segment is missing is damage', () => {
  const log = twoSegments()
  log.cutSegment({ segment: 2, last: log.last })
  log.files.delete(segmentName(2))
  assertDamaged(walk(log), { segment: 1, offset: 4 * 4096 })
})

test.run()
