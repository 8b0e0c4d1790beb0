import { isMainThread } from 'node:worker_threads'
import type { CommitContext } from '../commit/context.ts'
import { joinProtocol, systemClock } from '../commit/join.ts'
import { ProcLiveness } from '../commit/liveness.ts'
import { GroupWalError } from '../errors.ts'
import { CLIENT_PRODUCER } from '../shared/clients.ts'
import { PHASE_CLOSED } from '../shared/phase.ts'
import { loadFileSystem } from '../storage/load-file-system.ts'
import { Ownership } from '../storage/ownership.ts'
import { closedError } from './failure.ts'
import { attachHandle, type LogHandle } from './handle.ts'
import { producerOfPool } from './pool-membership.ts'
import { Producer } from './producer.ts'

/**
 * Joins a log as a client of the given kind: the one place where a thread's context is put together.
 *
 * @throws GroupWalError GROUPWAL_INVALID_HANDLE, GROUPWAL_TOO_MANY_PRODUCERS
 */
export function joinLog(handle: LogHandle, kind: number): CommitContext {
  const memory = attachHandle(handle)
  const liveness = new ProcLiveness()
  const fs = loadFileSystem(handle.fileSystem)
  const { directory, lockText } = handle
  const context = joinProtocol(memory, {
    fs,
    ownership: lockText === undefined ? undefined : new Ownership(fs, directory, lockText),
    method: handle.syncMethod,
    supply: {
      directory,
      logId: handle.logId,
      blockBytes: memory.layout.blockBytes,
      segmentBytes: memory.layout.segmentBytes,
      maxOutstandingRecords: handle.maxOutstandingRecords,
    },
    liveness,
    identity: liveness.identity(),
    clock: systemClock,
    kind,
    lines: linesOf(kind, memory.layout.maxClients),
  })
  if (context !== undefined) return context
  const { maxClients } = memory.layout
  throw new GroupWalError(
    'GROUPWAL_TOO_MANY_PRODUCERS',
    `all ${maxClients - INTERNAL_CLIENTS} places for producers are taken; close() one, or raise the option maxProducers`,
  )
}

/** The first lines belong to the internal workers and the opener itself, whenever they come. */
export const INTERNAL_CLIENTS = 4

function linesOf(kind: number, maxClients: number): { first: number; last: number } {
  return kind === CLIENT_PRODUCER
    ? { first: INTERNAL_CLIENTS + 1, last: maxClients }
    : { first: 1, last: INTERNAL_CLIENTS }
}

/**
 * Connects the calling thread to a log.
 *
 * @param handle `log.handle`, as it came through workerData or postMessage. Without it, in a worker of a producer
 *   pool (`groupwal/pool`): the producer that all tasks of this worker share
 * @throws GroupWalError GROUPWAL_INVALID_HANDLE, GROUPWAL_TOO_MANY_PRODUCERS, GROUPWAL_CLOSED
 */
export function connect(handle?: LogHandle): Producer {
  return handle === undefined ? producerOfPool(connectTo) : connectTo(handle)
}

function connectTo(handle: LogHandle): Producer {
  const context = joinLog(handle, CLIENT_PRODUCER)
  if (context.phases.phase() === PHASE_CLOSED) {
    context.clients.freeLine(context.client)
    throw closedError(undefined)
  }
  // The event loop of the main thread is never held up.
  return new Producer(context, isMainThread ? 0 : handle.ownLeadMicros / 1000)
}
