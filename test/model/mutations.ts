import type { Mutation } from './build-protocol.ts'

/** Changes to the production code, and the configuration whose schedules show them. */
export interface SeededMutation {
  name: string
  edits: Omit<Mutation, 'name'>[]
  /** Name of the exploration that notices it. */
  seenBy: string
}

const APPENDER = 'src/commit/appender.ts'
const COMMITTER = 'src/commit/committer.ts'
const FOLLOWER = 'src/commit/follower.ts'
const FRAME_WRITER = 'src/commit/frame-writer.ts'
const LEADER = 'src/commit/leader.ts'
const POISON = 'src/commit/poison.ts'
const PREFIX = 'src/commit/prefix.ts'
const WRITER = 'src/commit/segment-writer.ts'
const CONTROL = 'src/shared/control.ts'
const PHASE = 'src/shared/phase.ts'
const SLOTS = 'src/shared/slots.ts'

const RAISE = 'if (endLsn > firstLsn) control.raiseDurableLsn(endLsn - 1)'
const WAKE = 'for (let frame = first; frame !== end; frame = (frame + 1) | 0) control.wakeFollowers(frame)'
const STORE_STAGED = '    store(this.words, at + STATE, stateWordOf(frame, client, SLOT_STAGED, 0))\n'

/** What the explorer must be able to find: without these its silence would say nothing. */
export const MUTATIONS: readonly SeededMutation[] = [
  {
    name: 'a short write counts as a whole one',
    edits: [{ file: WRITER, from: 'if (written !== length) return', to: 'if (written < 0) return' }],
    seenBy: '1 failure, D=1',
  },
  {
    name: 'a failed sync is called again',
    edits: [{ file: WRITER, from: "return this.fail('sync', error)", to: 'this.fs.dataSync(this.fd)' }],
    seenBy: '1 failure, D=1',
  },
  {
    name: 'a frame that is only written counts as synced',
    edits: [
      { file: WRITER, from: 'if (!needsSync(this.method)) return true', to: 'if (this.fd >= 0) return true' },
    ],
    seenBy: '2 threads x 1 commit, D=1',
  },
  {
    name: 'the durable LSN is raised before the write',
    edits: [
      {
        file: FRAME_WRITER,
        from: 'const length = slots.frameBytes(frame)\n    const startedMs',
        to: 'const length = slots.frameBytes(frame)\n    this.context.control.raiseDurableLsn(slots.endLsn(frame) - 1)\n    const startedMs',
      },
    ],
    seenBy: '2 threads x 1 commit, D=1',
  },
  {
    name: 'followers are woken before the durable LSN is raised',
    edits: [
      { file: FRAME_WRITER, from: RAISE, to: `control.wakeFollowers(frame); ${RAISE}` },
      { file: FRAME_WRITER, from: WAKE, to: '' },
    ],
    seenBy: '2 threads x 1 commit, D=1',
  },
  {
    name: 'only one follower is woken',
    edits: [
      {
        file: CONTROL,
        from: 'notify(this.words, wakeIndex(frame), EVERYBODY)',
        to: 'notify(this.words, wakeIndex(frame), 1)',
      },
    ],
    seenBy: 'random: 4 threads x 2 commits, D=1',
  },
  {
    name: 'the word to wait on is read after the verdict',
    edits: [
      {
        file: FOLLOWER,
        from: 'control.waitForFrame(frame, value, timeoutMs)',
        to: 'control.waitForFrame(frame, control.wakeValue(frame), timeoutMs)',
      },
    ],
    seenBy: '2 threads x 1 commit, D=1',
  },
  {
    name: 'ring space is freed before it is copied',
    edits: [{ file: LEADER, from: 'ring.copyOut(', to: 'ring.freeUpTo(prefix.to); ring.copyOut(' }],
    seenBy: 'random: 3 threads, full ring, D=1',
  },
  {
    name: 'no second look after the lock was released',
    edits: [
      {
        file: LEADER,
        from: 'if (!context.ring.isPublished(context.ring.head()) || this.isBlocked()) return false',
        to: 'return false',
      },
    ],
    seenBy: 'random: failures and resume, D=2',
  },
  {
    name: 'the lead is not handed over',
    edits: [
      {
        file: FRAME_WRITER,
        from: 'if (control.wakeHeir(control.stagedCount()) === 0) control.ringBusyCommitter()',
        to: '',
      },
    ],
    seenBy: '2 threads x 1 commit, D=1',
  },
  {
    name: 'a slot says STAGED before its fields are stored',
    edits: [
      { file: SLOTS, from: STORE_STAGED, to: '' },
      {
        file: SLOTS,
        from: '    store(this.words, at + FRAME, frame | 0)\n',
        to: `${STORE_STAGED}    store(this.words, at + FRAME, frame | 0)\n`,
      },
    ],
    seenBy: '1 death, D=1',
  },
  {
    name: 'a frame that is taken over is synced, and not written again',
    edits: [
      {
        file: FRAME_WRITER,
        from: 'if (canWrite) this.writeOwned(frame, writing)',
        to: 'if (canWrite) { if (slots.changeState(frame, writing, client, SLOT_SYNCED)) this.publishReady() }',
      },
    ],
    seenBy: '1 death, D=1',
  },
  {
    name: 'settling lowers FAILED_FROM below a frame that may yet succeed',
    edits: [
      {
        file: POISON,
        from: 'const state = slotState(stateWord)\n    if (state === SLOT_STAGED)',
        to: 'const state = slotState(stateWord)\n    phases.lowerFailedFrom(firstLsn)\n    if (state === SLOT_STAGED)',
      },
    ],
    seenBy: 'random: everything and close, D=2',
  },
  {
    name: 'the verdict forgets the failed ranges once the log goes on',
    edits: [{ file: PHASE, from: 'if (ranged !== VERDICT_PENDING) return ranged', to: '' }],
    seenBy: '1 failure, resume, D=1',
  },
  {
    name: 'the upper half of an LSN is forgotten',
    edits: [
      {
        file: APPENDER,
        from: 'this.firstLsn = headLsn + ',
        to: 'this.firstLsn = clients.placeSequence(client) >>> 0; const forgotten = headLsn + ',
      },
    ],
    seenBy: '3 threads x 2 commits, D=1',
  },
  {
    name: 'the noop of a dead batch counts as one LSN',
    edits: [
      { file: PREFIX, from: '=== NOOP_RECORD_TYPE ? words[at + 6] : 1', to: '=== NOOP_RECORD_TYPE ? 1 : 1' },
    ],
    seenBy: '1 death, batch, D=1',
  },
  {
    name: 'space is wanted only after the last attempt to reserve',
    edits: [
      { file: APPENDER, from: '      control.wantSpace()\n', to: '' },
      {
        file: APPENDER,
        from: 'if (again !== APPEND_FULL) return again',
        to: 'if (again !== APPEND_FULL) return again\n      control.wantSpace()',
      },
    ],
    seenBy: '3 threads, full ring, D=1',
  },
  {
    name: 'the committer says that it sleeps after its last look',
    edits: [
      { file: COMMITTER, from: 'control.storeCommitterSleep(state)\n', to: '\n' },
      {
        file: COMMITTER,
        from: 'const rang = control.waitForDoorbell',
        to: 'control.storeCommitterSleep(state)\n    const rang = control.waitForDoorbell',
      },
    ],
    seenBy: 'append and committer, D=1',
  },
  {
    name: 'a seal takes what was published since it looked at the ring',
    edits: [{ file: LEADER, from: 'this.prefix.takeNothing()', to: 'this.prefix.scanPublished()' }],
    seenBy: 'append, seals on time, committer, D=1',
  },
  {
    name: 'a batch that takes a part of the ring takes the whole duty of the committer',
    edits: [
      {
        file: COMMITTER,
        from: 'if (hadDuty && !ring.isEmpty())',
        to: 'if (!hasLed && hadDuty && !ring.isEmpty())',
      },
    ],
    seenBy: 'random: 4 threads, batches, committer, D=2',
  },
  {
    name: 'the committer sleeps as idle upon a duty that came meanwhile',
    edits: [
      { file: COMMITTER, from: '(state === COMMITTER_IDLE && control.hasCommitterDuty())', to: 'false' },
    ],
    seenBy: 'random: 4 threads, batches, committer, D=2',
  },
]
