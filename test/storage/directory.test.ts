import { constants } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GroupWalError } from '../../src/errors.ts'
import { segmentName, spareName, temporaryName } from '../../src/format/segment-name.ts'
import {
  asOpenFailure,
  ensureDirectory,
  listSegments,
  nextSegmentSequence,
  syncAncestors,
} from '../../src/storage/directory.ts'
import { loseAll, SimulatedDisk } from '../support/simulated-disk.ts'

function touch(disk: SimulatedDisk, path: string): void {
  disk.close(disk.open(path, constants.O_RDWR | constants.O_CREAT, 0o600))
}

test('a directory is listed by kind and number', () => {
  const disk = new SimulatedDisk()
  disk.makeDirectory('/log', 0o700)
  const names = [segmentName(10), segmentName(9), spareName(7), spareName(2), 'LOCK', 'notes', 'wal-9.seg']
  for (const name of [...names, temporaryName(11), 'probe-12-345.tmp']) touch(disk, `/log/${name}`)
  const listing = listSegments(disk, '/log')
  assert.equal(
    listing.segments.map(({ number }) => number),
    [9, 10],
  )
  assert.equal(
    listing.spares.map(({ number }) => number),
    [2, 7],
  )
  assert.equal(listing.strays.sort(), ['/log/probe-12-345.tmp', `/log/${temporaryName(11)}`])
  assert.equal(listing.foreign.sort(), ['notes', 'wal-9.seg'])
  assert.is(nextSegmentSequence(listing), 12, 'above those in the making, too')
})

test('missing parents are made, and the path can be made durable', () => {
  const disk = new SimulatedDisk()
  ensureDirectory(disk, '/a/b/c')
  ensureDirectory(disk, '/a/b/c')
  assert.throws(() => disk.powerCut(loseAll).list('/a'), /ENOENT/)
  syncAncestors(disk, '/a/b/c')
  assert.equal(disk.powerCut(loseAll).list('/a/b/c'), [])
})

test('ancestors that belong to others need not be synced', () => {
  const disk = new SimulatedDisk()
  ensureDirectory(disk, '/a/b')
  disk.faults.add({ method: 'syncDirectory', call: 2, code: 'EACCES' })
  syncAncestors(disk, '/a/b')
  disk.faults.add({ method: 'syncDirectory', call: 1, code: 'EIO' })
  assert.throws(() => syncAncestors(disk, '/a/b'), /EIO/)
})

test('a failed call becomes an error of the open, others stay what they are', () => {
  const failed = asOpenFailure('/log', Object.assign(new Error('EACCES: no'), { code: 'EACCES' }))
  assert.ok(GroupWalError.is(failed))
  assert.is(failed.code, 'GROUPWAL_OPEN_FAILED')
  assert.is((failed.cause as { code: string }).code, 'EACCES')
  for (const error of [new TypeError('x'), new GroupWalError('GROUPWAL_LOCKED', 'x')]) {
    assert.is(asOpenFailure('/log', error), error)
  }
})

test.run()
