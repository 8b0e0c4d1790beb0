import type { Mutant } from './mutant.ts'

const ASYNC = 'src/host/async-commits.ts'
const CLOSE = 'src/host/close.ts'
const FRAME_WRITER = 'src/commit/frame-writer.ts'
const KEEPER = 'src/host/run-keeper.ts'
const PLACER = 'src/host/placer.ts'
const ROOM = 'src/commit/room.ts'
const SUPPLY = 'src/commit/segment-supply.ts'

/** Changes of how promises, the segment-keeper and a close() that gives up agree with the others, which need certain schedules to show. */
export const MUTANTS_OF_PROMISES: readonly Mutant[] = [
  {
    name: 'those who wait by a promise are not woken',
    promise: 'P10',
    edits: [{ file: FRAME_WRITER, find: '    clients.wakeArmed(control.durableLsn())\n', replace: '' }],
    killedBy: { exploration: 'promises: 2 commits, D=1' },
  },
  {
    name: 'a thread looks at its promises before it is armed',
    promise: 'P10',
    edits: [
      {
        file: ASYNC,
        find: `      this.armForOldest()
      // Armed before these looks: whoever decides an LSN, or frees space, after them finds the client armed.
      this.pushQueued()
      if (this.unsettled.hasDecided()) {
        this.scheduleRound()
        return
      }
`,
        replace: `      this.pushQueued()
      if (this.unsettled.hasDecided()) {
        this.scheduleRound()
        return
      }
      this.armForOldest()
`,
      },
    ],
    killedBy: { exploration: 'promises: 2 commits, D=1' },
  },
  {
    name: 'the word of a waitAsync is read after the last look',
    promise: 'P10',
    edits: [
      { file: ASYNC, find: '      const value = clients.wakeValue(client)\n', replace: '' },
      {
        file: ASYNC,
        find: 'waitAsync(memory.words, clients.wakeIndex(client), value)',
        replace: 'waitAsync(memory.words, clients.wakeIndex(client), clients.wakeValue(client))',
      },
    ],
    killedBy: { exploration: 'promises: 2 commits, D=1' },
  },
  {
    name: 'the committer is not rung at the end of a turn',
    promise: 'P10',
    edits: [
      {
        file: ASYNC,
        find: '    this.context.doorbell.ringCommitter()\n    this.waitForWake()\n',
        replace: '    this.waitForWake()\n',
      },
    ],
    killedBy: { exploration: 'promises: 2 commits, D=1' },
  },
  {
    name: 'a thread that has led its own promises does not come back to settle them',
    promise: 'P10',
    edits: [{ file: ASYNC, find: '    this.scheduleRound()\n  }\n', replace: '  }\n' }],
    killedBy: { exploration: 'promises: led by their thread, D=1' },
  },
  {
    name: 'a woken thread waits anew before its turn has ended, for nothing',
    promise: 'P10',
    edits: [
      {
        file: ASYNC,
        find: '    if (!this.isTurnScheduled) this.waitForWakeAfterTurn()\n',
        replace: '',
      },
    ],
    killedBy: { exploration: 'promises: 2 commits, a turn each, D=1' },
  },
  {
    name: 'a thread waits for promises that were all refused',
    promise: 'P8',
    edits: [{ file: ASYNC, find: '      if (this.pendingCount === 0) break\n', replace: '' }],
    killedBy: {
      file: 'test/regression/review-producers.test.ts',
      test: 'a producer whose queued commit is refused as it is about to wait',
    },
  },
  {
    name: 'nobody leads for promises when the committer is gone',
    promise: 'P7',
    edits: [
      {
        file: ASYNC,
        find: 'if (committer === 0 || isClientGone(this.context, committer)) this.leader.tryLead()\n      else doorbell.ringCommitter()',
        replace: 'if (committer !== 0) doorbell.ringCommitter()',
      },
    ],
    killedBy: { exploration: 'promises: 1 death, D=1' },
  },
  {
    name: 'what a call that was cut off left is never healed',
    promise: 'P7',
    edits: [
      {
        file: PLACER,
        find: "{ outcome: 'not-written' })\n    if (this.isInside) this.heal()",
        replace: "{ outcome: 'not-written' })",
      },
    ],
    killedBy: { exploration: 'promises: 1 call cut off, D=1' },
  },
  {
    name: 'the keeper answers, and wakes nobody',
    promise: 'P10',
    edits: [
      {
        file: KEEPER,
        find: '    control.wakeAllWaiters()\n    doorbell.ringCommitter()\n    clients.wakeAllArmed()\n',
        replace: '    clients.wakeAllArmed()\n',
      },
    ],
    killedBy: { exploration: 'keeper: 1 thread, segments of one frame, D=1' },
  },
  {
    name: 'the keeper looks at its bell when its work is done',
    promise: 'P10',
    edits: [
      { file: KEEPER, find: '      const bell = keeper.keeperBellValue()\n', replace: '' },
      {
        file: KEEPER,
        find: 'keeper.keeperBellIndex(), bell)',
        replace: 'keeper.keeperBellIndex(), keeper.keeperBellValue())',
      },
    ],
    killedBy: { exploration: 'keeper: 1 thread, segments of one frame, D=1' },
  },
  {
    name: 'the keeper does not say that it works',
    promise: 'P6',
    edits: [{ file: KEEPER, find: '    keeper.storeKeeperWorking(true)\n', replace: '' }],
    killedBy: { exploration: 'keeper: 1 failure, resume, D=1' },
  },
  {
    name: 'nobody makes room in place of a keeper that died',
    promise: 'P7',
    edits: [
      {
        file: ROOM,
        find: '=== THREAD_GONE',
        replace: '< THREAD_GONE',
      },
    ],
    killedBy: { exploration: 'keeper: 1 death, D=1' },
  },
  {
    name: 'the segment of a keeper that died is made once more beside it',
    promise: 'P4',
    edits: [{ file: SUPPLY, find: '      this.removeOrphan(sequence)\n', replace: '' }],
    killedBy: { exploration: 'keeper: 1 death, D=1' },
  },
  {
    name: 'the keeper looks for the current segment before it looks whether the next is ready',
    promise: 'P4',
    edits: [
      {
        file: SUPPLY,
        find: `    const ready = keeper.readyState()
    const current = control.segmentSequence()
`,
        replace: `    const current = control.segmentSequence()
    const ready = keeper.readyState()
`,
      },
    ],
    killedBy: { exploration: 'keeper: 1 thread, segments of one frame, D=1' },
  },
  {
    name: 'close() that gave up frees the directory while a frame is written',
    promise: 'P4',
    edits: [{ file: CLOSE, find: '    return this.isUnwritten()\n', replace: '    return true\n' }],
    killedBy: { exploration: 'close gives up, D=1' },
  },
  {
    name: 'close() gives up beside a leader that stages',
    promise: 'P5',
    edits: [
      {
        file: CLOSE,
        find: `    this.watch.lookForDead()
    const owner = clients.nextOwner(client)
    if (!control.acquireLock(0, owner)) return false
`,
        replace: `    this.watch.lookForDead()
    const owner = clients.nextOwner(client)
`,
      },
    ],
    killedBy: { exploration: 'close gives up, 2 threads, D=1' },
  },
]
