import type { Mutant } from './mutant.ts'

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
const WATCH = 'src/commit/watch.ts'

const RAISE = 'if (endLsn > firstLsn) control.raiseDurableLsn(endLsn - 1)'
const WAKE =
  'for (let frame = this.unwokenFrom; frame !== to; frame = (frame + 1) | 0) control.wakeFollowers(frame)'
const STORE_STAGED = '    store(this.words, at + STATE, stateWordOf(frame, client, SLOT_STAGED, 0))\n'

/** Changes of how threads agree, which need certain schedules to show. Without them the explorer's silence would say nothing. */
export const MUTANTS_OF_THE_PROTOCOL: readonly Mutant[] = [
  {
    name: 'a short write counts as a whole one',
    promise: 'P1',
    edits: [{ file: WRITER, find: 'if (written !== length) return', replace: 'if (written < 0) return' }],
    killedBy: { exploration: '1 failure, D=1' },
  },
  {
    name: 'a failed sync is called again',
    promise: 'P6',
    edits: [{ file: WRITER, find: "return this.fail('sync', error)", replace: 'this.fs.dataSync(this.fd)' }],
    killedBy: { exploration: '1 failure, D=1' },
  },
  {
    name: 'a frame that is only written counts as synced',
    promise: 'P1',
    edits: [
      {
        file: WRITER,
        find: 'if (needsSync(this.method)) {',
        replace: 'if (this.fd < 0) {',
      },
    ],
    killedBy: { exploration: '2 threads x 1 commit, D=1' },
  },
  {
    name: 'the durable LSN is raised before the write',
    promise: 'P1',
    edits: [
      {
        file: FRAME_WRITER,
        find: 'const length = slots.frameBytes(frame)\n    const startedMs',
        replace:
          'const length = slots.frameBytes(frame)\n    this.context.control.raiseDurableLsn(slots.endLsn(frame) - 1)\n    const startedMs',
      },
    ],
    killedBy: { exploration: '2 threads x 1 commit, D=1' },
  },
  {
    name: 'followers are woken before the durable LSN is raised',
    promise: 'P10',
    edits: [
      { file: FRAME_WRITER, find: RAISE, replace: `control.wakeFollowers(frame); ${RAISE}` },
      { file: FRAME_WRITER, find: WAKE, replace: '' },
    ],
    killedBy: { exploration: '2 threads x 1 commit, D=1' },
  },
  {
    name: 'only one follower is woken',
    promise: 'P10',
    edits: [
      {
        file: CONTROL,
        find: 'notify(this.words, wakeIndex(frame), EVERYBODY)',
        replace: 'notify(this.words, wakeIndex(frame), 1)',
      },
    ],
    killedBy: { exploration: 'random: 4 threads x 2 commits, D=1' },
  },
  {
    name: 'the word to wait on is read after the verdict',
    promise: 'P10',
    edits: [
      {
        file: FOLLOWER,
        find: 'control.waitForFrame(frame, value, timeoutMs)',
        replace: 'control.waitForFrame(frame, control.wakeValue(frame), timeoutMs)',
      },
    ],
    killedBy: { exploration: '2 threads x 1 commit, D=1' },
  },
  {
    name: 'ring space is freed before it is copied',
    promise: 'P3',
    edits: [{ file: LEADER, find: 'ring.copyOut(', replace: 'ring.freeUpTo(prefix.to); ring.copyOut(' }],
    killedBy: { exploration: 'random: 3 threads, full ring, D=1' },
  },
  {
    name: 'no second look after the lock was released',
    promise: 'P10',
    edits: [
      {
        file: LEADER,
        find: 'if (!context.ring.isPublished(context.ring.head()) || this.isBlocked()) return STAGED_NOTHING',
        replace: 'return STAGED_NOTHING',
      },
    ],
    killedBy: { exploration: 'random: 3 threads x 1 commit, D=1' },
  },
  {
    name: 'the lead is not handed over',
    promise: 'P10',
    edits: [
      {
        file: FRAME_WRITER,
        find: 'else if (control.wakeHeir(control.stagedCount()) === 0) doorbell.ringBusyCommitter()',
        replace: '',
      },
    ],
    killedBy: { exploration: '2 threads x 1 commit, D=1' },
  },
  {
    name: 'a slot says STAGED before its fields are stored',
    promise: 'P7',
    edits: [
      { file: SLOTS, find: STORE_STAGED, replace: '' },
      {
        file: SLOTS,
        find: '    store(this.words, at + FRAME, frame | 0)\n',
        replace: `${STORE_STAGED}    store(this.words, at + FRAME, frame | 0)\n`,
      },
    ],
    killedBy: { exploration: '1 death, D=1' },
  },
  {
    name: 'a frame that is taken over is synced, and not written again',
    promise: 'P7',
    edits: [
      {
        file: FRAME_WRITER,
        find: '      this.writeOwned(frame, writing)\n      this.passOn()\n',
        replace: '      if (slots.changeState(frame, writing, client, SLOT_SYNCED)) this.publishReady()\n',
      },
    ],
    killedBy: { exploration: '1 death, D=1' },
  },
  {
    name: 'settling lowers FAILED_FROM below a frame that may yet succeed',
    promise: 'P5',
    edits: [
      {
        file: POISON,
        find: 'const state = slotState(stateWord)\n    if (state === SLOT_STAGED)',
        replace:
          'const state = slotState(stateWord)\n    phases.lowerFailedFrom(firstLsn)\n    if (state === SLOT_STAGED)',
      },
    ],
    killedBy: { exploration: 'random: everything and close, D=2' },
  },
  {
    name: 'the verdict forgets the failed ranges once the log goes on',
    promise: 'P5',
    edits: [{ file: PHASE, find: 'if (ranged !== VERDICT_PENDING) return ranged', replace: '' }],
    killedBy: { exploration: '1 failure, resume, D=1' },
  },
  {
    name: 'the upper half of an LSN is forgotten',
    promise: 'P2',
    edits: [
      {
        file: APPENDER,
        find: 'this.firstLsn = headLsn + ',
        replace: 'this.firstLsn = clients.placeSequence(client) >>> 0; const forgotten = headLsn + ',
      },
    ],
    killedBy: { exploration: '3 threads x 2 commits, D=1' },
  },
  {
    name: 'the noop of a dead batch counts as one LSN',
    promise: 'P7',
    edits: [
      {
        file: PREFIX,
        find: '=== NOOP_RECORD_TYPE ? words[at + 6] : 1',
        replace: '=== NOOP_RECORD_TYPE ? 1 : 1',
      },
    ],
    killedBy: { exploration: '1 death, batch, D=1' },
  },
  {
    name: 'space is wanted only after the last attempt to reserve',
    promise: 'P10',
    edits: [
      { file: APPENDER, find: '      control.wantSpace()\n', replace: '' },
      {
        file: APPENDER,
        find: 'if (again !== APPEND_FULL) return again',
        replace: 'if (again !== APPEND_FULL) return again\n      control.wantSpace()',
      },
    ],
    killedBy: { exploration: '3 threads, full ring, D=1' },
  },
  {
    name: 'a committer that leads on forgets the followers of the frame before',
    promise: 'P10',
    edits: [
      {
        file: LEADER,
        find: '      frame = this.tryStage()\n      this.frames.wakePublished()\n',
        replace:
          '      frame = this.tryStage()\n      if (frame === STAGED_NOTHING) this.frames.wakePublished()\n',
      },
      {
        file: FRAME_WRITER,
        find: 'if (this.unwokenFrom === this.unwokenTo) this.unwokenFrom = frame',
        replace: 'this.unwokenFrom = frame',
      },
    ],
    killedBy: { exploration: 'a committer that leads on, D=1' },
  },
  {
    name: 'the committer takes itself for one who is gone',
    promise: 'P10',
    edits: [
      {
        file: WATCH,
        find: 'committer === 0 || committer === client) return',
        replace: 'committer === 0) return',
      },
    ],
    killedBy: {
      file: 'test/commit/lead-on.test.ts',
      test: 'the committer does not take itself for one who is gone',
    },
  },
  {
    name: 'what waits is left to a committer who is gone',
    promise: 'P7',
    edits: [
      {
        file: WATCH,
        find: '    doorbell.dropCommitter(committer)\n',
        replace: '',
      },
    ],
    killedBy: {
      file: 'test/commit/lead-on.test.ts',
      test: 'what waits is not left to a committer who is gone more than once',
    },
  },
  {
    name: 'the committer says that it sleeps after its last look',
    promise: 'P10',
    edits: [
      { file: COMMITTER, find: 'doorbell.storeCommitterSleep(state)\n', replace: '\n' },
      {
        file: COMMITTER,
        find: 'const rang = doorbell.waitForDoorbell',
        replace: 'doorbell.storeCommitterSleep(state)\n    const rang = doorbell.waitForDoorbell',
      },
    ],
    killedBy: { exploration: 'append and committer, D=1' },
  },
  {
    name: 'a seal takes what was published since it looked at the ring',
    promise: 'P3',
    edits: [{ file: LEADER, find: 'this.prefix.takeNothing()', replace: 'this.prefix.scanPublished()' }],
    killedBy: { exploration: 'append, seals on time, committer, D=1' },
  },
  {
    name: 'a batch that takes a part of the ring takes the whole duty of the committer',
    promise: 'P10',
    edits: [
      {
        file: COMMITTER,
        find: 'if (hadDuty && !ring.isEmpty())',
        replace: 'if (!hasLed && hadDuty && !ring.isEmpty())',
      },
    ],
    killedBy: { exploration: 'random: 4 threads, batches, committer, D=2' },
  },
  {
    name: 'the committer sleeps as idle upon a duty that came meanwhile',
    promise: 'P10',
    edits: [
      {
        file: COMMITTER,
        find: '(state === COMMITTER_IDLE && doorbell.hasCommitterDuty())',
        replace: 'false',
      },
    ],
    killedBy: { exploration: 'random: 4 threads, batches, committer, D=2' },
  },
  {
    name: 'a record is durable when its LSN is the durable one, not when it is below',
    promise: 'P5',
    edits: [
      { file: PHASE, find: 'if (durableLsn >= lsn) return', replace: 'if (durableLsn === lsn) return' },
    ],
    killedBy: { exploration: '2 threads x 2 commits, D=1' },
  },
  {
    name: 'the failed ranges are looked up before the durable LSN is loaded',
    promise: 'P5',
    edits: [
      { file: PHASE, find: '      const durableLsn = this.wide.load(DURABLE_LSN * 4)\n', replace: '' },
      {
        file: PHASE,
        find: '      if (durableLsn >= lsn) return',
        replace:
          '      const durableLsn = this.wide.load(DURABLE_LSN * 4)\n      if (durableLsn >= lsn) return',
      },
    ],
    killedBy: { exploration: '1 failure, resume, D=1' },
  },
  {
    name: 'nobody takes the commit-lock of a thread that died',
    promise: 'P7',
    edits: [{ file: WATCH, find: 'if (held === 0) return false', replace: 'if (held !== -1) return false' }],
    killedBy: { exploration: '1 death, D=1' },
  },
  {
    name: 'who takes the commit-lock over does not finish what its holder had begun',
    promise: 'P7',
    edits: [{ file: WATCH, find: '    this.leader.repairUnderLock()\n', replace: '' }],
    killedBy: { exploration: '1 death, D=1' },
  },
  {
    name: 'a rotation that a dead leader had begun is not finished',
    promise: 'P7',
    edits: [{ file: LEADER, find: '    this.room.finishRotation()\n', replace: '' }],
    killedBy: { exploration: '1 death, segments of one frame, D=1' },
  },
  {
    name: 'a slot whose owner died while it wrote is left to it',
    promise: 'P7',
    edits: [
      {
        file: WATCH,
        find: 'if (this.leader.frames.adoptFrame(frame, stateWord)) helped = true',
        replace:
          'if (state === SLOT_STAGED && this.leader.frames.adoptFrame(frame, stateWord)) helped = true',
      },
    ],
    killedBy: { exploration: '1 death, D=1' },
  },
  {
    name: 'the place that a dead producer left is never filled',
    promise: 'P7',
    edits: [
      {
        file: WATCH,
        find: 'if (reserver === 0 || !this.hasLeft(reserver, position)) return false\n    const owner',
        replace: 'if (reserver !== -1) return false\n    const owner',
      },
    ],
    killedBy: { exploration: '1 death, D=1' },
  },
  {
    name: 'a frame may end within a batch',
    promise: 'P11',
    edits: [
      {
        file: PREFIX,
        find: '      at += granules * GRANULE_WORDS\n      if ((length & RECORD_CONTINUES_BIT) === 0) break',
        replace: '      at += granules * GRANULE_WORDS\n      break',
      },
    ],
    killedBy: { exploration: 'commit and batch, ring wraps, D=1' },
  },
  {
    name: 'frames are published in whatever order their syncs return',
    promise: 'P1',
    edits: [
      {
        file: FRAME_WRITER,
        find: '      const stateWord = slots.stateWord(frame)\n      if (!slots.isOfFrame(stateWord, frame) || slotState(stateWord) !== SLOT_SYNCED) break',
        replace:
          '      const stateWord = slots.stateWord(frame)\n      const isOwn = slots.isOfFrame(stateWord, frame)\n      const next = slots.stateWord(frame + 1)\n      const isNext = slots.isOfFrame(next, frame + 1) && slotState(next) === SLOT_SYNCED\n      if (isNext) control.raiseDurableLsn(slots.endLsn(frame + 1) - 1)\n      if (!isOwn || slotState(stateWord) !== SLOT_SYNCED) break',
      },
    ],
    killedBy: { exploration: '2 threads x 2 commits, D=2' },
  },
]
