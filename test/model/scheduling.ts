// What choosers and the machine say to each other.

import type { Machine } from './machine.ts'

/** Answers to `onStep` beside "run thread n". */
export const GO_ON = -1
export const KILL = 100
/** + n: the timed wait of thread n ends, although nobody woke it. */
export const TIME_OUT = 200
/** + n: the n-th outcome of a call to the disk. */
export const OUTCOME = 300

/** A step that no run in order reaches: whoever does is in a livelock. */
export const NEVER = 20_000

/** Something that must not happen; `promise` names what was broken. */
export class Violation extends Error {
  override name = 'Violation'
  readonly promise: string

  constructor(promise: string, message: string) {
    super(`${promise}: ${message}`)
    this.promise = promise
  }
}

/** Says which thread runs next and what fails. Each answer is one of the codes above. */
export interface Chooser {
  /** A run begins. Sets `machine.askAt`, as the other calls may: the next step before which it wants to be asked. */
  begin(machine: Machine): void
  /** Thread `machine.current` is about to do the operation at `site`. GO_ON, another thread that can run, KILL, or TIME_OUT + n. */
  onStep(machine: Machine, site: number, mayDie: boolean): number
  /** The current thread cannot go on: which one does? Only called when there are two or more. */
  onSwitch(machine: Machine): number
  /** How does the disk answer? 0 is the usual answer. Only called while faults are left. */
  onOutcome(machine: Machine, outcomes: number): number
  /** A thread became ready. */
  onReady(machine: Machine): void
}

/** How many of each a run may see. */
export interface Limits {
  deaths: number
  /** Writes, syncs and fences that fail. */
  faults: number
  /** Timed waits that end early. */
  timeOuts: number
}

export const NOBODY: Chooser = {
  begin: () => {},
  onStep: () => GO_ON,
  onSwitch: () => 0,
  onOutcome: () => 0,
  onReady: () => {},
}

/** A schedule in few characters: `12>1` at question 12 run thread 1, `40x` kill, `51t2` time out, `60!1` the disk fails. */
export function writeSchedule(schedule: readonly number[]): string {
  const parts: string[] = []
  for (let at = 0; at < schedule.length; at += 2) {
    const answer = schedule[at + 1]
    if (answer < KILL) parts.push(`${schedule[at]}>${answer}`)
    else if (answer === KILL) parts.push(`${schedule[at]}x`)
    else if (answer < OUTCOME) parts.push(`${schedule[at]}t${answer - TIME_OUT}`)
    else parts.push(`${schedule[at]}!${answer - OUTCOME}`)
  }
  return parts.join(',')
}

/** @throws Error about text that writeSchedule did not write */
export function readSchedule(text: string): number[] {
  const schedule: number[] = []
  for (const part of text.split(',').filter((each) => each !== '')) {
    const match = /^(\d+)([>xt!])(\d*)$/.exec(part)
    if (match === null) throw new Error(`not a schedule: ${part}`)
    const [, question, kind, value] = match
    const base = { '>': 0, x: KILL, t: TIME_OUT, '!': OUTCOME }[kind]!
    schedule.push(Number(question), base + Number(value))
  }
  return schedule
}
