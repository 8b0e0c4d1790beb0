import { frameBytes } from '../src/format/frame.ts'
import { recordBytes } from '../src/format/record.ts'
import { SYNC_METHODS } from '../src/storage/sync-method.ts'
import * as lives from './lives.ts'
import type { Settings } from './measure.ts'
import { PEERS } from './peer-list.ts'
import type { Load, Mode, Row, SubjectOptions } from './types.ts'

const MIB = 1024 * 1024
const PAYLOAD_BYTES = 128
/** How much one thread of a window keeps in flight where payloads are large. */
const WINDOW_BYTES = MIB
/** As a database that checkpoints would do, only more often: no segment is filled with zeros then. */
const TRUNCATE_EVERY_MS = 25
/** With fewer commits in flight, zeros are a small part of what the disk does. */
const MANY_PENDING = 256

/** One subject with its threads, as it takes part in a point. */
export interface Contender {
  subject: string
  label: string
  loads: Load[]
  /** One label for each load, where there are several. */
  parts?: string[]
  options: Partial<SubjectOptions>
  /** Left out unless it is asked for. */
  isPeer?: boolean
}

/** What is measured together, in turns. */
export interface PointSpec {
  key: string
  parameters: Record<string, number | string>
  contenders: Contender[]
  /** Label of the contender that all are put in relation to. */
  base?: string
  /** No more can be had than `factor` times what these contenders do per second, the least of them. */
  limits?: { label: string; factor: number }[]
  /** In place of contenders: a measurement that is no matter of commits per second. */
  measure?: (settings: Settings) => Promise<Row[]>
}

function load(mode: Mode, threads: number, pending: number, more: Partial<Load> = {}): Load {
  return { mode, threads, pending, batch: 1, payloadBytes: PAYLOAD_BYTES, ratePerSecond: 0, ...more }
}

function ours(loads: Load[], options: Partial<SubjectOptions> = {}): Contender {
  return { subject: 'groupwal', label: 'groupwal', loads, options }
}

/** Its segments are reused: no zeros are written ahead. */
function truncatedBehind(loads: Load[], options: Partial<SubjectOptions>): Contender {
  return {
    ...ours(loads, { ...options, truncateEveryMs: TRUNCATE_EVERY_MS }),
    label: 'groupwal, truncated behind',
  }
}

/** The disk: one thread that writes and syncs what one lone record would take. */
function bareLoop(payloadBytes: number): Contender {
  return {
    subject: 'bare',
    label: 'bare loop',
    loads: [load('sync', 1, 1, { payloadBytes })],
    options: { writeBytes: writeBytesOf(payloadBytes) },
  }
}

/** The scheduler. */
function wakeUps(threads: number): Contender {
  return { subject: 'wake', label: 'wake-ups', loads: [load('sync', threads, 1)], options: {} }
}

/**
 * Disk and scheduler together, as any group commit meets them. Not among the limits: groupwal can be quicker, whose
 * committer leads on without being woken.
 */
function bareGroupCommit(threads: number): Contender {
  return {
    subject: 'group-commit',
    label: 'bare group commit',
    loads: [load('sync', threads, 1)],
    options: { writeBytes: writeBytesOf(PAYLOAD_BYTES) },
  }
}

/** The memory. A hundred copies at a time, or the clock would be most of it. */
function copies(payloadBytes: number): Contender {
  return {
    subject: 'memcpy',
    label: 'memcpy',
    loads: [load('batch', 1, 1, { payloadBytes, batch: 100 })],
    options: {},
  }
}

function writeBytesOf(payloadBytes: number): number {
  return frameBytes(recordBytes(payloadBytes), 4096)
}

function peersFor(loads: Load[]): Contender[] {
  const { mode, payloadBytes } = loads[0]!
  return PEERS.filter(({ modes }) => modes.includes(mode)).map(({ subject, label }) => ({
    subject,
    label,
    loads,
    options: { writeBytes: writeBytesOf(payloadBytes) },
    isPeer: true,
  }))
}

export function syncs(sizes: readonly number[], writers: readonly number[]): PointSpec[] {
  return sizes.flatMap((writeBytes) =>
    writers.map((threads) => ({
      key: `${sizeName(writeBytes)} x ${threads}`,
      parameters: { writeBytes, threads },
      contenders: SYNC_METHODS.map((syncMethod) => ({
        subject: 'bare',
        label: syncMethod,
        loads: [load('sync', threads, 1, { payloadBytes: 16 })],
        options: { syncMethod, writeBytes },
      })),
    })),
  )
}

export function commits(mode: 'sync' | 'promise' | 'window', threads: number, pending: number): PointSpec {
  const loads = [load(mode, threads, pending)]
  const isSync = mode === 'sync'
  const contenders = [ours(loads), bareLoop(PAYLOAD_BYTES), copies(PAYLOAD_BYTES)]
  // The bare loop reuses its file: so does a log that is truncated now and then, and many records make it matter.
  if (threads * pending >= MANY_PENDING) contenders.push(truncatedBehind(loads, {}))
  const limits = [
    { label: 'bare loop', factor: threads * pending },
    { label: 'memcpy', factor: 1 },
  ]
  if (isSync && threads > 1) {
    contenders.push(wakeUps(threads), bareGroupCommit(threads))
    limits.push({ label: 'wake-ups', factor: 1 })
  }
  return {
    key: isSync ? `sync ${threads}` : `${mode} ${threads} x ${pending}`,
    parameters: { mode, threads, pending, payloadBytes: PAYLOAD_BYTES },
    contenders: [...contenders, ...peersFor(loads)],
    base: 'bare loop',
    limits,
  }
}

export function arrival(threads: number, ratePerSecond: number): PointSpec {
  const loads = [load('arrival', threads, 0, { ratePerSecond })]
  return {
    key: `${ratePerSecond}/s x ${threads}`,
    parameters: { mode: 'arrival', threads, ratePerSecond, payloadBytes: PAYLOAD_BYTES },
    contenders: [ours(loads), bareLoop(PAYLOAD_BYTES)],
    base: 'bare loop',
  }
}

export function payload(mode: 'window' | 'sync', threads: number, payloadBytes: number): PointSpec {
  const pending = mode === 'sync' ? 1 : Math.max(2, Math.min(1024, Math.floor(WINDOW_BYTES / payloadBytes)))
  const loads = [load(mode, threads, pending, { payloadBytes })]
  const options = { maxBatchBytes: 4 * MIB, ringBytes: 16 * MIB, writeBytes: writeBytesOf(payloadBytes) }
  const contenders = [ours(loads, options), bareLoop(payloadBytes)]
  const limits = [{ label: 'bare loop', factor: threads * pending }]
  if (mode === 'window') {
    contenders.push(truncatedBehind(loads, options))
    contenders.push({
      subject: 'bandwidth',
      label: 'disk bandwidth',
      loads: [load('sync', 1, 1, { payloadBytes: 16 })],
      options: { writeBytes: MIB },
    })
    contenders.push(copies(payloadBytes))
    limits.push({ label: 'disk bandwidth', factor: MIB / payloadBytes }, { label: 'memcpy', factor: 1 })
  }
  return {
    key: `${mode} ${sizeName(payloadBytes)} x ${threads}`,
    parameters: { mode, threads, pending, payloadBytes },
    contenders,
    base: 'bare loop',
    limits,
  }
}

export function batch(size: number): PointSpec {
  const loads = [load('batch', 1, 1, { batch: size })]
  return {
    key: `batch ${size}`,
    parameters: { mode: 'batch', threads: 1, batch: size, payloadBytes: PAYLOAD_BYTES },
    contenders: [ours(loads), bareLoop(PAYLOAD_BYTES), copies(PAYLOAD_BYTES), ...peersFor(loads)],
    base: 'bare loop',
    limits: [
      { label: 'bare loop', factor: size },
      { label: 'memcpy', factor: 1 },
    ],
  }
}

export function mixed(blocking: number, promising: number, pending: number): PointSpec {
  const parts = [load('sync', blocking, 1), load('promise', promising, pending)]
  return {
    key: `sync ${blocking} + promise ${promising} x ${pending}`,
    parameters: { blocking, promising, pending },
    contenders: [
      { ...ours(parts), parts: ['sync, beside promises', 'promises, beside sync'] },
      { ...ours([parts[0]!]), label: 'sync, alone' },
      { ...ours([parts[1]!]), label: 'promises, alone' },
      bareLoop(PAYLOAD_BYTES),
    ],
    base: 'bare loop',
  }
}

export function rotation(segmentBytes: number): PointSpec {
  const loads = [load('promise', 4, 64, { payloadBytes: 1024 })]
  return {
    key: `segments of ${sizeName(segmentBytes)}`,
    parameters: { mode: 'promise', threads: 4, pending: 64, payloadBytes: 1024, segmentBytes },
    contenders: [
      ours(loads, { segmentBytes }),
      { ...ours(loads, { segmentBytes: 1024 * MIB }), label: 'one large segment' },
      bareLoop(1024),
    ],
    base: 'bare loop',
  }
}

export function recovery(logBytes: number): PointSpec {
  return {
    key: logBytes === 0 ? 'new log' : sizeName(logBytes),
    parameters: { logBytes, payloadBytes: PAYLOAD_BYTES },
    contenders: [],
    measure: (settings) => lives.recovery(settings, logBytes, PAYLOAD_BYTES),
  }
}

export function read(payloadBytes: number, quick: boolean): PointSpec {
  const logBytes = (quick ? 32 : 256) * MIB
  return {
    key: sizeName(payloadBytes),
    parameters: { logBytes, payloadBytes },
    contenders: [],
    measure: (settings) => lives.read(settings, logBytes, payloadBytes),
  }
}

export function idle(idleMs: number): PointSpec {
  return {
    key: 'open log, 4 producers',
    parameters: { idleMs },
    contenders: [],
    measure: (settings) => lives.idle(settings, idleMs),
  }
}

export function memory(records: number, payloadBytes: number): PointSpec {
  const spec = { records, pending: 1000, payloadBytes }
  return {
    key: `${records.toLocaleString('en-US')} promise commits of ${sizeName(payloadBytes)}`,
    parameters: spec,
    contenders: [],
    measure: (settings) => lives.memory(settings, spec),
  }
}

export function sizeName(bytes: number): string {
  if (bytes >= 1024 * MIB) return `${bytes / (1024 * MIB)} GiB`
  if (bytes >= MIB) return `${bytes / MIB} MiB`
  return bytes >= 1024 ? `${bytes / 1024} KiB` : `${bytes} B`
}
