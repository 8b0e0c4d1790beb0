import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  classifyName,
  parseSegmentName,
  parseSpareName,
  parseTemporaryName,
  probeName,
  segmentName,
  spareName,
  temporaryName,
} from '../../src/format/segment-name.ts'

test('a segment sequence survives its file name', () => {
  for (const sequence of [1, 42, 2 ** 31, 2 ** 32 + 7, Number.MAX_SAFE_INTEGER]) {
    assert.is(parseSegmentName(segmentName(sequence)), sequence)
    assert.is(parseTemporaryName(temporaryName(sequence)), sequence)
    assert.is(parseSpareName(spareName(sequence)), sequence)
  }
  assert.is(segmentName(7), 'wal-00000000000000000007.seg')
})

test('names sort like their sequences', () => {
  const sequences = [10, 9, 2 ** 40, 1]
  const sorted = sequences.map(segmentName).sort().map(parseSegmentName)
  assert.equal(sorted, [1, 9, 10, 2 ** 40])
})

test('every name of ours has its kind, and nothing else has', () => {
  assert.is(classifyName(segmentName(1)), 'segment')
  assert.is(classifyName(temporaryName(1)), 'temporary')
  assert.is(classifyName(spareName(1)), 'spare')
  assert.is(classifyName(probeName(123, 4)), 'probe')
  assert.is(classifyName('LOCK'), 'lock')
  for (const name of [
    'wal-0000000000000000001.seg',
    'wal-000000000000000000001.seg',
    'wal-00000000000000000001.seg.bak',
    'xwal-00000000000000000001.seg',
    'wal-0000000000000000000x.seg',
    'wal-00000000000000000000.seg',
    'wal-99999999999999999999.seg',
    'probe--1.tmp',
    'lock',
    '',
    'wal-00000000000000000001.seg\n',
  ]) {
    assert.is(classifyName(name), 'foreign', JSON.stringify(name))
  }
})

test.run()
