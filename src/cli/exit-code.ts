import { GroupWalError } from '../errors.ts'

/** Done. */
export const EXIT_OK = 0
/** It could not be done: the disk, the input, a worker. The message says what. */
export const EXIT_FAILED = 1
/** The command line is wrong; nothing was done. */
export const EXIT_USAGE = 2
/** The log is damaged: what stands before the damage was used, nothing behind it. */
export const EXIT_DAMAGED = 3
/** The log is open in another process. */
export const EXIT_LOCKED = 4

/** An option has a value that only the log itself knows to be wrong. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** The end of `--help`. */
export const EXIT_CODE_HELP = `
Exit codes:
  ${EXIT_OK}  done
  ${EXIT_FAILED}  failed (disk, input, worker); the message on standard error says what
  ${EXIT_USAGE}  the command line is wrong, nothing was done
  ${EXIT_DAMAGED}  the log is damaged
  ${EXIT_LOCKED}  the log is open in another process
  130, 143  ended by SIGINT, SIGTERM; what was acknowledged is durable`

/** Says on standard error what went wrong, as text or as one JSON line; returns the exit code. */
export function reportError(error: unknown, asJson: boolean): number {
  const { message, name, cause } = error instanceof Error ? error : new Error(String(error))
  const { code } = error as { code?: string }
  if (asJson) {
    const causeCode = (cause as { code?: string } | undefined)?.code
    process.stderr.write(`${JSON.stringify({ error: { name, code, message, causeCode } })}\n`)
  } else {
    const isOurs = GroupWalError.is(error) || code !== undefined
    process.stderr.write(`groupwal: ${message}${isOurs ? ` (${code})` : ''}\n`)
  }
  return exitCodeOf(name, code)
}

function exitCodeOf(name: string, code: string | undefined): number {
  // By its name: what the host of a stress tells of has lost its class.
  if (name === 'UsageError') return EXIT_USAGE
  if (code === 'GROUPWAL_LOCKED') return EXIT_LOCKED
  return code === 'GROUPWAL_CORRUPT' ? EXIT_DAMAGED : EXIT_FAILED
}
