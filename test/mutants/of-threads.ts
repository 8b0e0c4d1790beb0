import type { Mutant } from './mutant.ts'

const WATCH = 'src/commit/watch.ts'
const WRITER = 'src/commit/segment-writer.ts'
const DEATHS = 'test/commit/deaths.test.ts'

/** Changes of what threads find out about each other, and of what they take over. */
export const MUTANTS_OF_THREADS: readonly Mutant[] = [
  {
    name: 'a slot is taken over before its thread is gone',
    promise: 'P7',
    edits: [
      {
        file: 'src/commit/gone.ts',
        find: 'return state === THREAD_POLLING ? OWNER_IDLE : OWNER_ACTIVE',
        replace: 'return state === THREAD_POLLING ? OWNER_IDLE : OWNER_GONE',
      },
    ],
    killedBy: { file: DEATHS, test: 'another writes its frame again, and it is there once', endsFile: true },
  },
  {
    name: 'the number of a thread that ended counts as that thread when a new one has it',
    promise: 'P7',
    edits: [
      {
        file: 'src/commit/liveness.ts',
        find: 'if (startTicks !== 0 && ticks !== startTicks) return THREAD_GONE',
        replace: 'void ticks',
      },
    ],
    killedBy: { file: 'test/commit/liveness.test.ts', test: 'a number that a new thread has got' },
  },
  {
    name: 'a thread is gone where the kernel does not tell which call it is in',
    promise: 'P7',
    edits: [
      {
        file: 'src/commit/liveness.ts',
        find: 'finds it gone.\n      return THREAD_RUNNING',
        replace: 'finds it gone.\n      return THREAD_GONE',
      },
    ],
    killedBy: {
      file: 'test/commit/liveness.test.ts',
      test: 'where the call that a thread is in is not told',
    },
  },
  {
    name: 'a wake-up that a dying thread took with it is not made up for by a re-check',
    promise: 'P7',
    edits: [{ file: WATCH, find: 'RECHECK_MS = 20', replace: 'RECHECK_MS = 20_000_000' }],
    killedBy: { file: DEATHS, test: 'a waiter that dies as it is woken to lead', endsFile: true },
  },
  {
    name: 'a ring takes twice as much as it holds',
    promise: 'P9',
    edits: [
      {
        file: 'src/shared/ring.ts',
        find: '        this.granules,\n        granules,',
        replace: '        this.granules * 2,\n        granules,',
      },
    ],
    killedBy: {
      file: 'test/contract/backpressure.test.ts',
      test: 'a full ring holds what it says',
      endsFile: true,
    },
  },
  {
    name: 'resume() does not wait for a write that is under way',
    promise: 'P6',
    edits: [
      {
        file: 'src/host/resume.ts',
        find: 'if (state === SLOT_STAGED || state === SLOT_WRITING) return false',
        replace: 'if (state === SLOT_STAGED) return false',
      },
    ],
    killedBy: { file: 'test/commit/resume.test.ts', test: 'resume() waits for a write that is under way' },
  },
  {
    name: 'the next segment is begun while frames of the one before are in flight',
    promise: 'P3',
    edits: [
      {
        file: 'src/commit/room.ts',
        find: '      if (!control.isDrained()) return ROOM_AFTER_DRAIN\n',
        replace: '',
      },
    ],
    killedBy: { file: 'test/commit/room.test.ts', test: 'no frame is written to the next segment' },
  },
  {
    name: 'threads write through the one fd that the first of them opened',
    promise: 'P7',
    edits: [
      {
        file: WRITER,
        find: "import { join } from 'node:path'\n",
        replace: "import { readFileSync, writeFileSync } from 'node:fs'\nimport { join } from 'node:path'\n",
      },
      {
        file: WRITER,
        find: 'this.fd = this.fs.open(join(this.directory, segmentName(segment)), this.flags, FILE_MODE)',
        replace: `const note = this.directory + '.fd' + segment
      try {
        this.fd = Number(readFileSync(note, 'latin1'))
      } catch {
        this.fd = this.fs.open(join(this.directory, segmentName(segment)), this.flags, FILE_MODE)
        writeFileSync(note, String(this.fd))
      }`,
      },
    ],
    killedBy: { file: DEATHS, test: 'another writes its frame again, and it is there once', endsFile: true },
  },
  {
    name: 'positions are compared as numbers, which they are not beyond 2^31',
    promise: 'P2',
    edits: [
      {
        file: 'src/commit/prefix.ts',
        find: '((position - lapEnd) | 0) >= 0',
        replace: 'position >= lapEnd',
      },
    ],
    killedBy: {
      file: 'test/commit/ring-wrap.test.ts',
      test: 'one frame takes records from both ends of the ring',
    },
  },
  {
    name: 'a frame begins in the last block of a larger one before it',
    promise: 'P4',
    edits: [
      {
        file: 'src/commit/leader.ts',
        find: 'this.chain.endOffset = this.chain.offset + slots.frameBytes(frame)',
        replace: 'this.chain.endOffset = this.chain.offset + Math.max(4096, slots.frameBytes(frame) - 4096)',
      },
    ],
    killedBy: { file: 'test/regression/defect-e.test.ts', test: 'every batch is readable' },
  },
  {
    name: 'a leader takes what kept it from staging under the lock for true when it has released the lock',
    promise: 'P10',
    edits: [{ file: 'src/commit/leader.ts', find: 'return !control.isDrained()', replace: 'return true' }],
    killedBy: {
      file: 'test/regression/explored-schedules.test.ts',
      test: 'a leader who found no room before the last frame was durable looks again when it has released the lock',
    },
  },
  {
    name: 'who comes late to settle a failure does not look whether the log was resumed',
    promise: 'P5',
    edits: [
      {
        file: 'src/commit/poison.ts',
        find: 'if (isUnfailed(phases.phase())) return\n    const state',
        replace: 'const state',
      },
    ],
    killedBy: {
      file: 'test/regression/explored-schedules.test.ts',
      test: 'who comes late to settle a failure does not cancel a frame of the log that was resumed since',
    },
  },
]
