import { GroupWalError } from '../errors.ts'
import type { LogHandle } from './handle.ts'
import type { Producer } from './producer.ts'

/** What a worker thread of a producer pool knows about its pool. */
export interface PoolMembership {
  readonly handle: LogHandle
  /** Producers that `connect()` made here without an argument; closed when the pool retires the worker. */
  readonly producers: Set<{ close(): void }>
}

/** A worker may hold several copies of groupwal (ESM, CommonJS, bundled): all of them look here. */
const KEY = Symbol.for('groupwal.pool')

interface GlobalWithMembership {
  [KEY]?: PoolMembership
}

/** This thread becomes a worker of a pool. */
export function joinPool(handle: LogHandle): PoolMembership {
  const membership: PoolMembership = { handle, producers: new Set() }
  ;(globalThis as GlobalWithMembership)[KEY] = membership
  return membership
}

/** The producer of this thread, which `connect()` returns again and again, so that tasks may call it as they like. */
let own: Producer | undefined

/**
 * The producer that this worker of a pool shares among its tasks; a new one when it was closed.
 *
 * @throws GroupWalError GROUPWAL_INVALID_HANDLE outside of a pool
 */
export function producerOfPool(connect: (handle: LogHandle) => Producer): Producer {
  const membership = (globalThis as GlobalWithMembership)[KEY]
  if (membership === undefined) {
    throw new GroupWalError(
      'GROUPWAL_INVALID_HANDLE',
      'connect() without a handle works in the workers of createProducerPool only; elsewhere pass log.handle',
    )
  }
  if (own === undefined || own.isClosed) {
    if (own !== undefined) membership.producers.delete(own)
    own = connect(membership.handle)
    membership.producers.add(own)
  }
  return own
}
