import { readRecords } from '../../src/read/reader.ts'
import { type RecoverOptions, type RecoveryResult, recover } from '../../src/recovery/recover.ts'
import type { FileSystem } from '../../src/storage/file-system.ts'
import type { ModelLedger } from './model-ledger.ts'
import { type ModelOptions, ModelWriter } from './model-writer.ts'
import type { Random } from './random.ts'

export const LOG_DIRECTORY = '/log'
export const BLOCK_BYTES = 4096

/** Options of a log so small that rotation is frequent. */
export function modelOptions(random: Random, overrides: Partial<ModelOptions> = {}): ModelOptions {
  let nowMs = 1_790_000_000_000
  return {
    segmentBytes: 8 * BLOCK_BYTES,
    maxOutstandingRecords: 8,
    method: 'dsync',
    randomBytes: (count) => random.bytes(count),
    nowMs: () => nowMs++,
    ...overrides,
  }
}

/** The ways to sync that a test goes through: one by chance, or all with EXHAUSTIVE in the environment. */
export function chooseMethods(random: Random): ModelOptions['method'][] {
  const methods: ModelOptions['method'][] = ['dsync', 'fdatasync']
  return process.env.EXHAUSTIVE === undefined ? [methods[random.int(2)]!] : methods
}

// Recovery is over before it begins anew, so all of them share their buffers: thousands are run.
const buffers = new Map<number, Uint8Array>()

function sharedBuffer(bytes: number): Uint8Array {
  const buffer = buffers.get(bytes) ?? new Uint8Array(bytes)
  buffers.set(bytes, buffer)
  return buffer
}

/** Runs the real recovery as the opener of a log would. */
export function openModel(
  fs: FileSystem,
  options: ModelOptions,
  overrides: Partial<RecoverOptions> = {},
): RecoveryResult {
  return recover(fs, LOG_DIRECTORY, {
    ...options,
    blockBytes: BLOCK_BYTES,
    initialZeroBytes: 2 * BLOCK_BYTES,
    directReads: true,
    directWrites: options.method === 'dsync',
    allocateBuffer: sharedBuffer,
    ...overrides,
  })
}

/** Opens the log, checks what it returns against the ledger, and goes on with a writer. */
export function openAndSettle(fs: FileSystem, options: ModelOptions, ledger: ModelLedger): ModelWriter {
  const opened = openModel(fs, options)
  settle(fs, opened, ledger)
  return new ModelWriter(fs, LOG_DIRECTORY, opened, options, ledger)
}

/** Checks what the log returns after a recovery against the ledger. */
export function settle(fs: FileSystem, opened: RecoveryResult, ledger: ModelLedger): void {
  const records = [...readRecords(fs, LOG_DIRECTORY)]
  const lastLsn = records.at(-1)?.lsn ?? opened.durableLsn
  if (opened.durableLsn !== lastLsn)
    throw new Error(`durable up to ${opened.durableLsn}, but ${lastLsn} is there`)
  if (opened.nextLsn <= lastLsn) throw new Error(`next LSN ${opened.nextLsn}, but ${lastLsn} is there`)
  ledger.settle(records)
}
