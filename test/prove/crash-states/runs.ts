import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SYNC_METHODS } from '../../../src/storage/sync-method.ts'
import type { Random } from '../../support/random.ts'
import type { SimulatedDisk } from '../../support/simulated-disk.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import { RandomChoice } from './choices.ts'
import type { CrashFailure, CrashStep } from './explore.ts'
import { type RecordedRun, type RunSpec, type RunStart, type RunStep, recordRun } from './recorded-run.ts'
import { LOG_DIRECTORY, Replay } from './replay.ts'
import { BLOCK_BYTES } from './tiny-log.ts'

/** What runs go through; between them everything that a log does to its disk. */
const SCRIPTS: Record<string, readonly RunStep[]> = {
  'rotation and recycling': [
    'commits',
    'singles',
    'truncate',
    'singles',
    'idle',
    'truncate',
    'appends',
    'reopen',
    'commits',
    'truncate',
    'singles',
    'reopen',
    'appends',
  ],
  'failures and resume': [
    'singles',
    'write',
    'truncate',
    'sync',
    'singles',
    'truncate',
    'reopen',
    'short',
    'truncate',
    'written',
    'commits',
    'truncate',
    'sync',
  ],
}

/** In a log that a crash left. */
const AFTERLIFE: readonly RunStep[] = [
  'singles',
  'truncate',
  'appends',
  'sync',
  'commits',
  'reopen',
  'singles',
]

const SLOT_COUNTS: readonly number[] = [1, 2]
const MIN_SEGMENT_BLOCKS = 8

/** A run to explore; with a failure, if it failed itself, or what a crash of it left could not be opened again. */
export interface Recorded {
  run: RecordedRun
  failure?: CrashFailure
}

/**
 * One round: every script with every sync method and number of slots, and each again in a log that a crash left.
 *
 * @param only those whose name contains this
 */
export async function* recordRound(random: Random, only = ''): AsyncGenerator<Recorded> {
  for (const { name, method, slots, steps } of firstLives(only)) {
    const segmentBytes = (MIN_SEGMENT_BLOCKS + random.int(4)) * BLOCK_BYTES
    const spec: RunSpec = { name, method, slots, segmentBytes, steps }
    const recorded = await recordFirstLife(spec, random)
    yield recorded
    if (recorded.failure !== undefined) continue
    const secondName = `${name}, and a second life after a crash`
    yield await recordSecondLife({ ...spec, name: secondName, steps: AFTERLIFE }, recorded.run, random)
  }
}

/** How many runs a round has. */
export function runsOfRound(only = ''): number {
  return 2 * firstLives(only).length
}

function firstLives(only: string): Omit<RunSpec, 'segmentBytes'>[] {
  return SYNC_METHODS.flatMap((method) =>
    SLOT_COUNTS.flatMap((slots) =>
      Object.entries(SCRIPTS).map(([script, steps]) => {
        return { name: `${script}, ${method}, D = ${slots}`, method, slots, steps }
      }),
    ),
  ).filter(({ name }) => name.includes(only))
}

async function recordFirstLife(spec: RunSpec, random: Random): Promise<Recorded> {
  try {
    return { run: await recordRun(spec, join(temporaryDirectory(), 'log'), random) }
  } catch (error) {
    const { steps: _, ...rest } = spec
    const message = `in the run itself: ${(error as Error).stack}`
    return { run: { ...rest, numbers: new Float64Array(0) }, failure: { message, steps: [] } }
  }
}

/** Goes on in what a crash at some moment of a run left. */
async function recordSecondLife(spec: RunSpec, first: RecordedRun, random: Random): Promise<Recorded> {
  const directory = join(temporaryDirectory(), 'log')
  const { start, step } = crashOf(first, random)
  if (start.files !== undefined) mkdirSync(directory)
  for (const [name, content] of start.files ?? []) writeFileSync(join(directory, name), content)
  try {
    return { run: await recordRun(spec, directory, random, start) }
  } catch (error) {
    const { name, message } = error as Error
    return {
      run: first,
      failure: { message: `P12: in a real second life: ${name}: ${message}`, steps: [step] },
    }
  }
}

function crashOf(run: RecordedRun, random: Random): { start: RunStart; step: CrashStep } {
  let count = 0
  new Replay(run.numbers).forEachPoint(() => count++)
  // Not so often at the beginning, where there is little.
  const chosen = 1 + random.int(count - Math.floor(count / 4))
  const choice = new RandomChoice(random, random.chance(0.5))
  let start: RunStart | undefined
  let at = 0
  new Replay(run.numbers).forEachPoint(({ disk, knowledge, eventCount }) => {
    if (count-- !== chosen) return
    start = { files: filesOf(disk.powerCut(choice)), knowledge: knowledge.toJson() }
    at = eventCount
  })
  return { start: start as RunStart, step: { at, kind: 'cut', digits: choice.digits, tears: choice.tears } }
}

/** Undefined when there is no directory. */
export function filesOf(disk: SimulatedDisk): Map<string, Uint8Array> | undefined {
  if (!disk.list('/').includes('log')) return undefined
  const files = new Map<string, Uint8Array>()
  for (const name of disk.list(LOG_DIRECTORY)) {
    const fd = disk.open(`${LOG_DIRECTORY}/${name}`, 0, 0)
    const content = new Uint8Array(disk.fileSize(fd))
    disk.read(fd, content, 0, content.length, 0)
    disk.close(fd)
    files.set(name, content)
  }
  return files
}
