/** A promise of the log: what it says, where it is kept, and which tests of `npm test` see it broken. */
export interface PromiseRow {
  id: string
  says: string
  /** Files whose code keeps it. */
  keptIn: string[]
  /** Each a file and a part of the name of one of its tests. The parts of the proof name their promises themselves. */
  tests: [file: string, test: string][]
}

/** docs/verification.md is made from this table, among others. */
export const PROMISES: readonly PromiseRow[] = [
  {
    id: 'P1',
    says: 'The durable LSN only grows, and only after a write that returned in full and a sync that returned without error.',
    keptIn: ['src/commit/segment-writer.ts', 'src/commit/frame-writer.ts', 'src/shared/control.ts'],
    tests: [
      ['test/commit/failure.test.ts', 'after every fault each waiter is told its own outcome'],
      ['test/commit/failure.test.ts', 'a frame behind the failed one is never acknowledged'],
      ['test/regression/defect-c.test.ts', 'a batch that could not be appended'],
      ['test/contract/reading.test.ts', 'a promise that is resolved and a flush that returned mean durable'],
      ['test/recovery/random-lives.test.ts', 'nothing acknowledged is lost'],
    ],
  },
  {
    id: 'P2',
    says: "A receipt carries the record's own LSN. LSNs are unique, increase in the order of each producer's calls, and are never handed out again, whatever fails or crashes.",
    keptIn: [
      'src/commit/appender.ts',
      'src/shared/ring.ts',
      'src/recovery/new-segment.ts',
      'src/host/resume.ts',
    ],
    tests: [
      ['test/regression/defect-a.test.ts', 'threads that share a batch'],
      ['test/regression/defect-d.test.ts', 'no LSN 0 exists'],
      ['test/regression/defect-e.test.ts', 'an LSN that was handed out is not handed out again'],
      ['test/commit/ring-wrap.test.ts', 'producers of every kind keep their order through the wrap'],
      ['test/contract/backpressure.test.ts', 'three threads that mix all calls over a tiny ring'],
      ['test/recovery/random-lives.test.ts', 'no LSN is reused'],
    ],
  },
  {
    id: 'P3',
    says: 'An acknowledged record survives any crash, and recovery and every reader return it once, unchanged and in order.',
    keptIn: [
      'src/recovery/recover.ts',
      'src/recovery/salvage.ts',
      'src/recovery/log-walk.ts',
      'src/read/reader.ts',
    ],
    tests: [
      ['test/crash/kill.test.ts', 'every acknowledged record is read back once and unchanged'],
      ['test/recovery/recover-crash.test.ts', 'recovery can stop at any call, what it returns stays'],
      ['test/recovery/recover-crash.test.ts', 'recovery can stop twice'],
      ['test/recovery/life-crash.test.ts', 'the machine can stop at any call'],
      ['test/read/fuzz.test.ts', 'whatever was written is read back'],
      [
        'test/read/while-written.test.ts',
        'a reader that began before is not stopped by what is committed meanwhile',
      ],
      ['test/regression/defect-g.test.ts', 'a crash just after a change of segments'],
    ],
  },
  {
    id: 'P4',
    says: 'No byte that was acknowledged is ever overwritten in place.',
    keptIn: ['src/commit/leader.ts', 'src/storage/zero-writer.ts', 'src/storage/recycle.ts'],
    tests: [
      ['test/commit/room.test.ts', 'no acknowledged byte is overwritten'],
      ['test/regression/defect-e.test.ts', 'every batch is readable, whatever padding stands behind it'],
      ['test/regression/defect-g.test.ts', 'neither overwritten nor its LSN used again'],
      [
        'test/regression/review-segments.test.ts',
        'truncateBefore keeps a segment as long as the first frame behind it may be lost',
      ],
      ['test/storage/recycle.test.ts', 'the current segment and those behind it stay'],
    ],
  },
  {
    id: 'P5',
    says: 'The verdict on a record is its own and final: no later success makes a failure an acknowledgement, no later failure harms what was acknowledged.',
    keptIn: ['src/shared/phase.ts', 'src/commit/follower.ts', 'src/host/unsettled.ts'],
    tests: [
      [
        'test/regression/explored-schedules.test.ts',
        'does not cancel a frame of the log that was resumed since',
      ],
      ['test/commit/failure.test.ts', 'a verdict is final'],
      ['test/commit/failure.test.ts', 'a follower of a failed batch never returns durable'],
      ['test/commit/failure.test.ts', 'a follower of a durable batch returns durable'],
      ['test/regression/defect-b.test.ts', 'a late follower of a failed batch'],
      [
        'test/regression/review-resume.test.ts',
        'a record whose write failed is never acknowledged after a resume',
      ],
    ],
  },
  {
    id: 'P6',
    says: 'Any failed or short write, and any failed sync, fails the log: nothing is retried into the same file, every waiter is told, and resume() fences the failed frames off so that they never come back.',
    keptIn: [
      'src/commit/poison.ts',
      'src/commit/segment-writer.ts',
      'src/host/resume.ts',
      'src/recovery/fence.ts',
    ],
    tests: [
      ['test/regression/defect-f.test.ts', 'after a failed sync nothing is acknowledged'],
      ['test/commit/failure.test.ts', 'until resume() an indeterminate record may come back after a crash'],
      ['test/commit/resume.test.ts', 'a fence that fails leaves the log failed'],
      ['test/commit/resume.test.ts', 'resume() waits for a write that is under way'],
      [
        'test/regression/review-resume.test.ts',
        'a refused resume never leads to a segment number that threads hold open',
      ],
      ['test/recovery/recover-crash.test.ts', 'frames that a failed sync dropped are lost or made durable'],
    ],
  },
  {
    id: 'P7',
    says: 'Any thread may die at any instruction: the others go on (where there is /proc within 50 ms of the death), its published records are committed, and a place that it left unpublished becomes a counted noop.',
    keptIn: ['src/commit/watch.ts', 'src/commit/liveness.ts', 'src/commit/gone.ts', 'src/commit/prefix.ts'],
    tests: [
      ['test/commit/death-steps.test.ts', 'whatever the step, the others go on'],
      ['test/commit/deaths.test.ts', 'a waiter that dies as it is woken to lead'],
      ['test/commit/deaths.test.ts', 'a timeout of vm in the midst of large batches'],
      ['test/commit/liveness.test.ts', 'a number that a new thread has got'],
      ['test/commit/internal-deaths.test.ts', 'at whatever step the committer dies'],
      ['test/regression/review-cut-off.test.ts', 'is told by whoever takes the lock over'],
      [
        'test/regression/review-producers.test.ts',
        'a frame is not taken over from a thread that has come back',
      ],
    ],
  },
  {
    id: 'P8',
    says: "No commit depends on the host's event loop; a pending commit keeps its thread alive until it is settled.",
    keptIn: ['src/commit/committer.ts', 'src/host/async-commits.ts'],
    tests: [
      ['test/contract/threads.test.ts', 'a pending commit keeps its thread alive'],
      ['test/contract/threads.test.ts', 'settle while the event loop of the host stands still'],
      ['test/contract/threads.test.ts', 'settle while the host waits over a change of segments'],
      ['test/regression/review-cut-off.test.ts', 'was cut off before its turn began'],
    ],
  },
  {
    id: 'P9',
    says: 'Memory is bounded: a full ring is backpressure, never loss.',
    keptIn: ['src/commit/room.ts', 'src/commit/appender.ts', 'src/host/async-commits.ts'],
    tests: [
      ['test/contract/backpressure.test.ts', 'append waits while the ring is full'],
      ['test/contract/backpressure.test.ts', 'tryAppend says that the ring is full'],
      ['test/contract/backpressure.test.ts', 'many more commits than the ring has places'],
      ['test/contract/producers.test.ts', 'leak no place, no file descriptor and no memory'],
    ],
  },
  {
    id: 'P10',
    says: 'No wake-up is lost, and no timer is needed for progress: the slow re-check counts what it finds.',
    keptIn: [
      'src/commit/follower.ts',
      'src/commit/committer.ts',
      'src/shared/control.ts',
      'src/shared/doorbell.ts',
    ],
    tests: [
      ['test/host/group-commit.test.ts', 'lose no wake-up'],
      ['test/model/explore.test.ts', 'every schedule with two preemptions keeps every promise'],
      ['test/regression/review-progress.test.ts', 'does not lead, wakes one of them'],
      ['test/regression/review-cut-off.test.ts', 'dies as it wakes a promise client'],
      ['test/regression/explored-schedules.test.ts', 'looks again when it has released the lock'],
      ['test/cli/stress.test.ts', 'no sleeper is left to its re-check'],
    ],
  },
  {
    id: 'P11',
    says: 'Records submitted together are recovered whole or not at all.',
    keptIn: ['src/format/record.ts', 'src/commit/prefix.ts', 'src/commit/leader.ts'],
    tests: [
      ['test/crash/kill.test.ts', 'every acknowledged record is read back once and unchanged'],
      [
        'test/format/record.test.ts',
        'records that are right in themselves but not together make a wrong body',
      ],
      ['test/commit/deaths.test.ts', 'leaves whole batches or noops'],
      ['test/contract/backpressure.test.ts', 'a batch waits until there is room for all of it'],
    ],
  },
  {
    id: 'P12',
    says: 'A torn tail is cut and reported; damage to acknowledged records is an error that names segment, offset and LSNs, never a silent cut.',
    keptIn: ['src/recovery/tail.ts', 'src/recovery/scan.ts', 'src/format/chain.ts'],
    tests: [
      [
        'test/recovery/recover-damage.test.ts',
        'no flipped bit makes an acknowledged record disappear in silence',
      ],
      ['test/recovery/recover-damage.test.ts', 'damage is refused with its place and changes nothing'],
      [
        'test/recovery/log-walk.test.ts',
        'a segment that was made ahead proves that what was durable then is missing',
      ],
      ['test/regression/defect-g.test.ts', 'a torn tail is cut and told'],
      ['test/regression/defect-g.test.ts', 'damage in an older segment'],
      [
        'test/read/damage.test.ts',
        'with any bit flipped, acknowledged records are returned unchanged or reported',
      ],
    ],
  },
]
