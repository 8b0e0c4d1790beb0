import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { measurePoint, type Settings } from '../../bench/measure.ts'
import { commits } from '../../bench/points.ts'
import { countersOf, groupWords } from '../../bench/subjects/group-commit.ts'
import { verify } from '../../bench/verify-peers.ts'
import { skipUnless } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import type { GroupReport, GroupTask } from './group-commit.worker.ts'
import workerUrl from './group-commit.worker.ts?url'

const SUBJECT = 'group-commit'
const THREADS = 4
const COMMITS = 500
const noStrace = spawnSync('strace', ['-V'], { stdio: 'ignore' }).status === 0 ? undefined : 'no strace here'

test('every commit is served by a write that began after it, none twice, and all threads end', async () => {
  await commitInGroup(groupWords())
})

test('the words of a group may wrap', async () => {
  // All of them: nothing is begun that is not durable, and nobody leads.
  await commitInGroup(groupWords().fill(2 ** 31 - 100))
})

test('commits of several threads are compared with a bare group commit, which is no limit', () => {
  const point = commits('sync', 3, 1)
  const [contender, ...others] = point.contenders.filter(({ subject }) => subject === SUBJECT)
  assert.is(contender?.label, 'bare group commit')
  assert.is(contender?.isPeer, undefined)
  assert.equal(others, [])
  assert.not(point.limits!.some(({ label }) => label === contender?.label))
  for (const without of [commits('sync', 1, 1), commits('promise', 3, 64), commits('window', 3, 256)]) {
    assert.not(without.contenders.some(({ subject }) => subject === SUBJECT))
  }
})

test('its threads commit on a disk, beside the bare loop, and stop when a run is over', async () => {
  const settings: Settings = {
    directory: temporaryDirectory(),
    syncMethod: 'fdatasync',
    quick: true,
    runs: 2,
    runMs: 200,
    warmUpMs: 50,
    compileMs: 10,
    stagingSlots: 1,
    peers: [],
    notDurable: [],
  }
  const point = commits('sync', 3, 1)
  const contenders = point.contenders.filter(({ subject }) => subject === SUBJECT || subject === 'bare')
  const { rows } = await measurePoint('scaling', { ...point, contenders }, settings)
  const { values, note } = rows.find(({ subject }) => subject === SUBJECT)!
  assert.is(note, undefined)
  assert.ok(values.commitsPerSecond!.min > 0)
  assert.ok(values.syncsPerSecond!.min > 0)
  assert.ok(values.ofBare!.min > 0)
  // What is under way when a run begins or ends is not counted by all alike.
  assert.ok(values.commitsPerSync!.min > 0.8, `${values.commitsPerSync!.min} commits per sync`)
  assert.ok(values.commitsPerSync!.max <= 3.3, `${values.commitsPerSync!.max} commits per sync`)
})

skipUnless(test, noStrace, 'a sync returns between a lone commit and its acknowledgement', async () => {
  const { durable, syncsPerCommit, note } = await verify(temporaryDirectory(), SUBJECT, '')
  assert.ok(durable, note)
  assert.is(syncsPerCommit, 1)
})

async function commitInGroup(words: Int32Array): Promise<void> {
  const before = countersOf(words)
  const writes = new Int32Array(new SharedArrayBuffer(8))
  const task: GroupTask = { words, writes, firstWrite: before.syncs, commits: COMMITS }
  const workers = Array.from({ length: THREADS }, () => new Worker(workerUrl, { workerData: task }))
  const reports = await Promise.all(
    workers.map((worker) => once(worker, 'message') as Promise<[GroupReport]>),
  )
  for (const [report] of reports) assert.equal(report, { early: 0, disorderly: 0 })
  const after = countersOf(words)
  assert.is(after.commits - before.commits, THREADS * COMMITS)
  const syncs = after.syncs - before.syncs
  assert.equal([...writes], [syncs, syncs])
  assert.ok(syncs >= COMMITS && syncs <= THREADS * COMMITS, `${syncs} writes`)
}

test.run()
