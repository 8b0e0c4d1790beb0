// Commits in a group whose writes are numbered here, and checks that each commit was served by one of its own time.
import { parentPort, workerData } from 'node:worker_threads'
import { GroupCommit } from '../../bench/subjects/group-commit.ts'

export interface GroupTask {
  words: Int32Array
  /** Writes begun, and ended. */
  writes: Int32Array
  /** How many the group says there were before the first. */
  firstWrite: number
  commits: number
}

export interface GroupReport {
  /** Commits that returned although no write had ended that began after the call. */
  early: number
  /** Writes that began before another had ended, or were told a number that is not theirs. */
  disorderly: number
}

const BEGUN = 0
const ENDED = 1
const { words, writes, firstWrite, commits } = workerData as GroupTask
const report: GroupReport = { early: 0, disorderly: 0 }
const sleeper = new Int32Array(new SharedArrayBuffer(4))

const group = new GroupCommit(words, (count) => {
  const before = Atomics.add(writes, BEGUN, 1)
  if (Atomics.load(writes, ENDED) !== before || count !== firstWrite + before) report.disorderly++
  // Some writes are over before anybody sleeps, some give the others time to begin and to sleep.
  if (before % 3 > 0) Atomics.wait(sleeper, 0, 0, (before % 3) * 0.1)
  Atomics.store(writes, ENDED, before + 1)
})

for (let index = 0; index < commits; index++) {
  const before = Atomics.load(writes, BEGUN)
  group.commit()
  if (Atomics.load(writes, ENDED) <= before) report.early++
}
parentPort!.postMessage(report)
