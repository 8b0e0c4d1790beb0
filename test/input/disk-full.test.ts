// @timeout 90
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Log, openLog, type Producer, type SyncMethod } from '../../src/index.ts'
import { eventually } from '../support/eventually.ts'
import { openFaulty } from '../support/failing-log.ts'
import { LogChild } from '../support/log-child.ts'
import { causeCode, type Failure, failureWith } from '../support/rejection.ts'
import { RemoteProducer } from '../support/remote-producer.ts'
import { skipUnless } from '../support/skip.ts'
import { type DiskSpec, SmallDisk, whyNoMounts } from '../support/small-disk.ts'
import { textsOf } from '../support/small-log.ts'
import openAndWaitUrl from './open-and-wait.child.ts?url'

const KIB = 1024
const MIB = 1024 * KIB
const SMALL = { segmentBytes: MIB }
/** So much of the first segment that the keeper makes the next one. */
const BEFORE = 'b'.repeat(400 * KIB)

for (const type of ['ext4', 'tmpfs'] as const) {
  const spec: DiskSpec = { type, bytes: 16 * MIB }
  const why = whyNoMounts(spec)
  const fullDisk = (name: string, run: (disk: SmallDisk) => Promise<void>): void => {
    skipUnless(test, why, `${type}: ${name}`, async () => {
      const disk = new SmallDisk(spec)
      try {
        await run(disk)
      } finally {
        disk.remove()
      }
    })
  }

  fullDisk(
    'a new log on a full disk is refused with the cause, leaves nothing, and opens when there is room',
    async (disk) => {
      const directory = join(disk.path, 'log')
      disk.fill()
      for (let round = 0; round < 2; round++) {
        const failure = await failureWith('GROUPWAL_OPEN_FAILED', openLog(directory, SMALL))
        assert.is(causeCode(failure), 'ENOSPC', failure.stack)
        assert.match(failure.message, directory)
      }
      disk.free()
      // Room for less than a segment is not enough either; what was begun is taken back.
      disk.fill(512 * KIB)
      assert.is(causeCode(await failureWith('GROUPWAL_OPEN_FAILED', openLog(directory, SMALL))), 'ENOSPC')
      assert.equal(
        readdirSync(directory).filter((name) => name !== 'LOCK'),
        [],
      )
      disk.free()
      const log = await openLog(directory, SMALL)
      assert.is(log.connect().commitSync({ payload: 'x' }).lsn, 1)
      await closeAll(log)
    },
  )

  fullDisk(
    'a log that was closed in order opens on a full disk, and takes what its segments have room for',
    async (disk) => {
      const directory = join(disk.path, 'log')
      const first = await openLog(directory, SMALL)
      commitAll(first, [BEFORE])
      await untilPrepared(first)
      await closeAll(first)
      disk.fill()
      const log = await openLog(directory, SMALL)
      const texts = Array.from({ length: 100 }, (_, index) => `on the full disk ${index}`)
      commitAll(log, texts)
      assert.equal(textsOf(log), [BEFORE, ...texts])
      await closeAll(log)
    },
  )

  fullDisk(
    'a log whose process was killed opens on a full disk: the segment made ahead of need serves',
    async (disk) => {
      const directory = join(disk.path, 'log')
      const child = new LogChild(fileURLToPath(openAndWaitUrl), [directory, `${BEFORE.length}`])
      await child.next()
      await eventually(
        'the next segment is made',
        () => segmentSizes(directory).filter((size) => size === MIB).length === 2,
      )
      await child.kill()
      disk.fill()
      const log = await openLog(directory, SMALL)
      assert.equal(lsnsOf(log), [1])
      const { lsn } = log.connect().commitSync({ payload: 'on the full disk' })
      assert.ok(lsn > 2, 'behind a gap')
      assert.equal(lsnsOf(log), [1, lsn])
      await closeAll(log)
    },
  )

  fullDisk(
    'a disk that is full when a new segment is due: nothing acknowledged is lost, resume() goes on',
    async (disk) => {
      const directory = join(disk.path, 'log')
      const log = await openLog(directory, { ...SMALL, keepSpares: 0 })
      const producer = log.connect()
      const payload = 'p'.repeat(100 * KIB)
      disk.fill(4 * MIB)
      const failed = once(log, 'failed')
      const acknowledged: number[] = []
      const failure = await commitUntilFailure(producer, payload, acknowledged)
      assert.is(failure.code, 'GROUPWAL_COMMIT_FAILED', failure.stack)
      assert.equal([failure.outcome, causeCode(failure)], ['not-written', 'ENOSPC'])
      assert.is(((await failed)[0].cause as { code: string }).code, 'ENOSPC')
      assert.ok(acknowledged.length >= 20, `${acknowledged.length} acknowledged`)
      assert.ok(log.lastCommitFailed)
      // Whoever comes later is told the same, in every thread.
      const remote = await RemoteProducer.connect(log.handle)
      const later = await remote.fails('commitSync', { payload: 'later' })
      assert.equal(
        [later.code, later.outcome, later.causeCode],
        ['GROUPWAL_COMMIT_FAILED', 'not-written', 'ENOSPC'],
      )
      assert.equal(lsnsOf(log), acknowledged)
      const refused = await failureWith('GROUPWAL_RESUME_REFUSED', log.resume())
      assert.is(causeCode(refused), 'ENOSPC', refused.stack)
      await failureWith('GROUPWAL_COMMIT_FAILED', producer.commit({ payload: 'still failed' }))
      disk.free()
      await log.resume()
      const { lsn } = await remote.call('commitSync', { payload: 'goes on' })
      assert.ok(lsn > failure.lsn!, `${lsn} behind ${failure.lsn}`)
      assert.equal(lsnsOf(log), [...acknowledged, lsn])
      await remote.end()
      producer.close()
      await log.close()
      const again = await openLog(directory, SMALL)
      assert.equal(lsnsOf(again), [...acknowledged, lsn])
      await again.close()
    },
  )

  fullDisk(
    'a log that a full disk has failed drops segments all the same, and their space lets it resume',
    async (disk) => {
      const directory = join(disk.path, 'log')
      const log = await openLog(directory, { ...SMALL, keepSpares: 0 })
      const producer = log.connect()
      const acknowledged: number[] = []
      disk.fill(4 * MIB)
      await commitUntilFailure(producer, 'p'.repeat(100 * KIB), acknowledged)
      assert.is(causeCode(await failureWith('GROUPWAL_RESUME_REFUSED', log.resume())), 'ENOSPC')
      assert.ok((await log.truncateBefore(log.durableLsn)) >= 2)
      await log.resume()
      const { lsn } = producer.commitSync({ payload: 'goes on' })
      const left = lsnsOf(log)
      assert.is(left.at(-1), lsn)
      assert.equal(left, [...acknowledged.slice(-(left.length - 1)), lsn])
      producer.close()
      await log.close()
    },
  )

  fullDisk(
    'commits of several threads that meet a full disk each get a verdict of their own',
    async (disk) => {
      const log = await openLog(join(disk.path, 'log'), SMALL)
      disk.fill(3 * MIB)
      const remotes = await Promise.all(Array.from({ length: 3 }, () => RemoteProducer.connect(log.handle)))
      const outcomes = await Promise.all(
        remotes.flatMap((remote) =>
          Array.from({ length: 40 }, () =>
            remote.call('commit', { payload: 'p'.repeat(50 * KIB) }).then(
              ({ lsn }) => ({ lsn, isDurable: true }),
              ({ lsn, code, outcome }) => {
                assert.equal([code, outcome], ['GROUPWAL_COMMIT_FAILED', 'not-written'])
                return { lsn, isDurable: false }
              },
            ),
          ),
        ),
      )
      const durable = outcomes.filter(({ isDurable }) => isDurable).map(({ lsn }) => lsn as number)
      assert.ok(durable.length > 0 && durable.length < 120, `${durable.length} of 120`)
      assert.equal(
        lsnsOf(log),
        durable.sort((a, b) => a - b),
      )
      disk.free()
      await log.resume()
      await remotes[0].call('commit', { payload: 'goes on' })
      for (const remote of remotes) await remote.end()
      await log.close()
    },
  )

  for (const syncMethod of type === 'ext4' ? (['dsync', 'fdatasync'] as const) : (['fdatasync'] as const)) {
    fullDisk(
      `${syncMethod}: a disk that is full in the midst of a batch: indeterminate, and gone after resume()`,
      (disk) => failMidBatch(disk, syncMethod),
    )
  }
}

skipUnless(
  test,
  whyNoMounts({ type: 'tmpfs', bytes: MIB }),
  'a log that was closed in order opens where no file can be made any more',
  async () => {
    const disk = new SmallDisk({ type: 'tmpfs', bytes: 16 * MIB })
    try {
      const directory = join(disk.path, 'log')
      const first = await openLog(directory, SMALL)
      commitAll(first, ['kept'])
      await closeAll(first)
      // Those of the mount and of the log's directory.
      disk.remount(`nr_inodes=${readdirSync(directory).length + 2}`)
      const log = await openLog(directory, SMALL)
      assert.match(log.environment.sync.warnings.join(), 'no space (ENOSPC)')
      commitAll(log, ['goes on'])
      assert.equal(textsOf(log), ['kept', 'goes on'])
      await closeAll(log)
    } finally {
      disk.remove()
    }
  },
)

test('a quota that is used up is a full disk, though Node has no name for its error', async () => {
  const { log: first, faults, directory } = await openFaulty({}, 0)
  commitAll(first, ['kept'])
  await closeAll(first)
  const full = { code: 'EDQUOT' }
  // The owner in the LOCK file, and what `auto` measures with.
  faults.fail('write-other', full)
  faults.fail('write-probe', full)
  const log = await openLog(directory, { ...SMALL, fileSystem: faults.fileSystem })
  assert.match(log.environment.sync.warnings.join(), 'no space (EDQUOT)')
  assert.equal(textsOf(log), ['kept'])
  faults.fail('write-frame', full)
  const failure = await failureWith('GROUPWAL_COMMIT_FAILED', log.connect().commit({ payload: 'x' }))
  assert.is(causeCode(failure), 'EDQUOT', failure.stack)
  await closeAll(log)
})

/** The segment loses its blocks, as on a file system that allocates at each overwrite; then there is room for a part. */
async function failMidBatch(disk: SmallDisk, syncMethod: SyncMethod): Promise<void> {
  const directory = join(disk.path, 'log')
  const log = await openLog(directory, { ...SMALL, syncMethod })
  const producer = log.connect()
  const texts = ['acknowledged', BEFORE]
  for (const payload of texts) producer.commitSync({ payload })
  await untilPrepared(log)
  punchHole(join(directory, 'wal-00000000000000000001.seg'), 512 * KIB)
  disk.fill(128 * KIB)
  const batch = Array.from({ length: 5 }, (_, index) => ({ payload: `${index}`.repeat(100 * KIB) }))
  const failure = await failureWith('GROUPWAL_COMMIT_FAILED', producer.commitBatch(batch))
  assert.is(failure.outcome, 'indeterminate', failure.stack)
  // Linux writes a part and says how much, or writes nothing and says why.
  assert.ok(['ENOSPC', 'SHORT_WRITE'].includes(causeCode(failure)!), causeCode(failure))
  assert.equal(textsOf(log), texts)
  const second = await failureWith('GROUPWAL_COMMIT_FAILED', producer.commit({ payload: 'x' }))
  assert.is(second.outcome, 'not-written')
  disk.free()
  await log.resume()
  const { lsn } = await producer.commit({ payload: 'goes on' })
  assert.ok(lsn > 2 + batch.length, `${lsn} behind the batch`)
  assert.equal(textsOf(log), [...texts, 'goes on'])
  producer.close()
  await log.close()
  const again = await openLog(directory, SMALL)
  assert.equal(textsOf(again), [...texts, 'goes on'])
  await again.close()
}

/** From the first multiple of 64 KiB behind `from` to the end. */
function punchHole(path: string, from: number): void {
  const { size } = statSync(path)
  const { status, stderr } = spawnSync('fallocate', ['-p', '-o', `${from}`, '-l', `${size - from}`, path])
  if (status !== 0) throw new Error(`fallocate: ${stderr}`)
}

function commitAll(log: Log, texts: string[]): void {
  using producer = log.connect()
  for (const payload of texts) producer.commitSync({ payload })
}

async function commitUntilFailure(
  producer: Producer,
  payload: string,
  acknowledged: number[],
): Promise<Failure> {
  for (;;) {
    try {
      acknowledged.push((await producer.commit({ payload })).lsn)
    } catch (error) {
      return error as Failure
    }
  }
}

/** The keeper has filled this segment and the next, so it writes no more. */
function untilPrepared(log: Log): Promise<void> {
  return eventually('the keeper rests', () => {
    const sizes = segmentSizes(log.directory)
    return sizes.length >= 2 && sizes.every((size) => size === MIB)
  })
}

function segmentSizes(directory: string): number[] {
  return readdirSync(directory)
    .filter((name) => name.startsWith('wal-') && name.endsWith('.seg'))
    .map((name) => statSync(join(directory, name)).size)
}

function lsnsOf(log: Log): number[] {
  return Array.from(log.read(), ({ lsn }) => lsn)
}

async function closeAll(log: Log): Promise<void> {
  await log.close()
}

test.run()
