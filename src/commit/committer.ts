import { COMMITTER_AWAKE, COMMITTER_BUSY, COMMITTER_IDLE } from '../shared/doorbell.ts'
import type { CommitContext } from './context.ts'
import type { Leader } from './leader.ts'
import { RECHECK_MS, type Watch } from './watch.ts'

/**
 * Leads for those who do not block, promise commits and bare appends, and for everybody where many records wait.
 * Sleeps on its doorbell; when the log falls idle it writes one seal, and then sleeps without any timer.
 */
export class Committer {
  private readonly context: CommitContext
  private readonly leader: Leader
  private readonly watch: Watch
  private readonly sealIdleMs: number
  /** When something was last led, or nothing was there to be led. */
  private progressMs: number

  constructor(context: CommitContext, leader: Leader, watch: Watch, sealIdleMs: number) {
    this.context = context
    this.leader = leader
    this.watch = watch
    this.sealIdleMs = sealIdleMs
    this.progressMs = 0
  }

  /** Runs until the log stops its workers. */
  runUntilStopped(): void {
    const { control } = this.context
    while (!control.isStopped()) this.turn()
  }

  /** Leads what there is to lead, then sleeps until there is more. */
  turn(): void {
    const { control, doorbell, ring } = this.context
    const bell = doorbell.doorbellValue()
    if (this.leadOnce()) return
    const isIdle = ring.isEmpty() && control.isDrained()
    const state = doorbell.hasCommitterDuty() ? COMMITTER_BUSY : COMMITTER_IDLE
    doorbell.storeCommitterSleep(state)
    // The last look, after it said that it sleeps: who publishes later finds it asleep and rings. Whoever published
    // just before found it awake, and gave it a duty that it has not spoken of yet.
    const hasMore = (isIdle && !ring.isEmpty()) || (state === COMMITTER_IDLE && doorbell.hasCommitterDuty())
    if (this.leadOnce() || hasMore || control.isStopped()) {
      doorbell.storeCommitterSleep(COMMITTER_AWAKE)
      return
    }
    const rang = doorbell.waitForDoorbell(bell, this.sleepMs(isIdle))
    doorbell.storeCommitterSleep(COMMITTER_AWAKE)
    if (isIdle) {
      this.progressMs = this.context.clock.monotonicMs()
      if (!rang) this.leader.trySeal()
    } else this.lookAfterRest()
  }

  /** Those who ring may ring without end while nothing moves: the time since the last progress decides. */
  private lookAfterRest(): void {
    const nowMs = this.context.clock.monotonicMs()
    if (nowMs - this.progressMs < RECHECK_MS) return
    this.progressMs = nowMs
    this.watch.lookForDead()
  }

  /** Duty is taken off before the ring is scanned: who publishes after the scan puts it on again. */
  private leadOnce(): boolean {
    const { doorbell, ring } = this.context
    const hadDuty = doorbell.takeCommitterDuty()
    const hasLed = this.leader.leadOn()
    if (hasLed) this.progressMs = this.context.clock.monotonicMs()
    // A batch may take only a part of what the committer was rung for.
    if (hadDuty && !ring.isEmpty()) doorbell.giveCommitterDuty()
    return hasLed
  }

  private sleepMs(isIdle: boolean): number {
    if (!isIdle) return RECHECK_MS
    return this.sealIdleMs > 0 && !this.leader.isSealed() ? this.sealIdleMs : Number.POSITIVE_INFINITY
  }
}
