import { FAILURE_CALLS } from '../commit/segment-writer.ts'
import { CommitFailedError, type GroupWalError, LogClosedError } from '../errors.ts'
import {
  PHASE_CLOSED,
  PHASE_CLOSING,
  PHASE_SEALING,
  type Phases,
  VERDICT_ABANDONED,
  VERDICT_CLOSED,
  VERDICT_INDETERMINATE,
} from '../shared/phase.ts'
import { errnoName } from '../storage/directory.ts'

/** The error of the disk that failed the log, rebuilt from its errno: the call happened in another thread, perhaps. */
export function failureCause(phases: Phases): Error {
  const call = FAILURE_CALLS[phases.failureCall()]
  const errno = phases.failureErrno()
  if (call === 'unlinked') return systemError('ENOENT', 'the segment was removed while the log was open')
  if (call === 'lock') return systemError('LOCK_LOST', LOCK_LOST)
  if (errno === 0) return systemError('SHORT_WRITE', 'the disk took fewer bytes than were written')
  const code = errnoName(errno)
  const what = { write: 'write', sync: 'sync', open: 'open a segment', room: 'make room in a segment' }[call]
  return systemError(code, `could not ${what}: ${code}`)
}

const LOCK_LOST = 'the thread that opened the log has ended, and its directory was opened anew'

function systemError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}

/** The error that a verdict other than durable means for a record. */
export function verdictError(verdict: number, lsn: number | undefined, phases: Phases): GroupWalError {
  const which = lsn === undefined ? 'the record' : `record ${lsn}`
  if (verdict === VERDICT_CLOSED) return closedError(lsn)
  if (verdict === VERDICT_ABANDONED) {
    return new LogClosedError(`the log was closed while ${which} was being written`, {
      outcome: 'indeterminate',
      lsn,
    })
  }
  const outcome = verdict === VERDICT_INDETERMINATE ? 'indeterminate' : 'not-written'
  const meaning =
    outcome === 'not-written'
      ? 'it was not written and never will be'
      : 'it may or may not be on disk until resume() fences it off'
  const cause = failureCause(phases)
  return new CommitFailedError(`${which} is not durable (${cause.message}): ${meaning}`, {
    outcome,
    lsn,
    cause,
  })
}

/** Why a record was refused before it got a place: the log is closing, closed or failed. */
export function refusalError(phases: Phases): GroupWalError {
  const phase = phases.phase()
  if (phase === PHASE_CLOSING || phase === PHASE_SEALING || phase === PHASE_CLOSED)
    return closedError(undefined)
  const cause = failureCause(phases)
  return new CommitFailedError(
    `the log has failed (${cause.message}); resume() makes it take records again`,
    {
      outcome: 'not-written',
      cause,
    },
  )
}

/** The record never got into the log. */
export function closedError(lsn: number | undefined): GroupWalError {
  const which = lsn === undefined ? 'the record' : `record ${lsn}`
  return new LogClosedError(`the log is closed: ${which} was not written`, { outcome: 'not-written', lsn })
}
