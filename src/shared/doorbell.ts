import { add, compareExchange, load, notify, store, type Words, wait } from './atomics.ts'
import * as at from './layout.ts'
import type { SharedMemory } from './memory.ts'

/** The committer will look at the ring by itself. */
export const COMMITTER_AWAKE = 0
/** It sleeps, and when it last looked there was nothing to do. */
export const COMMITTER_IDLE = 1
/** It sleeps, and there are records that it could not lead yet: no slot, no room, a hole. */
export const COMMITTER_BUSY = 2

/** View on the committer's words: what it is rung by, and what it says of itself. */
export class Doorbell {
  private readonly words: Words

  constructor(memory: SharedMemory) {
    this.words = memory.words
  }

  doorbellValue(): number {
    return load(this.words, at.DOORBELL)
  }

  storeCommitterSleep(state: number): void {
    store(this.words, at.COMMITTER_SLEEPING, state)
  }

  waitForDoorbell(value: number, timeoutMs: number): boolean {
    return wait(this.words, at.DOORBELL, value, timeoutMs)
  }

  /**
   * Wakes the committer when it sleeps. To be called after a publication: the committer looks at the ring once more after it said that it sleeps.
   */
  ringCommitter(): void {
    this.giveCommitterDuty()
    if (load(this.words, at.COMMITTER_SLEEPING) === COMMITTER_AWAKE) return
    // Only the committer itself says that it is awake: who said it in its place, and died before the notify, would
    // let it sleep for ever.
    add(this.words, at.DOORBELL, 1)
    notify(this.words, at.DOORBELL, 1)
  }

  giveCommitterDuty(): void {
    if (load(this.words, at.COMMITTER_DUTY) === 0) store(this.words, at.COMMITTER_DUTY, 1)
  }

  hasCommitterDuty(): boolean {
    return load(this.words, at.COMMITTER_DUTY) === 1
  }

  takeCommitterDuty(): boolean {
    if (load(this.words, at.COMMITTER_DUTY) === 0) return false
    store(this.words, at.COMMITTER_DUTY, 0)
    return true
  }

  /** Wakes the committer only when it went to sleep upon work that it could not do yet. */
  ringBusyCommitter(): void {
    if (load(this.words, at.COMMITTER_SLEEPING) === COMMITTER_BUSY) this.ringCommitter()
  }

  committerClient(): number {
    return load(this.words, at.COMMITTER_CLIENT)
  }

  storeCommitterClient(client: number): void {
    store(this.words, at.COMMITTER_CLIENT, client)
  }

  /** The committer has ended: nobody counts on it any more. */
  dropCommitter(client: number): void {
    compareExchange(this.words, at.COMMITTER_CLIENT, client, 0)
  }
}
