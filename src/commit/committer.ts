import { COMMITTER_AWAKE, COMMITTER_BUSY, COMMITTER_IDLE } from '../shared/control.ts'
import type { CommitContext } from './context.ts'
import type { Leader } from './leader.ts'
import { RECHECK_MS, type Watch } from './watch.ts'

/**
 * Leads for those who do not block: promise commits and bare appends. Sleeps on its doorbell; when the log falls
 * idle it writes one seal, and then sleeps without any timer.
 */
export class Committer {
  private readonly context: CommitContext
  private readonly leader: Leader
  private readonly watch: Watch
  private readonly sealIdleMs: number
  /** Somebody who does not lead rang, and the ring was not empty since: whoever frees a slot must ring again. */
  private hasDuty: boolean

  constructor(context: CommitContext, leader: Leader, watch: Watch, sealIdleMs: number) {
    this.context = context
    this.leader = leader
    this.watch = watch
    this.sealIdleMs = sealIdleMs
    this.hasDuty = false
  }

  /** Runs until the log stops its workers. */
  runUntilStopped(): void {
    const { control } = this.context
    while (!control.isStopped()) this.turn()
  }

  /** Leads what there is to lead, then sleeps until there is more. */
  turn(): void {
    const { control, ring } = this.context
    const bell = control.doorbellValue()
    if (this.leadOnce()) return
    const isIdle = ring.isEmpty() && control.isDrained()
    if (ring.isEmpty()) this.hasDuty = false
    control.storeCommitterSleep(this.hasDuty ? COMMITTER_BUSY : COMMITTER_IDLE)
    // The last look, after it said that it sleeps: who publishes later finds it asleep and rings.
    if (this.leadOnce() || (isIdle && !ring.isEmpty()) || control.isStopped()) {
      control.storeCommitterSleep(COMMITTER_AWAKE)
      return
    }
    const rang = control.waitForDoorbell(bell, this.sleepMs(isIdle))
    control.storeCommitterSleep(COMMITTER_AWAKE)
    if (rang) this.hasDuty = true
    else if (isIdle) this.leader.trySeal()
    else this.watch.lookForDead()
  }

  private leadOnce(): boolean {
    if (!this.leader.tryLead()) return false
    this.hasDuty = false
    return true
  }

  private sleepMs(isIdle: boolean): number {
    if (!isIdle) return RECHECK_MS
    return this.sealIdleMs > 0 && !this.leader.isSealed() ? this.sealIdleMs : Number.POSITIVE_INFINITY
  }
}
