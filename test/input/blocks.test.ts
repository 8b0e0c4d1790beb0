import { cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openLog } from '../../src/index.ts'
import { type RecoverOptions, recover } from '../../src/recovery/recover.ts'
import { failureWith } from '../support/rejection.ts'
import { SimulatedDisk } from '../support/simulated-disk.ts'
import { skipUnless } from '../support/skip.ts'
import { type DiskSpec, SmallDisk, whyNoMounts } from '../support/small-disk.ts'
import { textsOf } from '../support/small-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const SMALL = { segmentBytes: 1 << 20 }
/** A disk that takes direct writes in 16 KiB only. xfs on such sectors needs a recent kernel, and at least 300 MiB. */
const large: DiskSpec = { type: 'xfs', bytes: 400 << 20, sectorBytes: 16384 }
const why = whyNoMounts(large)

const onLargeBlocks = (name: string, run: (disk: SmallDisk) => Promise<void>): void => {
  skipUnless(test, why, name, async () => {
    const disk = new SmallDisk(large)
    try {
      await run(disk)
    } finally {
      disk.remove()
    }
  })
}

onLargeBlocks('a new log takes the blocks of its disk', async (disk) => {
  const directory = join(disk.path, 'log')
  const log = await openLog(directory, { ...SMALL, syncMethod: 'dsync' })
  assert.is(log.environment.physicalBlockBytes, 16384)
  const producer = log.connect()
  for (let index = 0; index < 100; index++) producer.commitSync({ payload: `${index}` })
  assert.is(log.stats().bytes % 16384, 0)
  assert.is([...log.read()].length, 100)
  producer.close()
  await log.close()
  const again = await openLog(directory, { ...SMALL, syncMethod: 'dsync' })
  assert.is(again.connect().commitSync({ payload: 'next' }).lsn, 101)
  await again.close()
})

onLargeBlocks(
  'a log with smaller blocks than its disk needs is refused for direct writes, and opens without',
  async (disk) => {
    const texts = ['made', 'elsewhere']
    const directory = join(disk.path, 'moved')
    cpSync(await closedLog(texts), directory, { recursive: true })
    const before = readdirSync(directory).sort()
    for (const syncMethod of ['dsync', 'direct'] as const) {
      const failure = await failureWith('GROUPWAL_OPEN_FAILED', openLog(directory, { ...SMALL, syncMethod }))
      for (const named of ['4096', '16384', 'fdatasync']) assert.match(failure.message, named)
    }
    assert.equal(readdirSync(directory).sort(), before)
    for (const syncMethod of ['fdatasync', 'fsync', 'auto'] as const) {
      const log = await openLog(directory, { ...SMALL, syncMethod })
      assert.ok(['fdatasync', 'fsync'].includes(log.stats().syncMethod))
      assert.ok(log.environment.sync.warnings.some((text) => text.includes('4096') && text.includes('16384')))
      const producer = log.connect()
      texts.push(syncMethod)
      producer.commitSync({ payload: syncMethod })
      await producer.commit({ payload: `${syncMethod} promise` })
      texts.push(`${syncMethod} promise`)
      assert.equal(textsOf(log), texts)
      producer.close()
      await log.close()
    }
  },
)

onLargeBlocks('a log with larger blocks than its disk needs opens, and keeps them', async (disk) => {
  const original = join(disk.path, 'log')
  const log = await openLog(original, SMALL)
  const producer = log.connect()
  producer.commitSync({ payload: 'made on large blocks' })
  producer.close()
  await log.close()
  const directory = join(temporaryDirectory(), 'moved')
  cpSync(original, directory, { recursive: true })
  const moved = await openLog(directory, SMALL)
  const second = moved.connect()
  for (let index = 0; index < 100; index++) second.append({ payload: `${index}` })
  await second.flush()
  assert.is(moved.stats().bytes % 16384, 0)
  assert.is([...moved.read()].length, 101)
  await moved.close()
  const again = await openLog(directory, SMALL)
  assert.is([...again.read()].length, 101)
  await again.close()
})

test('recovery refuses direct writes in larger blocks than the log has, before it changes anything', async () => {
  const disk = new SimulatedDisk()
  recover(disk, '/log', recoverOptions(4096))
  const callCount = disk.callCount
  const failure = await failureWith('GROUPWAL_OPEN_FAILED', () => recover(disk, '/log', recoverOptions(8192)))
  for (const named of ['4096', '8192', 'fdatasync']) assert.match(failure.message, named)
  assert.is(disk.callCount, callCount)
  assert.is(recover(disk, '/log', { ...recoverOptions(8192), directWrites: false }).blockBytes, 4096)
})

async function closedLog(texts: string[]): Promise<string> {
  const log = await openLog(temporaryDirectory(), SMALL)
  const producer = log.connect()
  for (const payload of texts) producer.commitSync({ payload })
  producer.close()
  await log.close()
  return log.directory
}

function recoverOptions(blockBytes: number): RecoverOptions {
  return {
    segmentBytes: 1 << 20,
    maxOutstandingRecords: 1000,
    blockBytes,
    directReads: false,
    directWrites: true,
    randomBytes: (count) => new Uint8Array(count).fill(7),
    nowMs: () => 1_000_000,
  }
}

test.run()
