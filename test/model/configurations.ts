import type { ThreadPlan } from './configuration.ts'
import { withEventLoops, withKeeper } from './event-loop-configurations.ts'
import { type Exploration, FAR, make, NEAR_SIGN, NEAR_WRAP, NO_FAILURE } from './exploration.ts'
import {
  appending,
  batching,
  closing,
  committer,
  committing,
  cutOff,
  givingUp,
  keeper,
  leadingItself,
  mixing,
  overflowing,
  promising,
  repeat,
  resuming,
} from './thread-plans.ts'

/** By slots: what is explored with one staging slot is explored with two as well. */
function explorationsWith(slots: number): Exploration[] {
  const tiny = { slots, ringGranules: 4 }
  const death = { ...NO_FAILURE, deaths: 1 }
  const fault = { ...NO_FAILURE, faults: 1 }
  const late = { ...NO_FAILURE, timeOuts: 1 }
  const named = (name: string, threads: ThreadPlan[], changes: Partial<Exploration> = {}): Exploration =>
    make(`${name}, D=${slots}`, threads, { slots, ...changes })
  return [
    // In each of these the ring wraps.
    named('2 threads x 1 commit', repeat(2, 1), { isCore: true, ...tiny, ringPosition: 3 }),
    named('2 threads x 2 commits', repeat(2, 2), { isCore: true, ...NEAR_SIGN }),
    named('3 threads x 1 commit', repeat(3, 1), { isCore: true, method: 'dsync', ...NEAR_WRAP }),
    named('3 threads x 2 commits', repeat(3, 2), { isCore: true, method: 'dsync', ...FAR, ...tiny }),
    named('2 threads x 1 commit, 3 preemptions', repeat(2, 1), { bound: 3, ...tiny, ringPosition: 3 }),
    named('2 threads x 2 commits, 3 preemptions', repeat(2, 2), { bound: 3, ...NEAR_SIGN }),
    named('3 threads x 1 commit, 3 preemptions', repeat(3, 1), { bound: 3, method: 'dsync', ...NEAR_WRAP }),
    named('2 threads x 1 commit, O_DSYNC', repeat(2, 1), { method: 'dsync', ...NEAR_WRAP }),
    named('2 threads, full ring', repeat(2, 2), {
      ...tiny,
      ringGranules: 2,
      payloadBytes: 8,
      method: 'dsync',
    }),
    named('3 threads, full ring', repeat(3, 1), { ...tiny, payloadBytes: 40, method: 'dsync', ...NEAR_WRAP }),
    named('commit and batch, ring wraps', [committing(2), batching()], {
      ...tiny,
      ringPosition: 3,
      method: 'dsync',
    }),
    named('commit, batch and committer', [committing(1), batching(), committer()], {
      ...tiny,
      method: 'dsync',
    }),
    named('append, flush and committer', [appending(true), committer()], NEAR_WRAP),
    named('append and committer', [appending(false), appending(false), committer()], {
      ...tiny,
      method: 'dsync',
    }),
    named('a committer that leads on', [committing(2), committing(1), committer()], {
      committerRecords: 1,
      method: 'dsync',
    }),
    named('a committer that leads on, 1 death', [...repeat(2, 1), committer()], {
      committerRecords: 1,
      limits: death,
      bound: 1,
    }),
    named('append, commit and committer', [appending(true), committing(1), committer()], { method: 'dsync' }),
    named('append, seals and committer', [appending(true), committer()], { seals: true, method: 'dsync' }),
    named('append, seals on time, committer', [appending(false), committer()], {
      seals: true,
      limits: late,
      bound: 3,
    }),
    named('segments of one frame', repeat(2, 2), { segmentFrames: 1, method: 'dsync' }),
    named('early re-checks', repeat(2, 1), { limits: late }),
    named('early re-checks, committer', [appending(true), committing(1), committer()], {
      limits: late,
      bound: 1,
    }),
    named('1 death', repeat(2, 1), { limits: death, bound: 1 }),
    named('1 death, 3 threads', repeat(3, 1), { limits: death, bound: 1, method: 'dsync', ...NEAR_WRAP }),
    named('1 death, full ring', repeat(3, 1), {
      ...tiny,
      payloadBytes: 40,
      limits: death,
      bound: 1,
      method: 'dsync',
    }),
    named('1 death, batch', [batching(), committing(1)], { limits: death, bound: 1, ...NEAR_SIGN }),
    named('1 death, committer', [appending(false), committing(1), committer()], { limits: death, bound: 1 }),
    named('1 death, segments of one frame', repeat(2, 2), { limits: death, bound: 1, segmentFrames: 1 }),
    named('1 call cut off', [{ ...committing(2), survives: 'cut off' }, committing(1)], {
      limits: death,
      bound: 1,
    }),
    named('1 call cut off, full ring', [{ ...committing(2), survives: 'cut off' }, committing(1)], {
      ...tiny,
      ringGranules: 2,
      limits: death,
      bound: 1,
      method: 'dsync',
    }),
    named(
      '1 batch cut off, committer',
      [{ ...appending(true), survives: 'cut off' }, batching(), committer()],
      {
        limits: death,
        bound: 1,
        method: 'dsync',
      },
    ),
    named('2 deaths', repeat(3, 1), { limits: { ...NO_FAILURE, deaths: 2 }, bound: 0, method: 'dsync' }),
    named('1 failure', repeat(2, 1), { limits: fault }),
    named('1 failure, 3 threads', repeat(3, 1), { limits: fault, bound: 1 }),
    named('1 failure, batch, committer', [batching(), appending(true), committer()], {
      limits: fault,
      bound: 1,
    }),
    named('1 failure, resume', [...repeat(2, 2), resuming()], { limits: fault, bound: 1, method: 'dsync' }),
    named('1 failure, resume, appends', [appending(true), committing(2), resuming(), committer()], {
      limits: fault,
      bound: 1,
      method: 'dsync',
    }),
    named('2 failures, resume', [...repeat(2, 2), resuming(2)], {
      limits: { ...NO_FAILURE, faults: 2 },
      bound: 1,
    }),
    named('1 failure, 1 death', repeat(2, 1), { limits: { ...death, faults: 1 }, bound: 1, method: 'dsync' }),
    named('1 failure, 1 death, resume', [...repeat(2, 2), resuming()], {
      limits: { ...death, faults: 1 },
      bound: 0,
      method: 'dsync',
    }),
    named('close', [committing(2), closing()], {}),
    named('close, 2 threads', [...repeat(2, 1), closing()], { bound: 1, ...NEAR_WRAP }),
    named('close, append and committer', [appending(false), closing(), committer()], { bound: 1 }),
    named('close, 1 failure', [committing(2), closing()], { limits: fault, bound: 1 }),
    named('close, 1 death', [...repeat(2, 1), closing()], { limits: death, bound: 1 }),
    named('close gives up', [committing(2), givingUp()]),
    named('close gives up, 2 threads', [...repeat(2, 1), givingUp()], { bound: 1, method: 'dsync' }),
    named('close gives up, 1 failure', [committing(2), givingUp()], { limits: fault, bound: 1 }),
    named('close gives up, 2 threads, 1 failure', [...repeat(2, 1), givingUp()], { limits: fault, bound: 1 }),
    named('close gives up, 1 death', [...repeat(2, 1), givingUp()], { limits: death, bound: 1 }),
    named('1 call cut off, 1 failure, resume', [cutOff(committing(2)), committing(1), resuming()], {
      limits: { ...death, faults: 1 },
      bound: 0,
    }),
    ...withEventLoops(slots),
    ...withKeeper(slots),
  ]
}

/** Explored at random: too many schedules to see them all. */
function randomWith(slots: number): Exploration[] {
  const named = (name: string, threads: ThreadPlan[], changes: Partial<Exploration> = {}): Exploration =>
    make(`random: ${name}, D=${slots}`, threads, { slots, isRandom: true, bound: 8, ...changes })
  const everything = { deaths: 1, faults: 1, timeOuts: 1 }
  return [
    named('3 threads x 1 commit', repeat(3, 1), { method: 'dsync', ...NEAR_WRAP }),
    named('4 threads x 1 commit', repeat(4, 1), { ...NEAR_SIGN, ringGranules: 4 }),
    named('4 threads x 2 commits', repeat(4, 2), { ...NEAR_WRAP, ringGranules: 4 }),
    named(
      '4 threads, batches, committer',
      [committing(2), batching(), appending(true), appending(false), committer()],
      {
        ringGranules: 4,
      },
    ),
    named('3 threads, full ring', repeat(3, 2), { ringGranules: 4, payloadBytes: 40 }),
    named('deaths', [committing(2), batching(), appending(true), committing(1), committer()], {
      ringGranules: 4,
      limits: { ...NO_FAILURE, deaths: 2, timeOuts: 1 },
    }),
    named(
      'failures and resume',
      [committing(2), batching(), appending(true), committing(1), resuming(2), committer()],
      {
        ...NEAR_WRAP,
        limits: { ...NO_FAILURE, faults: 2, timeOuts: 1 },
      },
    ),
    named(
      'calls cut off',
      [
        { ...committing(2), survives: 'cut off' },
        { ...appending(true), survives: 'cut off' },
        batching(),
        committer(),
      ],
      { ringGranules: 4, limits: { deaths: 2, faults: 1, timeOuts: 1 } },
    ),
    named('everything', [committing(2), batching(), appending(true), resuming(), committer()], {
      ringGranules: 4,
      segmentFrames: 2,
      limits: everything,
    }),
    named('everything and close', [committing(2), batching(), appending(true), closing(), committer()], {
      segmentFrames: 2,
      limits: everything,
    }),
    named('promises', [promising(2, true), promising(2), mixing(), committing(1), committer()], {
      ringGranules: 4,
    }),
    named(
      'promises, everything',
      [leadingItself(promising(3)), mixing(), committing(1), resuming(), committer()],
      {
        ringGranules: 4,
        segmentFrames: 2,
        limits: everything,
      },
    ),
    named('promises, calls cut off', [cutOff(mixing()), overflowing(), committing(2), committer()], {
      ringGranules: 4,
      limits: { deaths: 2, faults: 1, timeOuts: 1 },
    }),
    named('keeper, everything', [committing(2), mixing(), committing(1), resuming(), committer(), keeper()], {
      segmentFrames: 2,
      zeroedFrames: 1,
      limits: everything,
    }),
    named(
      'keeper, close gives up',
      [committing(2), leadingItself(promising(2, true)), givingUp(), committer(), keeper()],
      {
        segmentFrames: 1,
        limits: everything,
      },
    ),
  ]
}

export const EXPLORATIONS: readonly Exploration[] = [1, 2].flatMap((slots) => [
  ...explorationsWith(slots),
  ...randomWith(slots),
])
