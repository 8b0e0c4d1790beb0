// What recovery says of logs that no crash leaves: damage, missing files, other versions, other people's folders.

import { constants } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type CorruptLogError, GroupWalError, type GroupWalErrorCode } from '../../src/errors.ts'
import { checksum } from '../../src/format/checksum.ts'
import { segmentName } from '../../src/format/segment-name.ts'
import type { RecoverOptions } from '../../src/recovery/recover.ts'
import type { FileSystem } from '../../src/storage/file-system.ts'
import { readWhole, writeWhole } from '../../src/storage/whole-io.ts'
import { withHistory } from '../support/crash-explorer.ts'
import { HandmadeLog } from '../support/handmade-log.ts'
import { BLOCK_BYTES, LOG_DIRECTORY, modelOptions, openAndSettle, openModel } from '../support/model-log.ts'
import { FAILED_LIVES, ModelWorld } from '../support/model-world.ts'
import { chooseSeed, createRandom } from '../support/random.ts'
import { keepAll, SimulatedDisk } from '../support/simulated-disk.ts'
import { SimulatedCrash } from '../support/simulated-faults.ts'

const random = createRandom(chooseSeed('recover-damage'))
const options = modelOptions(random)

/** Three segments, closed in order: every record is proven durable. */
function closedLog(): ModelWorld {
  const world = new ModelWorld(options)
  const writer = world.open()
  for (let segment = 0; segment < 3; segment++) {
    if (segment > 0) writer.rotate()
    writer.commit([2])
    writer.commit([1])
  }
  writer.close()
  world.disk.killProcess()
  return world
}

function pathOf(sequence: number): string {
  return `${LOG_DIRECTORY}/${segmentName(sequence)}`
}

/** Changes bytes of a file; they are on the disk at once. */
function patch(fs: FileSystem, path: string, change: (bytes: Uint8Array) => void): void {
  const fd = fs.open(path, constants.O_RDWR, 0)
  const bytes = new Uint8Array(fs.fileSize(fd))
  readWhole(fs, fd, bytes, bytes.length, 0)
  change(bytes)
  writeWhole(fs, fd, bytes, 0)
  fs.fullSync(fd)
  fs.close(fd)
}

function flip(sequence: number, offset: number): (disk: SimulatedDisk) => void {
  return (disk) => patch(disk, pathOf(sequence), (bytes) => (bytes[offset]! ^= 0x10))
}

function failureOf(
  disk: SimulatedDisk,
  spoil: (disk: SimulatedDisk) => void,
  overrides: Partial<RecoverOptions> = {},
): GroupWalError {
  spoil(disk)
  const callCount = disk.callCount
  try {
    openModel(disk, options, overrides)
  } catch (error) {
    assert.ok(GroupWalError.is(error), String(error))
    assert.is(disk.openCount, 0, 'all files are closed again')
    assert.is(disk.callCount, callCount, 'nothing was changed')
    return error as GroupWalError
  }
  throw new Error('it was opened')
}

const damages: [string, (disk: SimulatedDisk) => void, { segment: number; offset: number }][] = [
  ['a segment header', flip(2, 20), { segment: 2, offset: 0 }],
  ['the first frame of a sealed segment', flip(2, BLOCK_BYTES + 50), { segment: 2, offset: BLOCK_BYTES }],
  [
    'the last frame of a sealed segment',
    flip(1, 2 * BLOCK_BYTES + 50),
    { segment: 1, offset: 2 * BLOCK_BYTES },
  ],
  // That it should stand in the next segment, only it could have said.
  [
    'the first frame of the newest segment',
    flip(3, BLOCK_BYTES + 8),
    { segment: 2, offset: 3 * BLOCK_BYTES },
  ],
  ['a record of the newest segment', flip(3, BLOCK_BYTES + 170), { segment: 3, offset: BLOCK_BYTES }],
  [
    'the last record before the seal',
    flip(3, 2 * BLOCK_BYTES + 170),
    { segment: 3, offset: 2 * BLOCK_BYTES },
  ],
  ['a missing segment', (disk) => disk.unlink(pathOf(2)), { segment: 2, offset: 0 }],
  [
    'a sealed segment that lost its end',
    (disk) => {
      const fd = disk.open(pathOf(1), constants.O_RDWR, 0)
      disk.truncate(fd, 2 * BLOCK_BYTES)
      disk.close(fd)
    },
    { segment: 1, offset: 2 * BLOCK_BYTES },
  ],
]

for (const [name, spoil, place] of damages) {
  test(`damage is refused with its place and changes nothing: ${name}`, () => {
    const error = failureOf(closedLog().disk, spoil) as CorruptLogError
    assert.is(error.code, 'GROUPWAL_CORRUPT', error.message)
    assert.is(error.segment, segmentName(place.segment), error.message)
    assert.is(error.offset, place.offset, error.message)
    assert.match(error.message, segmentName(place.segment))
  })
}

test('a damaged seal at the end is a torn tail, since it holds no record', () => {
  const world = closedLog()
  flip(3, 3 * BLOCK_BYTES + 8)(world.disk)
  const opened = openModel(world.disk, options)
  assert.not(opened.cleanClose)
  assert.equal(opened.report.tornTail, {
    segment: segmentName(3),
    offset: 3 * BLOCK_BYTES,
    firstUnreadableLsn: 10,
    bytes: 0,
  })
  assert.is(opened.durableLsn, 9)
})

test('no flipped bit makes an acknowledged record disappear in silence, or change', () => {
  const world = closedLog()
  for (let round = 0; round < 1500; round++) {
    const disk = world.disk.fork()
    const sequence = 1 + random.int(3)
    const offset = random.int(random.chance(0.5) ? 4 * BLOCK_BYTES : 400) + random.int(2) * BLOCK_BYTES
    flip(sequence, offset)(disk)
    try {
      openAndSettle(disk, options, world.ledger.copy())
    } catch (error) {
      if (GroupWalError.is(error)) continue
      throw withHistory(error, `bit in byte ${offset} of segment ${sequence} was flipped`)
    }
  }
})

const refusals: [string, GroupWalErrorCode, (disk: SimulatedDisk) => void, Partial<RecoverOptions>][] = [
  [
    'a segment of a newer version',
    'GROUPWAL_UNSUPPORTED_VERSION',
    (disk) =>
      patch(disk, pathOf(3), (bytes) => {
        const view = new DataView(bytes.buffer)
        view.setUint16(4, 2, true)
        view.setUint32(508, checksum(bytes.subarray(0, 508)), true)
      }),
    {},
  ],
  [
    'blocks that are too small for direct writes to this disk',
    'GROUPWAL_OPEN_FAILED',
    () => {},
    { blockBytes: 2 * BLOCK_BYTES, directWrites: true },
  ],
  [
    'a disk that cannot be read',
    'GROUPWAL_OPEN_FAILED',
    (disk) => disk.faults.add({ method: 'read', call: 3, code: 'EIO' }),
    {},
  ],
]

for (const [name, code, spoil, overrides] of refusals) {
  test(`opening is refused: ${name}`, () => {
    assert.is(failureOf(closedLog().disk, spoil, overrides).code, code)
  })
}

test('a log with small blocks opens on any disk when it is not written directly', () => {
  const world = closedLog()
  const opened = openModel(world.disk, options, { blockBytes: 2 * BLOCK_BYTES, directWrites: false })
  assert.is(opened.blockBytes, BLOCK_BYTES)
})

test('a segment of another log is refused', () => {
  const world = closedLog()
  const other = closedLog()
  patch(world.disk, pathOf(3), (bytes) =>
    patch(other.disk, pathOf(3), (foreign) => {
      bytes.set(foreign.subarray(0, bytes.length))
    }),
  )
  assert.is(failureOf(world.disk, () => {}).code, 'GROUPWAL_CORRUPT')
})

test('a folder with other files and no segment is not made a log', () => {
  const world = new ModelWorld(options)
  world.disk.makeDirectory(LOG_DIRECTORY, 0o700)
  world.disk.close(world.disk.open(`${LOG_DIRECTORY}/notes.txt`, constants.O_RDWR | constants.O_CREAT, 0o600))
  const error = failureOf(world.disk, () => {})
  assert.is(error.code, 'GROUPWAL_FOREIGN_DIRECTORY')
  assert.match(error.message, 'notes.txt')
})

test('a file in place of the folder is refused', () => {
  const world = new ModelWorld(options)
  world.disk.close(world.disk.open(LOG_DIRECTORY, constants.O_RDWR | constants.O_CREAT, 0o600))
  assert.is(failureOf(world.disk, () => {}).code, 'GROUPWAL_OPEN_FAILED')
})

test('other files beside a log are left alone', () => {
  const world = closedLog()
  const path = `${LOG_DIRECTORY}/notes.txt`
  world.disk.close(world.disk.open(path, constants.O_RDWR | constants.O_CREAT, 0o600))
  world.open()
  assert.ok(world.disk.list(LOG_DIRECTORY).includes('notes.txt'))
})

test('a header of a void segment may be damaged', () => {
  const world = new ModelWorld(options)
  const writer = world.open()
  writer.commit([1])
  writer.prepareAhead()
  const stopped = world.disk.fork()
  // Recovery makes segment 3 and stops before it retires segment 2, which that makes void.
  openModel(stopped, options)
  const path = pathOf(2)
  const copy = stopped.open(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  writeWhole(stopped, copy, new Uint8Array(BLOCK_BYTES).fill(7), 0)
  stopped.close(copy)
  openAndSettle(stopped, options, world.ledger)
  assert.not(stopped.list(LOG_DIRECTORY).includes(segmentName(2)))
})

test('of a fence that was itself cut at its beginning only the header must be there', () => {
  const world = new ModelWorld(options)
  FAILED_LIVES['a fence behind a fence']!(world)
  const fd = world.disk.open(pathOf(2), constants.O_RDWR, 0)
  world.disk.truncate(fd, 600)
  world.disk.close(fd)
  openAndSettle(world.disk, options, world.ledger)
})

test('a segment file whose header names another number is a spare', () => {
  const world = new ModelWorld(options)
  const writer = world.open()
  writer.commit([1])
  writer.prepareAhead()
  world.disk.rename(pathOf(2), pathOf(9))
  openAndSettle(world.disk, options, world.ledger)
  assert.not(world.disk.list(LOG_DIRECTORY).includes(segmentName(9)))
})

test('an end of the LSNs is an error, not a wrap', () => {
  const disk = new ModelWorld(options).disk
  openModel(disk, options, { firstLsn: Number.MAX_SAFE_INTEGER - 4 })
  assert.throws(
    () => openModel(disk, options),
    (error: GroupWalError) => error.code === 'GROUPWAL_LSN_EXHAUSTED',
  )
})

test('a call that fails leaves a log that opens as if nothing had been', () => {
  for (const name of ['closed', 'torn', 'ahead']) {
    const world = name === 'closed' ? closedLog() : new ModelWorld(options)
    const writer = world.open()
    writer.commit([2])
    if (name === 'ahead') writer.prepareAhead()
    if (name === 'torn') writer.writeUnsynced(1)
    for (const code of ['EIO', 'ENOSPC', 'EMFILE']) {
      for (let call = 1; ; call++) {
        const disk = world.disk.fork()
        disk.faults.add({ call, code })
        let isDone = true
        try {
          openModel(disk, options)
        } catch (error) {
          isDone = false
          if (!GroupWalError.is(error)) throw withHistory(error, `${name}: ${code} at call ${call}`)
          assert.is((error as GroupWalError).code, 'GROUPWAL_OPEN_FAILED')
        }
        if (code !== 'EIO') assert.is(disk.openCount, 0)
        disk.faults.clear()
        openAndSettle(disk, options, world.ledger.copy())
        if (isDone) break
      }
    }
  }
})

test('a machine that stops at any call leaves no hole among segments that were made ahead', () => {
  // Of segment 2, which is the first that is left, the only frame is torn; 4 alone knows of LSNs as high as that.
  const log = new HandmadeLog().segment().put('1').segment()
  log.nextLsn = 8
  log.put('torn').segment({ nextLsn: 2 }).segment({ nextLsn: 8 })
  log.file(2)[BLOCK_BYTES + 152]! ^= 1
  const whole = new SimulatedDisk()
  whole.makeDirectory(LOG_DIRECTORY, 0o700)
  for (const sequence of [2, 3, 4]) {
    whole.close(whole.open(pathOf(sequence), constants.O_RDWR | constants.O_CREAT, 0o600))
    const fd = whole.open(pathOf(sequence), constants.O_RDWR, 0)
    writeWhole(whole, fd, log.file(sequence), 0)
    whole.fullSync(fd)
    whole.close(fd)
  }
  for (let call = 1, isDone = false; !isDone; call++) {
    const disk = whole.fork()
    disk.crashAtCall = call
    try {
      openModel(disk, options)
      isDone = true
    } catch (error) {
      if (!(error instanceof SimulatedCrash)) throw error
    }
    const opened = openModel(disk.powerCut(keepAll), options)
    assert.ok(opened.nextLsn > 8, `stopped at call ${call}`)
  }
})

test.run()
