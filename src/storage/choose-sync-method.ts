import { asOpenFailure } from './directory.ts'
import type { FileSystem } from './file-system.ts'
import { durableMethods, isDirect, SYNC_METHODS, type SyncMethod, unavailable } from './sync-method.ts'
import { measureSyncMethods, type SyncProbe } from './sync-probe.ts'

/** A later candidate must beat an earlier one by this factor. */
const CLEARLY_FASTER = 0.7
/** No disk with a truthful flush is this quick; RAM and disks that lie are. */
const IMPLAUSIBLE_MICROS = 15

export interface SyncMethodChoice {
  method: SyncMethod
  /** One sentence for people. */
  reason: string
  warnings: string[]
  /** Least time of one durable block, for the methods that were tried. */
  measuredMicros: Partial<Record<SyncMethod, number>>
}

/**
 * Chooses how to sync in this directory. `auto` writes a few blocks to a probe file with each method that is durable
 * here and takes the quickest; a method that was asked for by name is tried, too, and never replaced.
 *
 * @param requested from the log's options
 * @param blockBytes the log's block
 * @param directAllowed false where the log's buffers or blocks are not aligned as direct writes need it here
 * @param nowMicros a clock that only grows
 * @throws GroupWalError GROUPWAL_SYNC_METHOD_UNAVAILABLE when the requested method cannot be had;
 *   GROUPWAL_OPEN_FAILED when the directory cannot be written
 */
export function chooseSyncMethod(
  fs: FileSystem,
  directory: string,
  requested: SyncMethod | 'auto',
  blockBytes: number,
  directAllowed = true,
  nowMicros: () => number = () => performance.now() * 1000,
): SyncMethodChoice {
  const durable = durableMethods()
  if (requested !== 'auto') checkRequested(requested, durable, directAllowed)
  const candidates =
    requested === 'auto' ? durable.filter((method) => directAllowed || !isDirect(method)) : [requested]
  const probe = measure(fs, directory, candidates, blockBytes, nowMicros)
  if (requested !== 'auto' && probe.refused.has(requested)) {
    throw unavailable(requested, 'the file system refuses it', probe.refused.get(requested))
  }
  const usable = candidates.filter((method) => !probe.refused.has(method))
  const fastest = fastestOf(usable, probe.leastMicros)
  const method = requested === 'auto' ? (fastest ?? usable.at(0)) : requested
  if (method === undefined) throw unavailable('fdatasync', 'no durable method works in this directory')
  return {
    method,
    reason: reasonFor(requested, method, probe.leastMicros, [...probe.refused.keys()], directAllowed),
    warnings: warningsFor(method, probe.leastMicros, probe.unmeasuredBecause),
    measuredMicros: probe.leastMicros,
  }
}

function measure(
  fs: FileSystem,
  directory: string,
  candidates: SyncMethod[],
  blockBytes: number,
  nowMicros: () => number,
): SyncProbe {
  try {
    return measureSyncMethods(fs, directory, candidates, blockBytes, nowMicros)
  } catch (error) {
    throw asOpenFailure(directory, error)
  }
}

function checkRequested(requested: SyncMethod, durable: SyncMethod[], directAllowed: boolean): void {
  if (!durable.includes(requested)) {
    throw unavailable(requested, `on ${process.platform} only ${durable.join(', ')} are durable`)
  }
  if (isDirect(requested) && !directAllowed) throw unavailable(requested, 'no aligned memory can be had')
}

function fastestOf(
  usable: SyncMethod[],
  leastMicros: Partial<Record<SyncMethod, number>>,
): SyncMethod | undefined {
  let best: SyncMethod | undefined
  for (const method of usable) {
    const micros = leastMicros[method]
    if (micros === undefined) continue
    if (best === undefined || micros < leastMicros[best]! * CLEARLY_FASTER) best = method
  }
  return best
}

function reasonFor(
  requested: SyncMethod | 'auto',
  method: SyncMethod,
  leastMicros: Partial<Record<SyncMethod, number>>,
  refused: SyncMethod[],
  directAllowed: boolean,
): string {
  const times = SYNC_METHODS.filter((name) => leastMicros[name] !== undefined)
    .map((name) => `${name} ${Math.round(leastMicros[name]!)} us`)
    .join(', ')
  const parts = [requested === 'auto' ? `${method} is the best measured here` : `${method} was asked for`]
  if (times === '') parts[0] = requested === 'auto' ? `${method}, unmeasured` : parts[0]!
  else parts.push(`(${times})`)
  if (refused.length > 0) parts.push(`; refused by the file system: ${refused.join(', ')}`)
  if (!directAllowed) parts.push('; no aligned memory or blocks for O_DIRECT')
  return parts.join(' ').replaceAll(' ;', ';')
}

function warningsFor(
  method: SyncMethod,
  leastMicros: Partial<Record<SyncMethod, number>>,
  unmeasuredBecause: string | undefined,
): string[] {
  const warnings: string[] = []
  const micros = leastMicros[method]
  if (micros !== undefined && micros < IMPLAUSIBLE_MICROS) {
    warnings.push(
      `a durable write took only ${micros.toFixed(1)} us: this is RAM, or a disk that does not flush; ` +
        'commits will not survive a power cut',
    )
  }
  if (unmeasuredBecause !== undefined) {
    warnings.push(`sync methods could not be measured: ${unmeasuredBecause}`)
  }
  return warnings
}
