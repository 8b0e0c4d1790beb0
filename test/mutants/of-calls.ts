import type { Mutant } from './mutant.ts'

const ASYNC = 'src/host/async-commits.ts'
const FAILURE = 'test/commit/failure.test.ts'
const GROUP_COMMIT = 'test/host/group-commit.test.ts'

/** Changes of what a caller is told, and when. */
export const MUTANTS_OF_CALLS: readonly Mutant[] = [
  {
    name: 'a pending promise does not keep its thread alive',
    promise: 'P8',
    edits: [
      {
        file: ASYNC,
        find: 'this.guard = setInterval(() => this.onGuard(), GUARD_MS)',
        replace: 'this.guard = setInterval(() => this.onGuard(), GUARD_MS).unref()',
      },
      { file: ASYNC, find: 'this.guard.ref()', replace: 'this.guard.unref()' },
    ],
    killedBy: {
      file: 'test/contract/threads.test.ts',
      test: 'a pending commit keeps its thread alive',
      endsFile: true,
    },
  },
  {
    name: 'a record that has to wait for ring space is not copied',
    promise: 'P3',
    edits: [
      {
        file: 'src/host/batch.ts',
        find: 'return { ...record, payload, from: 0 }',
        replace: 'return { ...record, from: 0 }',
      },
    ],
    killedBy: {
      file: 'test/contract/ownership.test.ts',
      test: 'overwritten while the commit waits for ring space',
    },
  },
  {
    name: 'a flush forgets an append that failed before a resume()',
    promise: 'P5',
    edits: [
      {
        file: 'src/host/unsettled.ts',
        find: 'if (failedLsn === 0) resolveEntry(entry)',
        replace: 'if (failedLsn >= 0) resolveEntry(entry)',
      },
    ],
    killedBy: { file: FAILURE, test: 'tells of an append that failed before a resume()' },
  },
  {
    name: 'a flush whose beginning was cut off forgets the append that failed before it',
    promise: 'P5',
    edits: [
      {
        file: 'src/host/producer.ts',
        find: 'if (entry.firstLsn === 0) entry.firstLsn = this.#flushes.begin',
        replace: 'entry.firstLsn = this.#flushes.begin',
      },
    ],
    killedBy: {
      file: 'test/regression/review-cut-off.test.ts',
      test: 'still tells of the append that failed before',
    },
  },
  {
    name: 'a failure after close() gave up speaks for what is being written behind it',
    promise: 'P5',
    edits: [
      {
        file: 'src/shared/phase.ts',
        find: 'load(this.words, ABANDONED) === 1',
        replace: 'load(this.words, ABANDONED) > 1',
      },
    ],
    killedBy: {
      file: 'test/regression/review-close.test.ts',
      test: 'a frame that fails does not make that not-written',
    },
  },
  {
    name: 'resume() does not note down which LSNs have failed',
    promise: 'P5',
    edits: [
      {
        file: 'src/host/resume.ts',
        find: 'if (failedFrom < tail.lsn) phases.addFailedRange',
        replace: 'if (failedFrom < 0) phases.addFailedRange',
      },
    ],
    killedBy: { file: FAILURE, test: 'a verdict is final' },
  },
  {
    name: 'the committer is not rung for promises: only a timer leads for them',
    promise: 'P10',
    edits: [
      {
        file: ASYNC,
        find: '    this.context.doorbell.ringCommitter()\n    this.waitForWake()\n',
        replace: '    this.waitForWake()\n',
      },
    ],
    killedBy: { file: GROUP_COMMIT, test: 'promises settle without any timer', endsFile: true },
  },
]
