// Threads that do not block: promises, and the segment-keeper.

import type { ThreadPlan } from './configuration.ts'
import { type Exploration, FAR, make, NEAR_SIGN, NEAR_WRAP, NO_FAILURE } from './exploration.ts'
import {
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

/** Promises: the committer leads for those who wait for them. */
export function withEventLoops(slots: number): Exploration[] {
  const tiny = { ringGranules: 4 }
  const death = { ...NO_FAILURE, deaths: 1 }
  const fault = { ...NO_FAILURE, faults: 1 }
  const named = (name: string, threads: ThreadPlan[], changes: Partial<Exploration> = {}): Exploration =>
    make(`promises: ${name}, D=${slots}`, [...threads, committer()], { slots, ...changes })
  return [
    named('2 commits', [promising(2)], tiny),
    named('2 commits, a turn each', [promising(2, true)], NEAR_WRAP),
    named('2 threads x 1 commit', [promising(1), promising(1)], { bound: 1, ...NEAR_SIGN }),
    named('beside a thread that blocks', [promising(2, true), committing(1)], { bound: 1, method: 'dsync' }),
    named('full ring', [promising(3)], { ringGranules: 2, method: 'dsync' }),
    named('full ring, beside a thread that blocks', [promising(3), committing(1)], {
      ringGranules: 2,
      bound: 1,
    }),
    named('batch, append and flush', [mixing()], { ...tiny, method: 'dsync', ...FAR }),
    named('early re-checks', [promising(2, true)], { limits: { ...NO_FAILURE, timeOuts: 1 } }),
    named('1 death', [promising(2, true)], { limits: death, bound: 1 }),
    named('1 death, beside a thread that blocks', [promising(1), committing(1)], { limits: death, bound: 0 }),
    named('1 death, 2 threads', [promising(1), promising(1)], { limits: death, bound: 0, method: 'dsync' }),
    named('1 death, full ring', [promising(3)], { limits: death, bound: 1, ringGranules: 2 }),
    named('1 call cut off', [cutOff(promising(2, true))], { limits: death, bound: 1, method: 'dsync' }),
    named('1 call cut off, full ring', [cutOff(promising(3))], { limits: death, bound: 1, ringGranules: 2 }),
    named('1 stack overflow', [cutOff(promising(2, true), 'thrown')], { limits: death, bound: 1 }),
    named('1 stack overflow, batch', [overflowing()], { limits: death, bound: 0, ...tiny }),
    named('1 failure', [promising(2, true)], { limits: fault }),
    named('1 failure, resume', [promising(2, true), resuming()], { limits: fault, bound: 1 }),
    named('1 call cut off, 1 failure, resume', [cutOff(promising(2, true)), resuming()], {
      limits: { ...death, faults: 1 },
      bound: 0,
    }),
    named('led by their thread', [leadingItself(promising(2, true))], NEAR_SIGN),
    named('led by their thread, full ring', [leadingItself(promising(3))], { ringGranules: 2, bound: 1 }),
    named('led by their thread, beside one that blocks', [leadingItself(promising(2, true)), committing(1)], {
      bound: 1,
      method: 'dsync',
    }),
    named('led by their thread, early re-checks', [leadingItself(promising(2, true))], {
      limits: { ...NO_FAILURE, timeOuts: 1 },
      bound: 1,
    }),
    named('led by their thread, 1 death', [leadingItself(promising(2, true)), committing(1)], {
      limits: death,
      bound: 0,
    }),
    named('led by their thread, 1 call cut off', [cutOff(leadingItself(promising(2, true)))], {
      limits: death,
      bound: 1,
    }),
    named('led by their thread, 1 failure, resume', [leadingItself(promising(2, true)), resuming()], {
      limits: fault,
      bound: 1,
    }),
    named('led by their thread, close gives up', [leadingItself(promising(2, true)), givingUp()], {
      bound: 1,
    }),
    named('close', [promising(2, true), closing()], { bound: 1 }),
    named('close gives up', [promising(2, true), givingUp()], { bound: 1 }),
  ]
}

/** The segment-keeper makes room, and whoever needs it waits for its answer. */
export function withKeeper(slots: number): Exploration[] {
  const death = { ...NO_FAILURE, deaths: 1 }
  const fault = { ...NO_FAILURE, faults: 1 }
  const named = (name: string, threads: ThreadPlan[], changes: Partial<Exploration> = {}): Exploration =>
    make(`keeper: ${name}, D=${slots}`, [...threads, keeper()], { slots, segmentFrames: 1, ...changes })
  return [
    named('1 thread, segments of one frame', [committing(2)], { method: 'dsync' }),
    named('2 threads, zeros and segments', repeat(2, 2), { segmentFrames: 2, zeroedFrames: 1, bound: 1 }),
    named('promises', [promising(2, true), committer()], { bound: 1, method: 'dsync' }),
    named('1 death', [committing(2)], { limits: death, bound: 1 }),
    named('1 death, 2 threads, zeros', repeat(2, 1), {
      limits: death,
      bound: 0,
      segmentFrames: 2,
      zeroedFrames: 0,
      method: 'dsync',
    }),
    named('1 death, promises', [promising(2, true), committer()], {
      limits: death,
      bound: 0,
      method: 'dsync',
    }),
    named('1 failure', [committing(2)], { limits: fault, bound: 1 }),
    named('1 failure, 2 threads, zeros', repeat(2, 1), {
      limits: fault,
      bound: 1,
      segmentFrames: 2,
      zeroedFrames: 0,
      method: 'dsync',
    }),
    named('1 failure, resume', [committing(3), resuming()], { limits: fault, bound: 1, method: 'dsync' }),
    named('1 failure, promises', [promising(2, true), committer()], { limits: fault, bound: 0 }),
    named('close', [committing(2), closing()], { bound: 1 }),
  ]
}
