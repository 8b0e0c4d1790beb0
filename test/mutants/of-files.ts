import type { Mutant } from './mutant.ts'

const SEGMENT_FILE = 'src/storage/segment-file.ts'
const SEGMENT_FILE_TEST = 'test/storage/segment-file.test.ts'
const RECOVER_CRASH = 'test/recovery/recover-crash.test.ts'
const RECOVER_DAMAGE = 'test/recovery/recover-damage.test.ts'
const TAIL = 'src/recovery/tail.ts'
const WALK = 'src/recovery/log-walk.ts'
const READER = 'src/read/reader.ts'

/** Changes of how segments are made, dropped, recovered and read. */
export const MUTANTS_OF_FILES: readonly Mutant[] = [
  {
    name: 'a segment gets its name before its header and zeros are synced',
    promise: 'P3',
    edits: [{ file: SEGMENT_FILE, find: '    this.#fs.fullSync(this.#fd)\n', replace: '' }],
    killedBy: { file: SEGMENT_FILE_TEST, test: 'a prepared segment is durable on return' },
  },
  {
    name: 'the directory is not synced when a segment has got its name',
    promise: 'P3',
    edits: [
      {
        file: SEGMENT_FILE,
        find: '    this.#fs.syncDirectory(this.#directory)\n    const { saltLow',
        replace: '    const { saltLow',
      },
    ],
    killedBy: { file: SEGMENT_FILE_TEST, test: 'a prepared segment is durable on return' },
  },
  {
    name: 'a recycled segment keeps its salt',
    promise: 'P3',
    edits: [
      {
        file: SEGMENT_FILE,
        find: 'Uint8Array.from(sources.randomBytes(8)).buffer',
        replace: 'new Uint8Array(8).fill(7).buffer',
      },
    ],
    killedBy: { file: SEGMENT_FILE_TEST, test: 'a spare is used as it is, under a salt of its own' },
  },
  {
    name: 'a segment that is dropped may come back, since its directory is not synced',
    promise: 'P3',
    edits: [{ file: 'src/storage/recycle.ts', find: '  fs.syncDirectory(directory)\n', replace: '' }],
    killedBy: { file: 'test/storage/recycle.test.ts', test: 'wherever a crash stops the dropping' },
  },
  {
    name: 'a frame is written into a directory that another opener has by now',
    promise: 'P4',
    edits: [
      {
        file: 'src/commit/segment-writer.ts',
        find: 'if (!this.hasName(nowMs) || !this.isOwned()) return false',
        replace: 'if (!this.hasName(nowMs)) return false',
      },
    ],
    killedBy: {
      file: 'test/storage/ownership.test.ts',
      test: 'a frame is not written where the directory was lost',
    },
  },
  {
    name: 'a frame counts as durable although the directory was lost while it was written',
    promise: 'P1',
    edits: [
      {
        file: 'src/commit/segment-writer.ts',
        find: 'finds the frame.\n    return this.isOwned()',
        replace: 'finds the frame.\n    return true',
      },
    ],
    killedBy: {
      file: 'test/storage/ownership.test.ts',
      test: 'a frame is not durable where the directory was lost',
    },
  },
  {
    name: 'the handle of a log that a worker opened does not say whose the directory is',
    promise: 'P3',
    edits: [
      {
        file: 'src/host/open.ts',
        find: 'lockText: isMainThread ? undefined : lock?.text',
        replace: 'lockText: undefined',
      },
    ],
    killedBy: { file: 'test/contract/threads.test.ts', test: 'a log whose opener has ended fails when' },
  },
  {
    name: 'an LSN that was skipped when the log was opened counts as durable',
    promise: 'P5',
    edits: [
      {
        file: 'src/host/open.ts',
        find: '  phases.storeOpening(recovered.durableLsn, recovered.nextLsn)\n',
        replace: '',
      },
    ],
    killedBy: { file: 'test/contract/flush.test.ts', test: 'an LSN in the gap of an unclean end' },
  },
  {
    name: 'truncateBefore drops the segment of its own LSN, too',
    promise: 'P3',
    edits: [{ file: 'src/storage/recycle.ts', find: 'lastLsnBefore < lsn', replace: 'lastLsnBefore <= lsn' }],
    killedBy: { file: 'test/storage/recycle.test.ts', test: 'only segments all of whose LSNs are below' },
  },
  {
    name: 'zeros are written from one block too early',
    promise: 'P4',
    edits: [
      {
        file: 'src/commit/segment-supply.ts',
        find: 'segmentName(segment)), from, to)',
        replace: 'segmentName(segment)), from - this.spec.blockBytes, to)',
      },
    ],
    killedBy: { file: 'test/commit/room.test.ts', test: 'no acknowledged byte is overwritten' },
  },
  {
    name: 'recovery returns frames that nothing proves durable without making them so',
    promise: 'P3',
    edits: [
      {
        file: 'src/recovery/new-segment.ts',
        find: 'return unproven.slice(0, end + 1)',
        replace: 'return unproven.slice(0, (end + 1) * 0)',
      },
    ],
    killedBy: { file: RECOVER_CRASH, test: 'recovery can stop at any call' },
  },
  {
    name: 'recovery trusts names that are in the page cache only',
    promise: 'P3',
    edits: [
      {
        file: 'src/recovery/recover.ts',
        find: '  fs.syncDirectory(directory)\n  // Then space is made',
        replace: '  // Then space is made',
      },
    ],
    killedBy: { file: RECOVER_CRASH, test: 'recovery can stop twice' },
  },
  {
    name: 'a seal proves itself, though it may stand in the page cache only',
    promise: 'P3',
    edits: [{ file: TAIL, find: 'header.lsnCount > 0 && header.firstLsn', replace: 'header.firstLsn' }],
    killedBy: { file: RECOVER_CRASH, test: 'a close whose sync failed and dropped the seal' },
  },
  {
    name: 'an orderly end that was gone on from looks orderly once more',
    promise: 'P2',
    edits: [
      {
        file: 'src/recovery/continue.ts',
        find: 'flags: FLAG_SEAL,',
        replace: 'flags: closeSeal.header.flags,',
      },
    ],
    killedBy: { file: 'test/recovery/random-lives.test.ts', test: 'no LSN is reused' },
  },
  {
    name: 'the fence of resume() cuts nothing',
    promise: 'P6',
    edits: [
      {
        file: 'src/recovery/fence.ts',
        find: '    nextFrameSequence,\n    cut,\n    gap,\n  }',
        replace: '    nextFrameSequence,\n    gap,\n  }',
      },
    ],
    killedBy: { file: 'test/recovery/fence.test.ts', test: 'frames that failed never come back' },
  },
  {
    name: 'a reader goes on behind the durable LSN',
    promise: 'P1',
    edits: [
      {
        file: READER,
        find: 'return new LogWalk({ fs, live: files.live, openSegment, buffer: opener.buffer }, startIndex, toLsn)',
        replace:
          'return new LogWalk({ fs, live: files.live, openSegment, buffer: opener.buffer }, startIndex)',
      },
      { file: READER, find: 'lsn < fromLsn || lsn > toLsn ||', replace: 'lsn < fromLsn ||' },
    ],
    killedBy: {
      file: 'test/contract/reading.test.ts',
      test: 'read returns what is durable when it is called',
    },
  },
  {
    name: 'a reader ends in silence before a durable record that is missing',
    promise: 'P12',
    edits: [
      {
        file: READER,
        find: 'if (end === undefined || end.reached) return',
        replace: 'if (end !== null) return',
      },
    ],
    killedBy: { file: 'test/read/damage.test.ts', test: 'and an open log notices' },
  },
  {
    name: 'a frame that knew a damaged one as durable does not count',
    promise: 'P12',
    edits: [
      {
        file: WALK,
        find: 'later.mostDurable.durableLsn >= expectedLsn',
        replace: 'later.mostDurable.durableLsn < expectedLsn',
      },
    ],
    killedBy: { file: RECOVER_DAMAGE, test: 'damage is refused with its place' },
  },

  {
    name: 'a frame need not name the one before it',
    promise: 'P12',
    edits: [
      {
        file: 'src/format/chain.ts',
        find: 'frame.previousChecksum !== this.previousChecksum ||',
        replace: 'frame.previousChecksum === null ||',
      },
    ],
    killedBy: { file: 'test/recovery/log-walk.test.ts', test: 'a frame that does not continue the chain' },
  },
  {
    name: 'records that are right each for itself make a right body',
    promise: 'P11',
    edits: [
      {
        file: 'src/format/record.ts',
        find: "  if (checksum(recordChecksums) !== header.bodyChecksum) return 'the body has a wrong checksum'\n",
        replace: '',
      },
    ],
    killedBy: {
      file: 'test/format/record.test.ts',
      test: 'records that are right in themselves but not together',
    },
  },
  {
    name: 'what was durable when a segment was made ahead is forgotten',
    promise: 'P12',
    edits: [{ file: WALK, find: 'if (isLater && header.nextLsn > expectedLsn)', replace: 'if (false)' }],
    killedBy: {
      file: 'test/recovery/log-walk.test.ts',
      test: 'a segment that was made ahead proves that what was durable then is missing',
    },
  },
  {
    name: 'of segments made ahead one is retired from among others',
    promise: 'P3',
    edits: [
      {
        file: 'src/recovery/clean-up.ts',
        find: 'kept === -1 ? ahead : ahead.slice(0, kept)',
        replace: 'ahead.filter(({ header }) => header.nextLsn <= tail.nextLsn)',
      },
    ],
    killedBy: { file: RECOVER_DAMAGE, test: 'a machine that stops at any call leaves no hole' },
  },
  {
    name: 'what was written while it was read looks like damage',
    promise: 'P3',
    edits: [
      {
        file: WALK,
        find: '!(error instanceof CorruptLogError) || !this.#hasAppeared(invalid.offset)',
        replace: 'error !== undefined',
      },
    ],
    killedBy: {
      file: 'test/read/while-written.test.ts',
      test: 'a reader that began before is not stopped by what is committed meanwhile',
    },
  },
  {
    name: 'a spare that has a second name is written over',
    promise: 'P3',
    edits: [{ file: 'src/storage/segment-file.ts', find: 'if (links > 1)', replace: 'if (links < 1)' }],
    killedBy: { file: 'test/contract/reading.test.ts', test: 'that has a second name is not written over' },
  },
]
