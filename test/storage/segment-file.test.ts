import { constants } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeSegmentHeader } from '../../src/format/segment-header.ts'
import { segmentName, spareName, temporaryName } from '../../src/format/segment-name.ts'
import { listSegments } from '../../src/storage/directory.ts'
import type { FileSystem } from '../../src/storage/file-system.ts'
import { prepareSegment, SegmentBuilder, type SegmentSpec } from '../../src/storage/segment-file.ts'
import { extendZeros, readWhole } from '../../src/storage/whole-io.ts'
import { withFailingClose } from '../support/failing-close.ts'
import { modelOptions } from '../support/model-log.ts'
import { createRandom } from '../support/random.ts'
import { loseAll, SimulatedDisk } from '../support/simulated-disk.ts'

const BLOCK_BYTES = 4096
const SEGMENT_BYTES = 16 * BLOCK_BYTES
const DIRECTORY = '/log'
const sources = modelOptions(createRandom(1))

function newDisk(): SimulatedDisk {
  const disk = new SimulatedDisk()
  disk.makeDirectory(DIRECTORY, 0o700)
  disk.syncDirectory('/')
  return disk
}

function specOf(sequence: number): SegmentSpec {
  return {
    sequence,
    logId: new Uint8Array(16).fill(7),
    blockBytes: BLOCK_BYTES,
    segmentBytes: SEGMENT_BYTES,
    maxOutstandingRecords: 100,
    nextLsn: 11,
    nextFrameSequence: 5,
  }
}

function readFile(fs: FileSystem, name: string): Uint8Array {
  const fd = fs.open(`${DIRECTORY}/${name}`, constants.O_RDONLY, 0)
  const bytes = new Uint8Array(fs.fileSize(fd))
  readWhole(fs, fd, bytes, bytes.length, 0)
  fs.close(fd)
  return bytes
}

/** A disk with one spare of this size, full of old bytes. */
function diskWithSpare(bytes: number): SimulatedDisk {
  const disk = newDisk()
  const fd = disk.open(`${DIRECTORY}/${spareName(3)}`, constants.O_RDWR | constants.O_CREAT, 0o600)
  disk.write(fd, new Uint8Array(bytes).fill(0xee), 0, bytes, 0)
  disk.fullSync(fd)
  disk.close(fd)
  disk.syncDirectory(DIRECTORY)
  return disk
}

test('a prepared segment is durable on return, with its header and the zeros asked for', () => {
  const disk = newDisk()
  const made = prepareSegment(disk, DIRECTORY, specOf(4), sources, 5 * BLOCK_BYTES)
  const after = disk.powerCut(loseAll)
  const bytes = readFile(after, segmentName(4))
  assert.is(bytes.length, 5 * BLOCK_BYTES)
  assert.is(made.zeroedTo, bytes.length)
  assert.is(made.path, `${DIRECTORY}/${segmentName(4)}`)
  const decoded = decodeSegmentHeader(bytes)
  assert.ok(decoded.ok)
  assert.equal(
    { ...decoded.header, logId: [...decoded.header.logId] },
    {
      segmentSequence: 4,
      saltLow: made.saltLow,
      saltHigh: made.saltHigh,
      logId: Array(16).fill(7),
      blockBytes: BLOCK_BYTES,
      maxOutstandingRecords: 100,
      segmentBytes: SEGMENT_BYTES,
      createdMs: decoded.header.createdMs,
      nextLsn: 11,
      nextFrameSequence: 5,
      cutSegment: 0,
      cutOffset: 0,
      cutLastLsn: 0,
      cutFrameSequence: 0,
      cutChecksum: 0,
      provenOffset: BLOCK_BYTES,
      gapFirst: 0,
      gapLast: 0,
    },
  )
  assert.ok(bytes.subarray(512).every((byte) => byte === 0))
})

test('zeros never go beyond the size of a segment', () => {
  const made = prepareSegment(newDisk(), DIRECTORY, specOf(1), sources, 2 * SEGMENT_BYTES)
  assert.is(made.zeroedTo, SEGMENT_BYTES)
})

test('a spare is used as it is, under a salt of its own, and not filled again', () => {
  const disk = diskWithSpare(SEGMENT_BYTES)
  const calls = disk.callCount
  const made = prepareSegment(disk, DIRECTORY, specOf(4), sources, SEGMENT_BYTES)
  assert.is(made.zeroedTo, SEGMENT_BYTES)
  assert.is(disk.callCount - calls, 4, 'header, sync, rename, directory sync')
  const bytes = readFile(disk.powerCut(loseAll), segmentName(4))
  assert.ok(bytes.subarray(BLOCK_BYTES).every((byte) => byte === 0xee))
  assert.equal(listSegments(disk, DIRECTORY).spares, [])
  const other = prepareSegment(diskWithSpare(SEGMENT_BYTES), DIRECTORY, specOf(4), sources, 0)
  assert.not.equal([made.saltLow, made.saltHigh], [other.saltLow, other.saltHigh])
})

test('a spare that is too short is filled up, one that is too long is cut', () => {
  const short = prepareSegment(diskWithSpare(3 * BLOCK_BYTES), DIRECTORY, specOf(4), sources, 8 * BLOCK_BYTES)
  assert.is(short.zeroedTo, 8 * BLOCK_BYTES)
  const disk = diskWithSpare(2 * SEGMENT_BYTES)
  assert.is(prepareSegment(disk, DIRECTORY, specOf(4), sources, 0).zeroedTo, SEGMENT_BYTES)
  assert.is(readFile(disk, segmentName(4)).length, SEGMENT_BYTES)
})

test('a segment sequence is never given twice', () => {
  const disk = newDisk()
  prepareSegment(disk, DIRECTORY, specOf(4), sources, 0)
  assert.throws(() => prepareSegment(disk, DIRECTORY, specOf(4), sources, 0), /used once/)
})

test('a builder can be filled in steps, each synced', () => {
  const disk = newDisk()
  const builder = SegmentBuilder.begin(disk, DIRECTORY, specOf(1), sources)
  for (let to = 4 * BLOCK_BYTES; to <= SEGMENT_BYTES; to += 4 * BLOCK_BYTES) {
    builder.fill(to)
    builder.sync()
    assert.is(builder.filledTo, to)
  }
  assert.equal(listSegments(disk, DIRECTORY).segments, [])
  assert.is(builder.publish().zeroedTo, SEGMENT_BYTES)
})

test('a segment that cannot be made leaves nothing behind and nothing open', () => {
  for (const code of ['EIO', 'ENOSPC']) {
    for (let call = 1; call < 10; call++) {
      const disk = newDisk()
      disk.faults.add({ call, code })
      try {
        prepareSegment(disk, DIRECTORY, specOf(4), sources, SEGMENT_BYTES)
      } catch (error) {
        assert.is((error as { code?: string }).code, code)
        disk.faults.clear()
        const { segments, strays } = listSegments(disk, DIRECTORY)
        assert.equal([segments, strays], [[], []], `${code} at call ${call}`)
        assert.is(disk.openCount, 0)
      }
    }
  }
})

test('a file whose close fails is not closed again: another thread may have its number by then', () => {
  const { fs, closedFds } = withFailingClose(newDisk())
  assert.throws(() => prepareSegment(fs, DIRECTORY, specOf(4), sources, SEGMENT_BYTES), /EIO/)
  assert.is(closedFds.length, 1)
})

test('a spare stays one when the disk is full, and goes when the disk failed on it', () => {
  for (const [code, left] of [
    ['ENOSPC', 1],
    ['EIO', 0],
  ] as const) {
    const disk = diskWithSpare(SEGMENT_BYTES)
    disk.faults.add({ method: 'write', call: 1, code })
    assert.throws(() => prepareSegment(disk, DIRECTORY, specOf(4), sources, 0))
    assert.is(listSegments(disk, DIRECTORY).spares.length, left, code)
  }
})

test('a builder that is given up untouched leaves its spare and removes its temporary file', () => {
  const withSpare = diskWithSpare(SEGMENT_BYTES)
  SegmentBuilder.begin(withSpare, DIRECTORY, specOf(4), sources).abandon()
  assert.is(listSegments(withSpare, DIRECTORY).spares.length, 1)
  const without = newDisk()
  const builder = SegmentBuilder.begin(without, DIRECTORY, specOf(4), sources)
  assert.equal(without.list(DIRECTORY), [temporaryName(4)])
  builder.abandon()
  assert.equal(without.list(DIRECTORY), [])
})

test('extended zeros are durable on return', () => {
  const disk = newDisk()
  const { path } = prepareSegment(disk, DIRECTORY, specOf(1), sources, 2 * BLOCK_BYTES)
  const fd = disk.open(path, constants.O_RDWR, 0)
  extendZeros(disk, fd, 2 * BLOCK_BYTES, 9 * BLOCK_BYTES)
  assert.is(readFile(disk.powerCut(loseAll), segmentName(1)).length, 9 * BLOCK_BYTES)
})

test.run()
