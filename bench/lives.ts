import { Arena } from './arena.ts'
import { type Settings, spreadOf, spreads } from './measure.ts'
import type { Row } from './types.ts'

/** Filling and replaying gigabytes takes its time. */
const LIMIT_MS = 15 * 60_000
const GB = 1e9

/** Opens a log that a kill has left behind, then replays it. Each run has a log of its own. */
export async function recovery(settings: Settings, logBytes: number, payloadBytes: number): Promise<Row[]> {
  const samples: Record<string, number>[] = []
  const limits: Record<string, number>[] = []
  for (let run = 0; run < settings.runs; run++) {
    const writer = new Arena(settings.directory)
    const spec = { directory: writer.directory, syncMethod: settings.syncMethod }
    try {
      const filled =
        logBytes === 0
          ? { records: 0, logBytes: 0 }
          : await writer.task<{ records: number; logBytes: number }>(
              'fillLog',
              { ...spec, bytes: logBytes, payloadBytes },
              LIMIT_MS,
            )
      await writer.kill()
      const opened = await inArena<{ openMs: number; firstCommitMs: number }>(settings, 'openAndCommit', spec)
      const replay = await inArena<{ seconds: number; records: number }>(settings, 'readLog', spec)
      const raw = await inArena<{ seconds: number; bytes: number }>(settings, 'readFiles', spec)
      samples.push({
        ...opened,
        replayMs: replay.seconds * 1000,
        records: filled.records,
        logBytes: filled.logBytes,
      })
      limits.push({ replayMs: raw.seconds * 1000 })
    } finally {
      await writer.close()
    }
  }
  return [
    { subject: 'groupwal', label: 'groupwal', values: spreads(samples) },
    { subject: 'files', label: 'reading its files', values: spreads(limits) },
  ]
}

export async function read(settings: Settings, logBytes: number, payloadBytes: number): Promise<Row[]> {
  const writer = new Arena(settings.directory)
  const spec = { directory: writer.directory, syncMethod: settings.syncMethod }
  const samples: Record<string, number>[] = []
  const limits: Record<string, number>[] = []
  try {
    await writer.task('fillLog', { ...spec, bytes: logBytes, payloadBytes }, LIMIT_MS)
    await writer.kill()
    // The first one recovers and warms the page cache.
    await inArena(settings, 'readLog', spec)
    for (let run = 0; run < settings.runs; run++) {
      const ours = await inArena<{ seconds: number; records: number; payloadBytes: number }>(
        settings,
        'readLog',
        spec,
      )
      const raw = await inArena<{ seconds: number; bytes: number }>(settings, 'readFiles', spec)
      const gigabytesPerSecond = ours.payloadBytes / ours.seconds / GB
      const rawGigabytesPerSecond = raw.bytes / raw.seconds / GB
      samples.push({
        recordsPerSecond: ours.records / ours.seconds,
        gigabytesPerSecond,
        ofLimit: gigabytesPerSecond / rawGigabytesPerSecond,
      })
      limits.push({ gigabytesPerSecond: rawGigabytesPerSecond })
    }
  } finally {
    await writer.close()
  }
  return [
    { subject: 'groupwal', label: 'groupwal', values: spreads(samples) },
    { subject: 'files', label: 'reading its files', values: spreads(limits) },
  ]
}

export async function idle(settings: Settings, idleMs: number): Promise<Row[]> {
  const rows = { with: [] as number[], without: [] as number[] }
  // Half of the runs of other workloads: each takes its full time.
  for (let run = 0; run < Math.max(1, Math.floor(settings.runs / 2)); run++) {
    for (const withLog of [true, false]) {
      const { cpuPercent } = await inOwnDirectory<{ cpuPercent: number }>(settings, 'idle', {
        withLog,
        idleMs,
      })
      rows[withLog ? 'with' : 'without'].push(cpuPercent)
    }
  }
  return [
    { subject: 'groupwal', label: 'groupwal', values: { cpuPercent: spreadOf(rows.with) } },
    { subject: 'process', label: 'a process without a log', values: { cpuPercent: spreadOf(rows.without) } },
  ]
}

export async function memory(
  settings: Settings,
  spec: { records: number; pending: number; payloadBytes: number },
): Promise<Row[]> {
  const used = await inOwnDirectory<Record<string, number>>(settings, 'memory', spec)
  const perProducer = await inOwnDirectory<Record<string, number>>(settings, 'producerBytes', {})
  return [{ subject: 'groupwal', label: 'groupwal', values: spreads([{ ...used, ...perProducer }]) }]
}

/** Runs a task in a process of its own, on a directory that stays. */
async function inArena<T>(settings: Settings, task: string, spec: object): Promise<T> {
  const arena = new Arena(settings.directory)
  try {
    return await arena.task<T>(task, spec, LIMIT_MS)
  } finally {
    await arena.close()
  }
}

async function inOwnDirectory<T>(settings: Settings, task: string, data: object): Promise<T> {
  const arena = new Arena(settings.directory)
  try {
    const spec = { directory: arena.directory, syncMethod: settings.syncMethod, ...data }
    return await arena.task<T>(task, spec, LIMIT_MS)
  } finally {
    await arena.close()
  }
}
