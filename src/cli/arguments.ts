import { InvalidArgumentError, Option } from 'commander'
import { type OpenOptions, type ResolvedOptions, resolveOptions } from '../host/options.ts'
import { SYNC_METHODS } from '../storage/sync-method.ts'
import { UsageError } from './exit-code.ts'

/** A parser for commander: an integer from `least` to `most`. */
export function integer(least: number, most: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    const range = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `from ${least} to ${most}`
    throw new InvalidArgumentError(`It must be an integer, ${range}.`)
  }
}

const UNITS: Record<string, number> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

/** A parser for commander: bytes, `4096`, `64k`, `16MiB`. */
export function byteSize(text: string): number {
  const match = /^(\d+)\s*([kmg]?)(?:i?b)?$/i.exec(text)
  if (match === null) throw new InvalidArgumentError('It must be a size such as 4096, 64k or 16m.')
  return Number(match[1]) * UNITS[match[2]!.toLowerCase()]!
}

/** A parser for commander: seconds, `5` or `0.5`. */
export function seconds(text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (value > 0 && value <= 86_400) return value
  throw new InvalidArgumentError('It must be a number of seconds, up to 86400.')
}

/** Options of a log that the commands share. */
export interface LogArguments {
  syncMethod?: OpenOptions['syncMethod']
  stagingSlots?: OpenOptions['stagingSlots']
  segmentBytes?: number
  ringBytes?: number
}

export function logOptions(): Option[] {
  return [
    new Option('--sync-method <method>', 'how a batch is made durable').choices(['auto', ...SYNC_METHODS]),
    new Option('--staging-slots <n>', 'batches in flight at the same time: 1, 2, 4 or 8').argParser(
      integer(1, 8),
    ),
    new Option('--segment-bytes <size>', 'size of a segment').argParser(byteSize),
    new Option('--ring-bytes <size>', 'size of the ring, a power of two').argParser(byteSize),
  ]
}

/** What `openLog` is given. */
export function openOptionsOf(given: LogArguments): OpenOptions {
  const options: OpenOptions = {}
  if (given.syncMethod !== undefined) options.syncMethod = given.syncMethod
  if (given.stagingSlots !== undefined) options.stagingSlots = given.stagingSlots
  if (given.segmentBytes !== undefined) options.segmentBytes = given.segmentBytes
  if (given.ringBytes !== undefined) options.ringBytes = given.ringBytes
  return options
}

/**
 * Checks what the parsers of single options cannot, before anything is done, as `openLog` would.
 *
 * @throws UsageError naming the option, the value and the limit
 */
export function checkOpenOptions(directory: string, options: OpenOptions): ResolvedOptions {
  try {
    return resolveOptions(directory, options)
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error
    throw new UsageError(error.message, { cause: error })
  }
}
