import type { CommitContext } from '../commit/context.ts'
import { isClientGone } from '../commit/gone.ts'
import type { Leader } from '../commit/leader.ts'
import type { Watch } from '../commit/watch.ts'
import { waitAsync } from '../shared/atomics.ts'
import { type PendingEntry, rejectEntry } from './pending.ts'
import { Queued, type QueuedCommit } from './queued.ts'
import { Turn } from './turn.ts'
import { Unsettled } from './unsettled.ts'

/** How often a thread with pending promises looks whether somebody died; it also keeps the thread alive. */
const GUARD_MS = 25

/**
 * The promises of one producer. The committer leads for them: it is rung once per event-loop turn, and this
 * thread waits with one Atomics.waitAsync, however many promises are pending. Or this thread leads itself, where
 * that is quicker (Turn): at the end of a turn, and never twice without a round of the event loop in between.
 */
export class AsyncCommits {
  private readonly context: CommitContext
  private readonly leader: Leader
  private readonly watch: Watch
  private readonly unsettled: Unsettled
  private readonly queued: Queued
  private readonly turn: Turn
  private pushed: (() => void)[]
  private isTurnScheduled: boolean
  private isRoundScheduled: boolean
  private isWaiting: boolean
  private guard: NodeJS.Timeout | undefined
  private isGuardHeld: boolean
  /** How many commits were settled when the guard last looked. */
  private guardedCount: number
  private leave: (() => void) | undefined
  private readonly endTurn: () => void
  private readonly endRound: () => void
  private readonly wake: () => void

  /** @param ownLeadMs see Turn */
  constructor(context: CommitContext, leader: Leader, watch: Watch, ownLeadMs: number) {
    this.context = context
    this.leader = leader
    this.watch = watch
    this.unsettled = new Unsettled(context.control, context.phases)
    this.queued = new Queued()
    this.turn = new Turn(context, ownLeadMs)
    this.pushed = []
    this.isTurnScheduled = false
    this.isRoundScheduled = false
    this.isWaiting = false
    this.guard = undefined
    this.isGuardHeld = false
    this.guardedCount = 0
    this.leave = undefined
    this.endTurn = (): void => this.onTurnEnd()
    this.endRound = (): void => this.onRoundEnd()
    this.wake = (): void => this.onWake()
  }

  get pendingCount(): number {
    return this.unsettled.commitCount + this.queued.length + this.unsettled.flushCount
  }

  get hasQueued(): boolean {
    return this.queued.length > 0
  }

  /** A record (or batch) was published; its promise waits. LSNs only grow. */
  addPublished(entry: PendingEntry): void {
    this.unsettled.keepCommit(entry)
    this.scheduleTurn()
    this.turn.notePublished(entry.lastLsn - entry.firstLsn + 1)
  }

  addFlush(entry: PendingEntry): void {
    this.unsettled.keepFlush(entry)
    // It may wait for an older LSN than the one that this thread is to be woken for, or for one that is durable.
    if (this.isWaiting) this.armForOldest()
    this.unsettled.settleDecided()
    this.scheduleTurn()
  }

  /** The ring is full: goes behind those that wait already. */
  addQueued(commit: QueuedCommit): void {
    this.queued.add(commit)
    this.scheduleTurn()
  }

  /** Takes a commit that has no place yet out of the queue. */
  withdrawQueued(entry: PendingEntry): void {
    this.queued.withdraw(entry)
    this.notePushed()
  }

  /** The oldest commit without a place; a synchronous call pushes these before its own. */
  oldestQueued(): QueuedCommit | undefined {
    return this.queued.oldest()
  }

  shiftQueued(): void {
    this.queued.shift()
    this.notePushed()
  }

  /** Calls `then` as soon as nothing waits for ring space. */
  whenPushed(then: () => void): void {
    this.pushed.push(then)
  }

  private notePushed(): void {
    if (this.queued.length > 0) return
    for (let then = this.pushed[0]; then !== undefined; then = this.pushed[0]) {
      then()
      // Taken out last: when this is cut off, the next turn goes on with it.
      this.pushed.shift()
    }
  }

  private scheduleTurn(): void {
    if (this.isTurnScheduled) return
    this.turn.begin()
    queueMicrotask(this.endTurn)
    // Last: a call that is cut off before this leaves no turn behind that never ends.
    this.isTurnScheduled = true
  }

  /** Once per turn: leads what it has published, or rings the committer, and waits unless it does already. */
  private onTurnEnd(): void {
    this.isTurnScheduled = false
    // Asked before what is queued begins a turn of its own. Once in a round of the event loop.
    const leads = this.turn.shallLead() && this.unsettled.commitCount > 0 && !this.isRoundScheduled
    this.pushQueued()
    // Now, since this thread may not come to its event loop for long.
    if (!leads || !this.turn.lead(this.leader)) {
      this.ringAndWait()
      return
    }
    if (!this.context.ring.isEmpty()) this.context.doorbell.ringCommitter()
    this.scheduleRound()
  }

  /**
   * Promises that are decided when a turn ends are settled in the next round of the event loop: they may commit again
   * without end, and nothing else of this thread would run.
   */
  private scheduleRound(): void {
    if (this.isRoundScheduled) return
    setImmediate(this.endRound)
    this.isRoundScheduled = true
  }

  private ringAndWait(): void {
    this.context.doorbell.ringCommitter()
    this.waitForWake()
  }

  private onRoundEnd(): void {
    this.isRoundScheduled = false
    // First: should settling one of them fail, the timer settles the others.
    if (this.pendingCount > 0) this.holdGuard()
    this.unsettled.settleDecided()
    this.pushQueued()
    // Not all of it went into one frame, or more has come since.
    if (this.pendingCount > 0) this.ringAndWait()
    else this.releaseGuard()
  }

  /** Waits for the oldest promise to be decided, or for ring space. */
  private waitForWake(): void {
    if (this.pendingCount === 0) {
      this.releaseGuard()
      return
    }
    this.holdGuard()
    if (this.isWaiting || this.isRoundScheduled) return
    const { clients, client, memory } = this.context
    for (;;) {
      const value = clients.wakeValue(client)
      this.armForOldest()
      // Armed before these looks: whoever decides an LSN, or frees space, after them finds the client armed.
      this.pushQueued()
      if (this.unsettled.hasDecided()) {
        this.scheduleRound()
        return
      }
      // What was queued may have been refused: then nothing is left to wait for.
      if (this.pendingCount === 0) break
      const woken = waitAsync(memory.words, clients.wakeIndex(client), value)
      if (woken === undefined) continue
      this.isWaiting = true
      woken.then(this.wake)
      return
    }
    this.releaseGuard()
  }

  private armForOldest(): void {
    const { clients, client } = this.context
    clients.armClient(client, this.unsettled.oldestLsn(), this.hasQueued)
  }

  private onWake(): void {
    this.isWaiting = false
    this.unsettled.settleDecided()
    this.pushQueued()
    if (!this.isTurnScheduled) this.waitForWakeAfterTurn()
  }

  /** What the promises just settled will do comes first: it may commit again, in this very turn. */
  private waitForWakeAfterTurn(): void {
    if (this.pendingCount === 0 && this.guard === undefined) return
    this.scheduleTurn()
  }

  /** Publishes what waited for ring space, oldest first. */
  private pushQueued(): void {
    for (let commit = this.queued.oldest(); commit !== undefined; commit = this.queued.oldest()) {
      if (!commit.publish()) return
      this.shiftQueued()
    }
    this.notePushed()
  }

  // ---- the guard: a timer that runs only while promises are pending

  private holdGuard(): void {
    if (this.guard === undefined) this.guard = setInterval(() => this.onGuard(), GUARD_MS)
    else if (!this.isGuardHeld) this.guard.ref()
    this.isGuardHeld = true
  }

  private releaseGuard(): void {
    if (this.leave !== undefined) {
      const leave = this.leave
      this.leave = undefined
      this.leaveWhenSettled(leave)
    }
    if (!this.isGuardHeld) return
    this.isGuardHeld = false
    this.guard?.unref()
  }

  private onGuard(): void {
    const { doorbell } = this.context
    if (this.pendingCount === 0) {
      this.releaseGuard()
      clearInterval(this.guard)
      this.guard = undefined
      return
    }
    const { settledCount } = this.unsettled
    // Who was to wake this client may have died when it had disarmed it: nobody else would wake it any more.
    if (this.isWaiting) this.armForOldest()
    this.unsettled.settleDecided()
    if (this.unsettled.settledCount === this.guardedCount) {
      // Nothing has moved for a while: somebody may have died, perhaps the committer.
      this.watch.lookForDead()
      const committer = doorbell.committerClient()
      if (committer === 0 || isClientGone(this.context, committer)) this.leader.tryLead()
      else doorbell.ringCommitter()
      this.unsettled.settleDecided()
      this.pushQueued()
    }
    this.guardedCount = settledCount
  }

  /** Calls `leave` as soon as no promise is pending: at once, or when the last one is settled. */
  leaveWhenSettled(leave: () => void): void {
    if (this.pendingCount === 0) {
      clearInterval(this.guard)
      this.guard = undefined
      leave()
    } else {
      this.leave = leave
    }
  }

  /** The producer closes: what has no place yet never gets one. */
  rejectQueued(error: Error): void {
    for (let commit = this.queued.oldest(); commit !== undefined; commit = this.queued.oldest()) {
      rejectEntry(commit.entry, error)
      this.queued.shift()
    }
    this.notePushed()
  }
}
