import * as assert from 'uvu/assert'
import type { CommitOutcome, GroupWalErrorCode } from '../../src/index.ts'

/** The fields that errors of groupwal and of the system have. */
export interface Failure extends Error {
  code?: string
  outcome?: CommitOutcome
  lsn?: number | undefined
  cause?: unknown
}

/** What a call throws or a promise is rejected with; fails when it is neither. */
export async function failureOf(run: (() => unknown) | Promise<unknown>): Promise<Failure> {
  let value: unknown
  try {
    value = await (typeof run === 'function' ? run() : run)
  } catch (error) {
    assert.instance(error, Error)
    return error as Failure
  }
  throw new Error(`expected a failure, got ${String(value)}`)
}

/** The failure of a call that must have this code. */
export async function failureWith(
  code: GroupWalErrorCode,
  run: (() => unknown) | Promise<unknown>,
): Promise<Failure> {
  const failure = await failureOf(run)
  assert.is(failure.code, code, failure.stack)
  return failure
}

/** The POSIX code of the file-system error that is the cause. */
export function causeCode(failure: Failure): string | undefined {
  return (failure.cause as { code?: string } | undefined)?.code
}
