// The tests that stand on this disk are worth as much as it is.

import { constants } from 'node:fs'
import { crc32 } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createRandom } from './random.ts'
import {
  type CrashChoice,
  keepAll,
  loseAll,
  randomChoice,
  SimulatedCrash,
  SimulatedDisk,
} from './simulated-disk.ts'
import { SimulatedFile } from './simulated-file.ts'

const CREATE = constants.O_RDWR | constants.O_CREAT

function bytesOf(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value)
}

function write(disk: SimulatedDisk, fd: number, bytes: Uint8Array, position: number): number {
  return disk.write(fd, bytes, 0, bytes.length, position)
}

/** The first byte of each sector, and the size. */
function sectors(disk: SimulatedDisk, path: string, flags = 0): number[] {
  const fd = disk.open(path, constants.O_RDONLY | flags, 0)
  const bytes = new Uint8Array(64 * 512)
  const length = disk.read(fd, bytes, 0, bytes.length, 0)
  disk.close(fd)
  return Array.from({ length: length / 512 }, (_, index) => bytes[512 * index]!)
}

/** A durable file of 16 sectors of ones. */
function diskWithFile(): { disk: SimulatedDisk; fd: number } {
  const disk = new SimulatedDisk()
  const fd = disk.open('/a', CREATE, 0o600)
  write(disk, fd, bytesOf(16 * 512, 1), 0)
  disk.fullSync(fd)
  disk.syncDirectory('/')
  return { disk, fd }
}

test('of unsynced sectors any subset survives, of synced ones all', () => {
  const { disk, fd } = diskWithFile()
  write(disk, fd, bytesOf(4 * 512, 2), 6 * 512)
  const before = [1, 1, 1, 1, 1, 1]
  const rest = [1, 1, 1, 1, 1, 1]
  assert.equal(sectors(disk, '/a'), [...before, 2, 2, 2, 2, ...rest])
  assert.equal(sectors(disk.powerCut(loseAll), '/a'), [...before, 1, 1, 1, 1, ...rest])
  assert.equal(sectors(disk.powerCut(keepAll), '/a'), [...before, 2, 2, 2, 2, ...rest])
  const seen = new Set<string>()
  const random = createRandom(5)
  for (let cut = 0; cut < 500; cut++) seen.add(sectors(disk.powerCut(randomChoice(random)), '/a').join(''))
  assert.is(seen.size, 16)
  disk.dataSync(fd)
  assert.equal(sectors(disk.powerCut(loseAll), '/a'), [...before, 2, 2, 2, 2, ...rest])
})

test('a write with O_DSYNC makes its own pages durable, no others', () => {
  const { disk, fd } = diskWithFile()
  write(disk, fd, bytesOf(512, 2), 0)
  const synced = disk.open('/a', constants.O_RDWR | constants.O_DSYNC, 0)
  write(disk, synced, bytesOf(512, 3), 8 * 512)
  assert.equal(sectors(disk.powerCut(loseAll), '/a'), [...bytesOf(8, 1), 3, ...bytesOf(7, 1)])
})

test('the size of a file is durable only with a sync', () => {
  const { disk, fd } = diskWithFile()
  write(disk, fd, bytesOf(512, 2), 20 * 512)
  assert.is(sectors(disk.powerCut(loseAll), '/a').length, 16)
  const sizeOnly: CrashChoice = { ...loseAll, fileSize: () => true }
  assert.equal(sectors(disk.powerCut(sizeOnly), '/a'), [...bytesOf(16, 1), 0, 0, 0, 0, 0])
  disk.truncate(fd, 512)
  assert.equal(sectors(disk.powerCut(loseAll), '/a'), [...bytesOf(16, 1)])
  disk.fullSync(fd)
  assert.equal(sectors(disk.powerCut(loseAll), '/a'), [1])
})

test('names are durable only with a sync of the directory, and depend on each other', () => {
  const { disk } = diskWithFile()
  disk.rename('/a', '/b')
  disk.close(disk.open('/c', CREATE, 0))
  disk.rename('/c', '/d')
  assert.equal(disk.powerCut(loseAll).list('/'), ['a'])
  assert.equal(disk.powerCut(keepAll).list('/').sort(), ['b', 'd'])
  const seen = new Set<string>()
  const random = createRandom(5)
  for (let cut = 0; cut < 300; cut++) seen.add(disk.powerCut(randomChoice(random)).list('/').sort().join(' '))
  assert.equal([...seen].sort(), ['a', 'a c', 'a d', 'b', 'b c', 'b d'])
  disk.syncDirectory('/')
  assert.equal(disk.powerCut(loseAll).list('/').sort(), ['b', 'd'])
})

test('a failed sync leaves its pages clean in the cache: no later sync saves them, direct reads do not see them', () => {
  const { disk, fd } = diskWithFile()
  write(disk, fd, bytesOf(512, 2), 0)
  disk.faults.add({ method: 'dataSync', call: 1, code: 'EIO' })
  assert.throws(() => disk.dataSync(fd), /EIO/)
  disk.dataSync(fd)
  assert.is(sectors(disk, '/a')[0], 2)
  assert.is(sectors(disk, '/a', constants.O_DIRECT)[0], 1)
  assert.is(sectors(disk.powerCut(keepAll), '/a')[0], 1)
})

test('the machine stops at the call that was said: in the cache it took effect, on the disk not', () => {
  const { disk, fd } = diskWithFile()
  disk.crashAtCall = disk.callCount + 1
  assert.throws(
    () => write(disk, fd, bytesOf(512, 2), 0),
    (error: unknown) => error instanceof SimulatedCrash,
  )
  assert.throws(
    () => disk.list('/'),
    (error: unknown) => error instanceof SimulatedCrash,
  )
  assert.is(sectors(disk.fork(), '/a')[0], 2)
  assert.is(sectors(disk.powerCut(loseAll), '/a')[0], 1)
})

test('a fork and its origin do not see each other change', () => {
  const { disk, fd } = diskWithFile()
  const fork = disk.fork()
  write(disk, fd, bytesOf(512, 2), 0)
  const other = fork.open('/a', constants.O_RDWR, 0)
  write(fork, other, bytesOf(512, 3), 512)
  fork.unlink('/a')
  assert.equal(sectors(disk, '/a').slice(0, 3), [2, 1, 1])
  assert.equal(fork.list('/'), [])
  assert.is(fork.linkCount(other), 0)
  assert.is(disk.linkCount(fd), 1)
})

test('a torn sector holds what the choice says, also when it was written with what stood there', () => {
  const { disk, fd } = diskWithFile()
  write(disk, fd, bytesOf(512, 1), 0)
  write(disk, fd, bytesOf(512, 2), 512)
  const asked: boolean[] = []
  const torn = bytesOf(512, 9)
  const sector = (differs: boolean): Uint8Array => {
    asked.push(differs)
    return torn
  }
  assert.equal(sectors(disk.powerCut({ ...loseAll, sector }), '/a').slice(0, 3), [9, 9, 1])
  assert.equal(asked, [false, true])
})

test('the hash of a disk is that of its names and contents', () => {
  const { disk, fd } = diskWithFile()
  const before = disk.contentHash()
  assert.is(disk.fork().contentHash(), before)
  assert.is(disk.powerCut(loseAll).contentHash(), before)
  write(disk, fd, bytesOf(512, 2), 0)
  const unsynced = disk.contentHash()
  assert.is(disk.powerCut(loseAll).contentHash(), before)
  assert.not(disk.powerCut(keepAll).contentHash() === before)
  disk.dataSync(fd)
  assert.is(disk.contentHash(), disk.powerCut(loseAll).contentHash())
  assert.not(disk.contentHash() === unsynced)
  write(disk, fd, bytesOf(512, 1), 0)
  disk.dataSync(fd)
  assert.is(disk.contentHash(), before)
  disk.rename('/a', '/b')
  assert.not(disk.contentHash() === before)
  assert.not(disk.contentHash() === disk.powerCut(keepAll).contentHash())
})

test('the hash of a disk tells headers apart that carry a checksum of their own', () => {
  // With a CRC in the place of the hash both would be the same.
  const [one, other] = [1, 2].map((value) => {
    const { disk, fd } = diskWithFile()
    const header = bytesOf(512, value)
    new DataView(header.buffer).setUint32(508, crc32(header.subarray(0, 508)), true)
    write(disk, fd, header, 0)
    const unsynced = disk.contentHash()
    disk.dataSync(fd)
    return [unsynced, disk.contentHash(), disk.cachedHash(() => true)]
  })
  for (const [index, hash] of one!.entries()) assert.not(hash === other![index])
})

test('of a file whose sync or write fails each unsynced sector may be on the disk, for ever', () => {
  const file = new SimulatedFile({})
  file.write(bytesOf(1024, 1), 0)
  file.doubtRange(0, 1024)
  file.sync()
  assert.ok(file.hasDoubts)
  const left = (choice: CrashChoice): number[] => {
    const bytes = bytesOf(1024, 7)
    file.afterPowerCut({}, choice).read(bytes, 0, false)
    return [bytes[0]!, bytes[512]!]
  }
  assert.equal(
    [left(loseAll), left(keepAll)],
    [
      [0, 0],
      [1, 1],
    ],
  )
  file.settleDoubts(keepAll)
  assert.equal(left(loseAll), [1, 1])
})

test('a sync covers what was written before it began, not what is written beside it', () => {
  const file = new SimulatedFile({})
  file.write(bytesOf(4096, 1), 0)
  const part = file.unsynced()
  file.write(bytesOf(512, 2), 0)
  file.write(bytesOf(4096, 2), 4096)
  file.syncPart(part)
  const after = file.afterPowerCut({}, loseAll)
  const bytes = new Uint8Array(8192)
  assert.is(after.read(bytes, 0, false), 4096)
  assert.equal([bytes[0], bytes[512]], [1, 1])
  assert.not(file.isSynced)
})

test('faults: the n-th call, short writes, a full disk, misaligned direct I/O', () => {
  const { disk, fd } = diskWithFile()
  disk.faults.add({ method: 'write', call: 2, code: 'ENOSPC', writtenBytes: 512 })
  assert.is(write(disk, fd, bytesOf(1024, 2), 0), 1024)
  assert.is(write(disk, fd, bytesOf(1024, 3), 0), 512)
  assert.throws(() => write(disk, fd, bytesOf(1024, 3), 0), /ENOSPC/)
  assert.equal(sectors(disk, '/a').slice(0, 3), [3, 2, 1])
  disk.isFull = true
  write(disk, fd, bytesOf(512, 4), 0)
  assert.throws(() => write(disk, fd, bytesOf(512, 4), 40 * 512), /ENOSPC/)
  const direct = disk.open('/a', constants.O_RDWR | constants.O_DIRECT, 0)
  assert.throws(() => write(disk, direct, bytesOf(512, 4), 100), /EINVAL/)
  assert.throws(() => write(disk, direct, bytesOf(100, 4), 0), /EINVAL/)
})

test.run()
