import type { CommitContext } from './context.ts'
import { THREAD_GONE, THREAD_POLLING } from './liveness.ts'

/** It may still act. */
export const OWNER_ACTIVE = 0
/** It is gone if what it owns is unchanged when looked at once more after this answer. */
export const OWNER_IDLE = 1
export const OWNER_GONE = 2

/**
 * Whether the client that owns something (a lock, a slot, a place in the ring) can still act on it.
 *
 * It cannot when its thread has ended. It cannot either when its thread sits in the event loop: protocol code is
 * synchronous and never polls, so the call that took the thing is no longer on the stack (it was terminated, timed
 * out by `vm`, or overflowed the stack). And what belongs to the asking thread itself was left behind in the same
 * way, for that thread is here, and not there.
 */
export function ownerState(context: CommitContext, client: number): number {
  const { clients } = context
  const thread = clients.threadOf(client)
  if (thread === context.thread || thread === 0 || clients.isReportedDead(client)) return OWNER_GONE
  const state = context.liveness.threadState(thread, clients.startTicksOf(client))
  if (state === THREAD_GONE) return OWNER_GONE
  return state === THREAD_POLLING ? OWNER_IDLE : OWNER_ACTIVE
}

/** Has the client's thread ended? For those that own nothing, such as the internal workers between two tasks. */
export function isClientGone(context: CommitContext, client: number): boolean {
  return ownerState(context, client) === OWNER_GONE
}
