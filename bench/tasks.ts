import * as fs from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Log, openLog, type SyncMethod } from '../src/index.ts'
import { subjects } from './subjects/index.ts'
import type { SubjectOptions } from './types.ts'

const MIB = 1024 * 1024

interface LogSpec {
  directory: string
  syncMethod: SyncMethod
}

/** What is measured once in a process of its own, instead of in runs: recovery, reading, idling, memory. */
const TASKS: Record<string, (data: never) => unknown> = {
  fillLog,
  openAndCommit,
  readLog,
  readFiles,
  idle,
  memory,
  producerBytes,
  heapBytes,
  probePeer,
}

export async function runTask(name: string, data: unknown): Promise<unknown> {
  return TASKS[name]!(data as never)
}

/** Writes so many bytes of records, and leaves the log open: who kills the process leaves an unclean end. */
async function fillLog({
  bytes,
  payloadBytes,
  ...spec
}: LogSpec & { bytes: number; payloadBytes: number }): Promise<{ records: number; logBytes: number }> {
  const log = await openLog(spec.directory, { syncMethod: spec.syncMethod, sealIdleMs: 0 })
  await write(log, bytes, payloadBytes)
  const { records, bytes: logBytes } = log.stats()
  return { records, logBytes }
}

async function write(log: Log, bytes: number, payloadBytes: number): Promise<void> {
  const producer = log.connect()
  const payload = new Uint8Array(payloadBytes).fill(0x2e)
  const turnRecords = Math.max(1, Math.floor(MIB / payloadBytes))
  for (let written = 0; written < bytes; written += turnRecords * payloadBytes) {
    for (let index = 0; index < turnRecords; index++) producer.append({ payload })
    await producer.flush()
  }
  producer.close()
}

async function openAndCommit(spec: LogSpec): Promise<{ openMs: number; firstCommitMs: number }> {
  const startedMs = performance.now()
  const log = await openLog(spec.directory, { syncMethod: spec.syncMethod })
  const openedMs = performance.now()
  const producer = log.connect()
  producer.commitSync({ payload: 'first' })
  const committedMs = performance.now()
  producer.close()
  await log.close()
  return { openMs: openedMs - startedMs, firstCommitMs: committedMs - startedMs }
}

async function readLog(spec: LogSpec): Promise<{ seconds: number; records: number; payloadBytes: number }> {
  const log = await openLog(spec.directory, { syncMethod: spec.syncMethod })
  const startedMs = performance.now()
  let records = 0
  let payloadBytes = 0
  for (const { payload } of log.read()) {
    records++
    payloadBytes += payload.length
  }
  const seconds = (performance.now() - startedMs) / 1000
  await log.close()
  return { seconds, records, payloadBytes }
}

/** The limit of a read: the same files, 1 MiB at a time, and nothing done with them. */
function readFiles({ directory }: LogSpec): { seconds: number; bytes: number } {
  const buffer = new Uint8Array(MIB)
  const startedMs = performance.now()
  let bytes = 0
  for (const name of fs.readdirSync(directory)) {
    if (!name.endsWith('.seg')) continue
    const fd = fs.openSync(join(directory, name), 'r')
    for (let read = -1; read !== 0; bytes += read) read = fs.readSync(fd, buffer)
    fs.closeSync(fd)
  }
  return { seconds: (performance.now() - startedMs) / 1000, bytes }
}

/** Share of a CPU, in percent, that a process uses with an open log, or without one. */
async function idle({
  withLog,
  idleMs,
  ...spec
}: LogSpec & { withLog: boolean; idleMs: number }): Promise<{ cpuPercent: number }> {
  const log = withLog ? await openLog(spec.directory, { syncMethod: spec.syncMethod }) : undefined
  if (log !== undefined) {
    const producers = Array.from({ length: 4 }, () => log.connect())
    for (const producer of producers) await producer.commit({ payload: 'busy once' })
  }
  // The segment-keeper still fills the first segment, and some seconds after the last work V8 tidies up its heaps.
  await delay(idleMs)
  const before = process.cpuUsage()
  const startedMs = performance.now()
  await delay(idleMs)
  const { user, system } = process.cpuUsage(before)
  const cpuPercent = (user + system) / 10 / (performance.now() - startedMs)
  await log?.close()
  return { cpuPercent }
}

/** Memory while promises commit and the log is truncated behind them: after a warm-up of half as many. */
async function memory({
  records,
  pending,
  payloadBytes,
  ...spec
}: LogSpec & { records: number; pending: number; payloadBytes: number }): Promise<Record<string, number>> {
  const cachedBefore = cachedBytes()
  const log = await openLog(spec.directory, { syncMethod: spec.syncMethod })
  const producer = log.connect()
  const payload = new Uint8Array(payloadBytes).fill(0x2e)
  const rss: number[] = []
  for (let turn = 1; turn * pending <= 1.5 * records; turn++) {
    await Promise.all(Array.from({ length: pending }, () => producer.commit({ payload })))
    if (turn % 256 === 0) await log.truncateBefore(log.durableLsn)
    if (turn * pending > 0.5 * records) rss.push(process.memoryUsage.rss())
  }
  const cachedAfter = cachedBytes()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  producer.close()
  await log.close()
  const quarter = Math.ceil(rss.length / 4)
  return {
    rssEarlyMiB: meanOf(rss.slice(0, quarter)) / MIB,
    rssLateMiB: meanOf(rss.slice(-quarter)) / MIB,
    rssMostMiB: Math.max(...rss) / MIB,
    heapUsedMiB: heapUsed / MIB,
    arrayBuffersMiB: arrayBuffers / MIB,
    pageCacheGrowthMiB: (cachedAfter - cachedBefore) / MIB,
  }
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Of the whole machine: other programs show in it. */
function cachedBytes(): number {
  try {
    return (
      Number(/^Cached:\s+(\d+)/m.exec(fs.readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? Number.NaN) * 1024
    )
  } catch {
    return Number.NaN
  }
}

/** Shared memory that each further producer costs. */
async function producerBytes(spec: LogSpec): Promise<{ bytesPerProducer: number }> {
  const sizes: number[] = []
  for (const maxProducers of [16, 976]) {
    const log = await openLog(spec.directory, { syncMethod: spec.syncMethod, maxProducers })
    const { region } = log.handle
    sizes.push(region instanceof SharedArrayBuffer ? region.byteLength : region.buffer.byteLength)
    await log.close()
  }
  return { bytesPerProducer: (sizes[1]! - sizes[0]!) / 960 }
}

const HEAP_CALLS = 400
const HEAP_ROUNDS = 7

/** JavaScript heap that a call of each kind leaves behind for the collector; the median of some rounds. */
async function heapBytes(spec: LogSpec): Promise<Record<string, number>> {
  const log = await openLog(spec.directory, { syncMethod: spec.syncMethod })
  const producer = log.connect()
  const record = { payload: new Uint8Array(128) }
  const calls: Record<string, () => unknown> = {
    append: () => producer.append(record),
    commitSync: () => producer.commitSync(record),
    commit: () => producer.commit(record),
  }
  const bytes: Record<string, number> = {}
  for (const [name, call] of Object.entries(calls)) {
    const rounds: number[] = []
    // The first rounds are interpreted code, which allocates more.
    for (let round = 0; round < 3 * HEAP_ROUNDS; round++) {
      const before = process.memoryUsage().heapUsed
      for (let index = 0; index < HEAP_CALLS; index++) call()
      const after = process.memoryUsage().heapUsed
      // Less than before: it was collected meanwhile.
      if (round >= 2 * HEAP_ROUNDS && after >= before) rounds.push((after - before) / HEAP_CALLS)
      await producer.flush()
    }
    rounds.sort((a, b) => a - b)
    bytes[name] = rounds[Math.floor(rounds.length / 2)] ?? Number.NaN
  }
  producer.close()
  await log.close()
  return bytes
}

/** Commits one by one and says so by system calls that a tracer sees. */
async function probePeer({
  subject,
  commits,
  options,
}: {
  subject: string
  commits: number
  options: SubjectOptions
}): Promise<void> {
  const stage = await subjects[subject]!.open(options)
  const writer = await subjects[subject]!.join(stage.shared, 0, undefined)
  const payload = new Uint8Array(128).fill(0x2e)
  const mark = (name: string): void => void fs.existsSync(`/groupwal-bench-mark/${name}`)
  for (let index = -1; index < commits; index++) {
    mark(`ask-${index}`)
    if (writer.commit !== undefined) await writer.commit(payload)
    else writer.commitSync!(payload)
    mark(`ack-${index}`)
    // What a peer still does for this commit after its acknowledgement falls into this pause.
    await delay(5)
  }
  await writer.close()
  await stage.close()
}
