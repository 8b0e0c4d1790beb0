import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checksum } from '../../src/format/checksum.ts'
import { LockedError, openLog } from '../../src/index.ts'
import { untilNextSegmentReady } from '../support/keeper-rest.ts'
import { LogChild } from '../support/log-child.ts'
import { openFiles } from '../support/open-files.ts'
import { causeCode, failureOf, failureWith } from '../support/rejection.ts'
import { skipNow, skipUnless } from '../support/skip.ts'
import { SmallDisk, whyNoMounts } from '../support/small-disk.ts'
import { openSmallLog, textsOf } from '../support/small-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import openAndWaitUrl from './open-and-wait.child.ts?url'

const SMALL = { segmentBytes: 1 << 20 }

test('a path that is no path is refused before anything is touched', async () => {
  for (const wrong of [undefined, null, '', 1, {}, Buffer.from('x'), new URL('file:///x')]) {
    assert.instance(await failureOf(openLog(wrong as string)), TypeError, String(wrong))
  }
  const failure = await failureOf(openLog(`${temporaryDirectory()}\0`))
  assert.match(failure.message, 'null byte')
})

test('a file where a folder should be is refused with the cause, and left as it is', async () => {
  const file = join(temporaryDirectory(), 'file')
  writeFileSync(file, 'precious')
  for (const path of [file, join(file, 'below'), join(file, 'far', 'below')]) {
    const failure = await failureWith('GROUPWAL_OPEN_FAILED', openLog(path))
    assert.is(causeCode(failure), 'ENOTDIR', path)
    assert.match(failure.message, path)
  }
  assert.is(readFileSync(file, 'utf8'), 'precious')
})

test('missing folders above the log are made; a link to a folder serves as well', async () => {
  const base = temporaryDirectory()
  const deep = join(base, 'a', 'b', 'c')
  const log = await openLog(deep, SMALL)
  log.connect().commitSync({ payload: 'deep' })
  await log.close()
  symlinkSync(deep, join(base, 'link'))
  const again = await openLog(join(base, 'link'), SMALL)
  assert.equal(textsOf(again), ['deep'])
  await again.close()
})

test('files are made for their owner only, folders too, whatever the umask allows', async () => {
  const umask = process.umask(0)
  try {
    const log = await openLog(join(temporaryDirectory(), 'new', 'log'), { ...SMALL, keepSpares: 4 })
    const producer = log.connect()
    const payload = Buffer.alloc(900_000)
    while (log.stats().rotations < 3) producer.commitSync({ payload })
    // From here on no file gets another name between the two looks at it.
    await untilNextSegmentReady(log)
    await log.truncateBefore(log.durableLsn)
    const names = readdirSync(log.directory)
    for (const kind of ['wal-', 'spare-', 'LOCK']) {
      assert.ok(
        names.some((name) => name.startsWith(kind)),
        `${kind} in ${names}`,
      )
    }
    for (const name of names) assert.is(modeOf(join(log.directory, name)), '600', name)
    assert.is(modeOf(log.directory), '700')
    assert.is(modeOf(join(log.directory, '..')), '700')
    await log.close()
  } finally {
    process.umask(umask)
  }
})

test('a folder that exists keeps its mode', async () => {
  const directory = join(temporaryDirectory(), 'log')
  mkdirSync(directory)
  chmodSync(directory, 0o750)
  await (await openLog(directory, SMALL)).close()
  assert.is(modeOf(directory), '750')
})

test('a folder that may not be written to is refused with the cause', async () => {
  const directory = join(temporaryDirectory(), 'log')
  mkdirSync(directory)
  const isRoot = process.getuid?.() === 0
  if (isRoot) {
    // Root is kept out by an attribute only.
    if (spawnSync('chattr', ['+i', directory]).status !== 0)
      return skipNow('root, and chattr +i does not work here')
  } else chmodSync(directory, 0o500)
  try {
    const failure = await failureWith('GROUPWAL_OPEN_FAILED', openLog(directory, SMALL))
    assert.ok(['EPERM', 'EACCES'].includes(causeCode(failure)!), causeCode(failure))
    assert.match(failure.message, directory)
    const below = await failureWith('GROUPWAL_OPEN_FAILED', openLog(join(directory, 'below'), SMALL))
    assert.ok(['EPERM', 'EACCES'].includes(causeCode(below)!), causeCode(below))
  } finally {
    if (isRoot) spawnSync('chattr', ['-i', directory])
    else chmodSync(directory, 0o700)
  }
  assert.equal(readdirSync(directory), [])
})

const tmpfs = { type: 'tmpfs', bytes: 16 << 20 } as const
skipUnless(
  test,
  whyNoMounts(tmpfs),
  'a log on a disk that is mounted read-only is refused with the cause',
  async () => {
    const disk = new SmallDisk(tmpfs)
    try {
      const directory = join(disk.path, 'log')
      const log = await openLog(directory, SMALL)
      const producer = log.connect()
      producer.commitSync({ payload: 'written before' })
      producer.close()
      await log.close()
      disk.remount('ro')
      for (const path of [directory, join(disk.path, 'new')]) {
        assert.is(causeCode(await failureWith('GROUPWAL_OPEN_FAILED', openLog(path, SMALL))), 'EROFS', path)
      }
      disk.remount('rw')
      const again = await openLog(directory, SMALL)
      assert.equal(textsOf(again), ['written before'])
      await again.close()
    } finally {
      disk.remove()
    }
  },
)

test('a log that another process has open is refused, its pid named; when that one is killed, it opens', async () => {
  const directory = temporaryDirectory()
  const child = new LogChild(fileURLToPath(openAndWaitUrl), [directory])
  assert.equal(await child.next(), { pid: child.pid, lsn: 1 })
  const failure = (await failureWith('GROUPWAL_LOCKED', openLog(directory, SMALL))) as LockedError
  assert.instance(failure, LockedError)
  assert.is(failure.owner?.pid, child.pid)
  assert.match(failure.message, `${child.pid}`)
  assert.match(failure.message, directory)
  await child.kill()
  const log = await openLog(directory, SMALL)
  assert.equal(textsOf(log), ['of the child'])
  await log.close()
})

test('a log that another process has closed opens, and goes on behind its records', async () => {
  const directory = temporaryDirectory()
  const child = new LogChild(fileURLToPath(openAndWaitUrl), [directory])
  await child.next()
  child.goOn()
  assert.equal(await child.ended, [0, null])
  const log = await openLog(directory, SMALL)
  assert.is(log.connect().commitSync({ payload: 'of the parent' }).lsn, 2)
  assert.equal(textsOf(log), ['of the child', 'of the parent'])
  await log.close()
})

test('a log that this process has open is refused, also when both are opened at once', async () => {
  const directory = temporaryDirectory()
  const results = await Promise.allSettled([openLog(directory, SMALL), openLog(directory, SMALL)])
  const opened = results.filter(({ status }) => status === 'fulfilled')
  assert.is(opened.length, 1)
  const failure = (await failureWith('GROUPWAL_LOCKED', openLog(directory, SMALL))) as LockedError
  assert.match(failure.message, `this process (pid ${process.pid})`)
  const [{ value: log }] = opened as PromiseFulfilledResult<Awaited<ReturnType<typeof openLog>>>[]
  assert.is(log.connect().commitSync({ payload: 'unharmed' }).lsn, 1)
  await log.close()
  await (await openLog(directory, SMALL)).close()
})

test('a LOCK file that nobody holds is no obstacle, whatever it says', async () => {
  const directory = temporaryDirectory()
  for (const text of [
    '',
    '{',
    'null',
    JSON.stringify({ pid: 1, hostName: 'elsewhere' }),
    'x'.repeat(10_000),
  ]) {
    writeFileSync(join(directory, 'LOCK'), text)
    await (await openLog(directory, SMALL)).close()
  }
})

test('a log of a later format is refused as that, not as damaged, and left as it is', async () => {
  const log = await openSmallLog()
  log.connect().commitSync({ payload: 'x' })
  await log.close()
  const names = readdirSync(log.directory).filter((name) => name.endsWith('.seg'))
  const newest = join(log.directory, names.sort().at(-1)!)
  const bytes = readFileSync(newest)
  bytes.writeUInt16LE(2, 4)
  bytes.writeUInt32LE(checksum(bytes.subarray(0, 508)), 508)
  writeFileSync(newest, bytes)
  const before = contentsOf(log.directory)
  const failure = await failureWith('GROUPWAL_UNSUPPORTED_VERSION', openLog(log.directory, SMALL))
  assert.match(failure.message, '2')
  assert.equal(contentsOf(log.directory), before)
})

test('a folder that holds other files and no log is refused: nothing is written there', async () => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'holiday.jpg'), 'not a log')
  mkdirSync(join(directory, 'more'))
  const failure = await failureWith('GROUPWAL_FOREIGN_DIRECTORY', openLog(directory, SMALL))
  assert.match(failure.message, 'holiday.jpg')
  assert.equal(readdirSync(directory).sort(), ['holiday.jpg', 'more'])
})

test('foreign files beside a log are left alone', async () => {
  const log = await openSmallLog()
  log.connect().commitSync({ payload: 'x' })
  await log.close()
  const foreign = ['README', 'wal-1.seg.bak', 'spare', 'wal-.seg', '.hidden']
  for (const name of foreign) writeFileSync(join(log.directory, name), name)
  const again = await openLog(log.directory, SMALL)
  again.connect().commitSync({ payload: 'y' })
  assert.equal(textsOf(again), ['x', 'y'])
  await again.close()
  for (const name of foreign) assert.is(readFileSync(join(log.directory, name), 'utf8'), name)
})

test('files that a crash left half made are no part of the log, and are removed', async () => {
  const log = await openSmallLog()
  log.connect().commitSync({ payload: 'x' })
  await log.close()
  const names = readdirSync(log.directory)
  const segment = readFileSync(join(log.directory, names.find((name) => name.endsWith('.seg'))!))
  const strays: [string, Uint8Array][] = [
    ['wal-00000000000000000002.tmp', new Uint8Array(100).fill(7)],
    ['wal-00000000000000000003.tmp', new Uint8Array()],
    // One that is a whole segment but for its name.
    ['wal-00000000000000000009.tmp', segment],
    ['probe-12-345.tmp', segment],
  ]
  for (const [name, bytes] of strays) writeFileSync(join(log.directory, name), bytes)
  const again = await openLog(log.directory, SMALL)
  assert.is(again.connect().commitSync({ payload: 'y' }).lsn, 2)
  assert.equal(textsOf(again), ['x', 'y'])
  await again.close()
  assert.equal(
    readdirSync(log.directory).filter((name) => name.endsWith('.tmp')),
    [],
  )
})

test('openings that fail leave no file open, and no lock', async () => {
  if (openFiles() === undefined) return skipNow('there is no /proc')
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'wal-00000000000000000001.seg'), 'no segment')
  await failureWith('GROUPWAL_CORRUPT', openLog(directory, SMALL))
  const before = openFiles()?.length
  for (let round = 0; round < 20; round++) await failureWith('GROUPWAL_CORRUPT', openLog(directory, SMALL))
  assert.is(openFiles()?.length, before)
})

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8)
}

/** Names and content of all files but LOCK, which says who opened the log last. */
function contentsOf(directory: string): [string, string][] {
  const names = readdirSync(directory).sort()
  return names
    .filter((name) => name !== 'LOCK')
    .map((name) => [name, readFileSync(join(directory, name)).toString('base64')])
}

test.run()
