import { constants, setPriority } from 'node:os'
import { Committer } from '../commit/committer.ts'
import { leaveProtocol } from '../commit/join.ts'
import { Leader } from '../commit/leader.ts'
import { Watch } from '../commit/watch.ts'
import { CLIENT_COMMITTER } from '../shared/clients.ts'
import { joinLog } from './connect.ts'
import type { LogHandle } from './handle.ts'

/** The whole life of the committer's thread: blocks until the log stops its workers. */
export function runCommitter(handle: LogHandle): void {
  const context = joinLog(handle, CLIENT_COMMITTER)
  const leader = new Leader(context)
  const watch = new Watch(context, leader)
  raisePriority(context.thread)
  context.doorbell.storeCommitterClient(context.client)
  new Committer(context, leader, watch, handle.sealIdleMs).runUntilStopped()
  leaveProtocol(context)
}

/**
 * Everybody waits for this thread, and it uses little time: on a busy machine it should not queue for a processor
 * behind those who wait for it. Where the user may not ask for that (it needs CAP_SYS_NICE), it works as it is.
 */
function raisePriority(thread: number): void {
  if (thread <= 0) return
  try {
    // On Linux a thread has a priority of its own.
    setPriority(thread, constants.priority.PRIORITY_HIGH)
  } catch {
    // not allowed
  }
}
