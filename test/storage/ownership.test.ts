import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SegmentWriter } from '../../src/commit/segment-writer.ts'
import { segmentName } from '../../src/format/segment-name.ts'
import { acquireLock } from '../../src/storage/lock-file.ts'
import { createNodeFileSystem } from '../../src/storage/node-file-system.ts'
import { Ownership } from '../../src/storage/ownership.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const fs = createNodeFileSystem()

test('a directory is ours until another opener names itself, also one whose text begins with ours', async () => {
  const directory = temporaryDirectory()
  const lock = await acquireLock(fs, directory)
  const ownership = new Ownership(fs, directory, lock.text!)
  assert.ok(ownership.isOurs())
  lock.release()
  // Nobody else has it yet.
  assert.ok(ownership.isOurs())
  const next = await acquireLock(fs, directory)
  assert.not(ownership.isOurs())
  assert.ok(new Ownership(fs, directory, next.text!).isOurs())
  next.release()
  for (const text of [`${lock.text}x`, lock.text!.slice(0, -1), '']) {
    writeFileSync(join(directory, 'LOCK'), text)
    assert.not(ownership.isOurs(), text)
  }
  ownership.close()
  rmSync(join(directory, 'LOCK'))
  assert.not(ownership.isOurs(), "what cannot be read is nobody's")
})

test('a frame is not written where the directory was lost before', async () => {
  const { writes, failedCall, firstByte } = await writeWhileLost('before')
  assert.is(failedCall, 'lock')
  // The file is another's by now.
  assert.is(writes, 0)
  assert.is(firstByte, 0)
})

test('a frame is not durable where the directory was lost during its write', async () => {
  const { writes, failedCall, firstByte } = await writeWhileLost('during')
  assert.is(failedCall, 'lock')
  assert.is(writes, 1)
  assert.is(firstByte, FILL)
})

test('a thread that has no fd left for the lock file cannot open the segment, which says nothing of the owner', async () => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, segmentName(1)), Buffer.alloc(8192))
  const lock = await acquireLock(fs, directory)
  let hasFds = false
  const scarce = {
    ...fs,
    open: (...call: Parameters<typeof fs.open>) => {
      if (!hasFds) throw Object.assign(new Error('EMFILE'), { code: 'EMFILE', errno: -24 })
      return fs.open(...call)
    },
  }
  const writer = new SegmentWriter(fs, directory, 'fdatasync', new Ownership(scarce, directory, lock.text!))
  assert.not(writer.openSegment(1))
  assert.equal([writer.failedCall, writer.failedErrno], ['open', 24])
  hasFds = true
  assert.ok(writer.openSegment(1))
  assert.ok(writer.writeDurably(new Uint8Array(4096), 0, 4096, 4096, 5000))
  writer.closeAll()
  lock.release()
})

const FILL = 7

/** Writes a frame into a directory that another opener gets `when`. Fails when the frame is said to be durable. */
async function writeWhileLost(
  when: 'before' | 'during',
): Promise<{ writes: number; failedCall: string; firstByte: number }> {
  const directory = temporaryDirectory()
  const path = join(directory, segmentName(1))
  writeFileSync(path, Buffer.alloc(8192))
  const lock = await acquireLock(fs, directory)
  const lose = (): void => writeFileSync(join(directory, 'LOCK'), 'of another')
  let writes = 0
  const losing = {
    ...fs,
    write: (...call: Parameters<typeof fs.write>) => {
      writes++
      if (when === 'during') lose()
      return fs.write(...call)
    },
  }
  const writer = new SegmentWriter(losing, directory, 'fdatasync', new Ownership(fs, directory, lock.text!))
  assert.ok(writer.openSegment(1))
  if (when === 'before') lose()
  const frame = new Uint8Array(4096).fill(FILL)
  assert.not(writer.writeDurably(frame, 0, frame.length, 4096, 5000))
  writer.closeAll()
  lock.release()
  return { writes, failedCall: writer.failedCall, firstByte: readFileSync(path)[4096]! }
}

test.run()
