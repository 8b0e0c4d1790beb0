import type { Machine } from './machine.ts'
import { type Chooser, GO_ON, KILL, OUTCOME, TIME_OUT } from './scheduling.ts'

/** One schedule again, as Machine.schedule wrote it down. Answers that make no sense (any more) are passed over. */
export class Replay implements Chooser {
  private readonly answers: Map<number, number>

  constructor(schedule: readonly number[] = []) {
    this.answers = new Map()
    this.take(schedule)
  }

  /** From the next run on: this schedule. */
  take(schedule: readonly number[]): void {
    this.answers.clear()
    for (let at = 0; at < schedule.length; at += 2) this.answers.set(schedule[at], schedule[at + 1])
  }

  begin(machine: Machine): void {
    machine.askAt = 0
  }

  onStep(machine: Machine, _site: number, mayDie: boolean): number {
    const answer = this.answers.get(machine.question - 1) ?? GO_ON
    if (answer === KILL) return mayDie ? KILL : GO_ON
    if (answer >= OUTCOME || answer === machine.current) return GO_ON
    if (answer >= TIME_OUT) return machine.threads.isTimed(answer - TIME_OUT) ? answer : GO_ON
    return answer >= 0 && machine.threads.canRun(answer) ? answer : GO_ON
  }

  onSwitch(machine: Machine): number {
    const answer = this.answers.get(machine.question)
    if (answer !== undefined && answer < KILL && machine.threads.canRun(answer)) return answer
    for (let thread = 0; ; thread++) if (machine.threads.canRun(thread)) return thread
  }

  onOutcome(machine: Machine): number {
    const answer = this.answers.get(machine.question)
    return answer === undefined ? 0 : Math.max(0, answer - OUTCOME)
  }

  onReady(): void {}
}
