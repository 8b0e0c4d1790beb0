import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isSuccessor, liveSegments } from '../../src/format/live-segments.ts'
import { decodeSegmentHeader, type SegmentHeader } from '../../src/format/segment-header.ts'
import { handHeader } from '../support/handmade-log.ts'

/** A segment, and what it cuts: [3] or [3, 2, 8192]. */
type Row = [sequence: number, cutSegment?: number, cutOffset?: number]

function headers(rows: Row[]): SegmentHeader[] {
  return rows.map(([segmentSequence, cutSegment = 0, cutOffset = 0]) => {
    const decoded = decodeSegmentHeader(handHeader({ segmentSequence, cutSegment, cutOffset }))
    if (!decoded.ok) throw new Error(decoded.reason)
    return decoded.header
  })
}

function live(rows: Row[]): Array<[number, number]> {
  return liveSegments(headers(rows)).map(({ header, endOffset }) => [header.segmentSequence, endOffset])
}

const whole = Number.POSITIVE_INFINITY

test('without cuts every segment is live and whole, in whatever order they were found', () => {
  assert.equal(live([]), [])
  assert.equal(live([[3], [1], [2]]), [
    [1, whole],
    [2, whole],
    [3, whole],
  ])
})

test('a cut ends its segment and voids those in between', () => {
  assert.equal(live([[1], [2], [3], [4], [5, 2, 8192]]), [
    [1, whole],
    [2, 8192],
    [5, whole],
  ])
})

test('cuts of cuts count, cuts that were cut off do not', () => {
  assert.equal(live([[1], [2, 1, 4096], [3, 2, 12288]]), [
    [1, 4096],
    [2, 12288],
    [3, whole],
  ])
  assert.equal(live([[1], [2], [3, 1, 4096], [4, 2, 8192]]), [
    [1, whole],
    [2, 8192],
    [4, whole],
  ])
})

test('a cut of a segment that is gone leaves the others whole', () => {
  assert.equal(live([[4], [6, 5, 4096]]), [
    [4, whole],
    [6, whole],
  ])
  assert.equal(live([[6, 5, 4096]]), [[6, whole]])
})

test('a missing segment between two live ones shows', () => {
  const [one, two, three, five] = headers([[1], [2], [3, 1, 4096], [5, 4, 4096]])
  assert.ok(isSuccessor(one, two))
  assert.ok(isSuccessor(one, three))
  assert.not(isSuccessor(two, three))
  assert.not(isSuccessor(three, five))
})

test.run()
