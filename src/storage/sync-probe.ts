import { constants } from 'node:fs'
import { join } from 'node:path'
import { probeName } from '../format/segment-name.ts'
import { allocateAligned } from './aligned-buffer.ts'
import { errorCode, FILE_MODE } from './directory.ts'
import type { FileSystem } from './file-system.ts'
import { openFlags, type SyncMethod, syncWith } from './sync-method.ts'
import { writeWhole } from './whole-io.ts'

const SAMPLES = 5
/** After this time the methods not yet tried are left out; each costs at least one write. */
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

interface Bench {
  fs: FileSystem
  path: string
  block: Uint8Array
  nowMicros: () => number
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
  const path = join(directory, probeName(process.pid, Math.trunc(nowMicros())))
  const block = allocateAligned(blockBytes)
  try {
    probe.unmeasuredBecause = prepareProbeFile(fs, path, blockBytes)
    const samples = probe.unmeasuredBecause === undefined ? SAMPLES : 0
    const startedAt = nowMicros()
    for (const method of methods) {
      if (nowMicros() - startedAt > BUDGET_MICROS) break
      measureOne({ fs, path, block: block.bytes, nowMicros }, method, samples, probe)
    }
  } finally {
    removeProbeFile(fs, path)
  }
  return probe
}

/** Returns why nothing can be written, if so. */
function prepareProbeFile(fs: FileSystem, path: string, blockBytes: number): string | undefined {
  const fd = fs.open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, FILE_MODE)
  try {
    // Blocks that exist already, as in a segment: growing a file costs twice as much.
    writeWhole(fs, fd, new Uint8Array((SAMPLES + 1) * blockBytes), 0)
    fs.fullSync(fd)
    return undefined
  } catch (error) {
    const code = errorCode(error)
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error
    // A full disk is no reason not to open the log: its segments have their space already.
    return `no space (${code})`
  } finally {
    fs.close(fd)
  }
}

function measureOne(
  { fs, path, block, nowMicros }: Bench,
  method: SyncMethod,
  sampleCount: number,
  probe: SyncProbe,
): void {
  const samples: number[] = []
  const startedAt = nowMicros()
  let fd: number | undefined
  try {
    fd = fs.open(path, openFlags(method), FILE_MODE)
    for (let index = 0; index <= sampleCount && sampleCount > 0; index++) {
      const before = nowMicros()
      writeWhole(fs, fd, block, index * block.length)
      syncWith(fs, method, fd)
      samples.push(nowMicros() - before)
      if (nowMicros() - startedAt > BUDGET_MICROS) break
    }
  } catch (error) {
    if (!REFUSALS.has(errorCode(error) ?? '')) throw error
    probe.refused.set(method, error)
    return
  } finally {
    if (fd !== undefined) fs.close(fd)
  }
  if (samples.length === 0) return
  // The first one warms up, unless it is the only one. The least of the others tells the method from whatever else the
  // disk is busy with; a median of so few does not.
  const counted = samples.length > 1 ? samples.slice(1) : samples
  counted.sort((a, b) => a - b)
  probe.leastMicros[method] = counted[0]!
}

function removeProbeFile(fs: FileSystem, path: string): void {
  try {
    fs.unlink(path)
  } catch (error) {
    // It could not be created, or cannot be removed: the next open does it.
    if (errorCode(error) === undefined) throw error
  }
}
