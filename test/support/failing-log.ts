import * as assert from 'uvu/assert'
import { GroupWalError, type Log, type OpenOptions, openLog } from '../../src/index.ts'
import { Faults } from './faults.ts'
import { type Ended, type FlatError, ScriptedProducer } from './scripted-producer.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const MIB = 1 << 20
/** No seals in between: the number of frame writes is that of the batches. */
const OPTIONS: OpenOptions = { segmentBytes: MIB, sealIdleMs: 0, syncMethod: 'fdatasync' }

/** A new log upon a file system with faults, and producers in worker threads. */
export async function openFaulty(
  options: OpenOptions,
  producerCount: number,
): Promise<{ log: Log; faults: Faults; producers: ScriptedProducer[]; directory: string }> {
  const faults = new Faults()
  const directory = temporaryDirectory()
  const log = await openLog(directory, { ...OPTIONS, ...options, fileSystem: faults.fileSystem })
  return { log, faults, directory, producers: await ScriptedProducer.startMany(log, producerCount) }
}

export async function closeAll(log: Log, producers: ScriptedProducer[]): Promise<void> {
  await Promise.all(producers.map((producer) => producer.close()))
  await log.close()
}

/** The error that a call ended with; fails when it succeeded. */
export function errorOf({ value, error }: Ended<unknown>): FlatError {
  if (error === undefined) throw new Error(`it succeeded: ${JSON.stringify(value)}`)
  return error
}

/** Is this what a waiter must be told? */
export function checkFailure(error: FlatError, outcome: string, causeCode: string | undefined): void {
  assert.is(error.code, 'GROUPWAL_COMMIT_FAILED', error.stack)
  assert.is(error.name, 'CommitFailedError')
  assert.ok(error.isGroupWal)
  assert.is(error.outcome, outcome, error.message)
  if (causeCode !== undefined) assert.is(error.causeCode, causeCode)
}

/** What a promise of this thread is rejected with. */
export async function rejectionOf(promise: Promise<unknown>): Promise<FlatError> {
  return errorOf(await promise.then(ended, failedInHost))
}

/** With `failedInHost`, for `then`: how a call in this thread ended. */
export function ended(value: unknown): Ended<unknown> {
  return { value }
}

export function failedInHost(error: Error): Ended<unknown> {
  return { error: flat(error) }
}

function flat(error: Error): FlatError {
  const { code, outcome, lsn, cause } = error as FlatError & { cause?: { code: string } }
  return {
    name: error.name,
    message: error.message,
    stack: error.stack,
    code,
    outcome,
    lsn,
    causeCode: cause?.code,
    isGroupWal: GroupWalError.is(error),
  }
}
