import { WaitGivenUpError } from '../errors.ts'
import { lsnOfEntry, PENDING_FLUSH, type PendingEntry, rejectEntry } from './pending.ts'
import { checkOptionNames, describe } from './record-input.ts'

/** How long a blocking call may wait. */
export interface WaitOptions {
  /** Gives up the wait, not the record, after this many milliseconds. Default: never. */
  timeoutMs?: number
}

/** How long an asynchronous call may wait. */
export interface AsyncWaitOptions extends WaitOptions {
  /** Gives up the wait, not the record, when it is aborted. */
  signal?: AbortSignal
}

const WAIT_OPTIONS: readonly string[] = ['timeoutMs']
const ASYNC_WAIT_OPTIONS: readonly string[] = ['timeoutMs', 'signal']

type GiveUpCode = 'GROUPWAL_TIMEOUT' | 'GROUPWAL_ABORTED'

/** The instant of the monotonic clock at which a blocking call gives up. */
export function deadlineOf(options: WaitOptions | undefined, nowMs: () => number): number {
  if (options === undefined) return Number.POSITIVE_INFINITY
  checkOptionNames(options, WAIT_OPTIONS)
  const { timeoutMs } = options
  return timeoutMs === undefined ? Number.POSITIVE_INFINITY : nowMs() + checkTimeout(timeoutMs)
}

/** The error of a wait that was given up; without an LSN the record was withdrawn before it got one. */
export function givenUpError(
  code: GiveUpCode,
  why: string,
  lsn: number | undefined,
  cause?: unknown,
): WaitGivenUpError {
  const what =
    lsn === undefined ? 'the record was withdrawn, it is not written' : `record ${lsn} may yet become durable`
  const outcome = lsn === undefined ? 'not-written' : 'indeterminate'
  return new WaitGivenUpError(code, `${why}: ${what}`, { outcome, lsn, cause })
}

/** Of a call that was cut off (a `vm` timeout, a stack overflow) when its record had its place already. */
export function cutOffError(entry: PendingEntry, cause?: unknown): WaitGivenUpError {
  return givenUpError('GROUPWAL_ABORTED', 'the call was cut off', lsnOfEntry(entry), cause)
}

/** The same for a flush that waits for commits which have no LSN yet: they are not withdrawn. */
export function flushGivenUpError(code: GiveUpCode, why: string, cause?: unknown): WaitGivenUpError {
  const message = `${why}: what was to be flushed waits for ring space, and may yet become durable`
  return new WaitGivenUpError(code, message, { outcome: 'indeterminate', cause })
}

/**
 * Arranges that `timeoutMs` and `signal` end the wait for a promise. `onGivenUp` is called just before its rejection:
 * a record that has no place yet must then be taken out of its queue. The entry may be settled on return: the signal
 * was aborted already.
 */
export function giveUpLater(
  entry: PendingEntry,
  options: AsyncWaitOptions | undefined,
  onGivenUp: (entry: PendingEntry) => void,
): void {
  if (options === undefined) return
  checkOptionNames(options, ASYNC_WAIT_OPTIONS)
  const signal = checkSignal(options.signal)
  const timeoutMs = options.timeoutMs === undefined ? undefined : checkTimeout(options.timeoutMs)
  const settle = (code: GiveUpCode, why: string, cause: unknown): void => {
    const lsn = entry.lastLsn === 0 ? undefined : lsnOfEntry(entry)
    const isUnplacedFlush = entry.kind === PENDING_FLUSH && lsn === undefined
    rejectEntry(
      entry,
      isUnplacedFlush ? flushGivenUpError(code, why, cause) : givenUpError(code, why, lsn, cause),
    )
  }
  const giveUp: typeof settle = (code, why, cause) => {
    if (entry.isSettled) return
    onGivenUp(entry)
    settle(code, why, cause)
  }
  let timer: NodeJS.Timeout | undefined
  const onAbort = (): void => giveUp('GROUPWAL_ABORTED', 'the signal was aborted', signal?.reason)
  entry.release = (): void => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
  if (signal?.aborted) {
    settle('GROUPWAL_ABORTED', 'the signal was aborted', signal.reason)
    return
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  if (timeoutMs !== undefined && timeoutMs < 2 ** 31) {
    timer = setTimeout(() => giveUp('GROUPWAL_TIMEOUT', 'timeoutMs passed', undefined), timeoutMs)
  }
}

/** By what is used of it: signals of other realms, and of packages that bring their own, are as good. */
function checkSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined) return undefined
  const { aborted, addEventListener, removeEventListener } = Object(signal) as Partial<AbortSignal>
  const hasListeners = typeof addEventListener === 'function' && typeof removeEventListener === 'function'
  if (typeof aborted === 'boolean' && hasListeners) return signal as AbortSignal
  throw new TypeError(`signal must be an AbortSignal, got ${describe(signal)}`)
}

function checkTimeout(timeoutMs: unknown): number {
  if (typeof timeoutMs !== 'number')
    throw new TypeError(`timeoutMs must be a number, got ${describe(timeoutMs)}`)
  if (!(timeoutMs >= 0)) throw new RangeError(`timeoutMs must be 0 or more, got ${timeoutMs}`)
  return timeoutMs
}
