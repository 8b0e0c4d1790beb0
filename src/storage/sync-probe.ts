import { constants } from 'node:fs'
import { join } from 'node:path'
import { probeName } from '../format/segment-name.ts'
import { allocateAligned } from './aligned-buffer.ts'
import { errorCode, FILE_MODE, isFullDisk, listSegments } from './directory.ts'
import type { FileSystem } from './file-system.ts'
import { openFlags, type SyncMethod, syncWith } from './sync-method.ts'
import { writeWhole } from './whole-io.ts'

/** How often each method is tried. */
const ROUNDS = 6
/** After this time what was not tried yet is left out. */
const BUDGET_MICROS = 60_000
/** How a file system says that it has no O_DIRECT or O_DSYNC. */
const REFUSALS: ReadonlySet<string> = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

export interface SyncProbe {
  leastMicros: Partial<Record<SyncMethod, number>>
  /** Methods that the file system refused, with its error. */
  refused: Map<SyncMethod, unknown>
  /** Why some or all usable methods were not measured: no room on the disk. */
  unmeasuredBecause: string | undefined
}

/** A method that is being tried, with a file descriptor and blocks of its own. */
interface Trial {
  method: SyncMethod
  fd: number
  offset: number
  samples: number[]
}

/** Times each method on a file of its own in the directory, which is removed again. */
export function measureSyncMethods(
  fs: FileSystem,
  directory: string,
  methods: readonly SyncMethod[],
  blockBytes: number,
  nowMicros: () => number,
): SyncProbe {
  const probe: SyncProbe = { leastMicros: {}, refused: new Map(), unmeasuredBecause: undefined }
  const ownPath = join(directory, probeName(process.pid, Math.trunc(nowMicros())))
  const block = allocateAligned(blockBytes)
  const trials: Trial[] = []
  try {
    const { path, unmeasuredBecause } = prepareProbeFile(
      fs,
      directory,
      ownPath,
      methods.length * ROUNDS * blockBytes,
    )
    probe.unmeasuredBecause = unmeasuredBecause
    for (const [index, method] of methods.entries()) {
      const offset = index * ROUNDS * blockBytes
      attempt(probe, method, () =>
        trials.push({ method, fd: fs.open(path, openFlags(method), FILE_MODE), offset, samples: [] }),
      )
    }
    if (probe.unmeasuredBecause === undefined) runTrials(fs, trials, block.bytes, probe, nowMicros)
  } finally {
    for (const { fd } of trials) fs.close(fd)
    removeProbeFile(fs, ownPath)
  }
  for (const { method, samples } of trials) {
    if (samples.length === 0 || probe.refused.has(method)) continue
    // The first one warms up, unless it is the only one. The least of the others tells the method from whatever else
    // the disk is busy with; a median of so few does not.
    probe.leastMicros[method] = Math.min(...(samples.length > 1 ? samples.slice(1) : samples))
  }
  return probe
}

/** In turns, so that a moment in which the disk is busy does not fall upon one method alone. */
function runTrials(
  fs: FileSystem,
  trials: readonly Trial[],
  block: Uint8Array,
  probe: SyncProbe,
  nowMicros: () => number,
): void {
  const startedAt = nowMicros()
  for (let round = 0; round < ROUNDS; round++) {
    for (const { method, fd, offset, samples } of trials) {
      if (probe.refused.has(method)) continue
      const before = nowMicros()
      if (before - startedAt > BUDGET_MICROS) return
      attempt(probe, method, () => {
        writeWhole(fs, fd, block, offset + round * block.length)
        syncWith(fs, method, fd)
        samples.push(nowMicros() - before)
      })
    }
  }
}

function attempt(probe: SyncProbe, method: SyncMethod, run: () => void): void {
  try {
    run()
  } catch (error) {
    if (!REFUSALS.has(errorCode(error) ?? '')) throw error
    probe.refused.set(method, error)
  }
}

/** A file to open with each method, and why nothing can be written to it, if so. */
interface ProbeFile {
  path: string
  unmeasuredBecause: string | undefined
}

function prepareProbeFile(fs: FileSystem, directory: string, path: string, bytes: number): ProbeFile {
  let fd: number
  try {
    fd = fs.open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, FILE_MODE)
  } catch (error) {
    // Full is also where no file can be made: XFS, or no inode is left. A segment tells as well what can be opened.
    const segment = isFullDisk(error) ? listSegments(fs, directory).segments.at(-1) : undefined
    if (segment === undefined) throw error
    return { path: segment.path, unmeasuredBecause: noSpace(error) }
  }
  try {
    // Blocks that exist already, as in a segment: growing a file costs twice as much.
    writeWhole(fs, fd, new Uint8Array(bytes), 0)
    fs.fullSync(fd)
    return { path, unmeasuredBecause: undefined }
  } catch (error) {
    if (!isFullDisk(error)) throw error
    // A full disk is no reason not to open the log: its segments have their space already.
    return { path, unmeasuredBecause: noSpace(error) }
  } finally {
    fs.close(fd)
  }
}

function noSpace(error: unknown): string {
  return `no space (${errorCode(error)})`
}

function removeProbeFile(fs: FileSystem, path: string): void {
  try {
    fs.unlink(path)
  } catch (error) {
    // It could not be created, or cannot be removed: the next open does it.
    if (errorCode(error) === undefined) throw error
  }
}
