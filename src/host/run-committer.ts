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
  context.control.storeCommitterClient(context.client)
  new Committer(context, leader, watch, handle.sealIdleMs).runUntilStopped()
  leaveProtocol(context)
}
