// Real power cuts: hosts at work on file systems of their own that are cut off from their disk, mounted again and
// recovered. `node scripts/run.mjs test/prove/power-cuts.ts [--full] [--cuts N] [--seed N] [--seconds N]`

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { whyNoCompiler } from '../support/compile-c.ts'
import { whyNoMounts } from '../support/small-disk.ts'
import type { LaneSpec } from './power-cuts/lane.child.ts'
import laneUrl from './power-cuts/lane.child.ts?url'
import { type Cut, type LaneResult, METHODS } from './power-cuts/lane.ts'
import { MOMENTS } from './power-cuts/moments.ts'
import { buildUnsyncedHost } from './power-cuts/unsynced-build.ts'
import { type DiskType, LEAST_IMAGE_BYTES } from './support/loop-mount.ts'
import { numberOf, readOptions } from './support/options.ts'
import { type Check, type Count, finish } from './support/report.ts'

const TYPES: DiskType[] = ['ext4', 'xfs']
const MOST_SHOWN = 20
const LEAST_PART = 0.25

const { full, seconds, seed, own } = readOptions({ ci: 300, full: 1500 }, ['cuts'])
const cuts = numberOf('cuts', own.cuts) ?? (full ? 1000 : 200)
const unsyncedRounds = full ? 5 : 1

const skipped =
  whyNoCompiler() ??
  whyNoMounts({ type: 'ext4', bytes: LEAST_IMAGE_BYTES.ext4 }) ??
  whyNoMounts({ type: 'xfs', bytes: LEAST_IMAGE_BYTES.xfs })
if (skipped !== undefined) report([], skipped)
else {
  console.log(`power cuts: --seed ${seed}`)
  const unsynced = await buildUnsyncedHost()
  process.once('exit', () => rmSync(unsynced.root, { recursive: true, force: true }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  const lanes = TYPES.map((type, index) =>
    runLane({
      type,
      cuts: Math.ceil(cuts / TYPES.length),
      seed: seed + index,
      unsyncedScript: unsynced.script,
      unsyncedRounds,
      seconds,
    }),
  )
  report(await Promise.all(lanes))
}

/** Undefined when the lane broke down; it has said why. */
async function runLane(spec: LaneSpec): Promise<LaneResult | undefined> {
  const child = fork(fileURLToPath(laneUrl), [JSON.stringify(spec)], { execArgv: ['--enable-source-maps'] })
  let result: LaneResult | undefined
  child.on('message', (message) => {
    result = message as LaneResult
  })
  await once(child, 'close')
  return result
}

function report(lanes: (LaneResult | undefined)[], skipped?: string): void {
  const results = lanes.filter((lane) => lane !== undefined)
  const all = results.flatMap((result) => result.cuts)
  const violations = results.flatMap((result) => result.violations)
  const unsyncedRuns = sum(results, ({ unsyncedRuns }) => unsyncedRuns)
  const unsyncedCaught = sum(results, ({ unsyncedCaught }) => unsyncedCaught)
  for (const violation of violations.slice(0, MOST_SHOWN)) console.log(violation)
  if (violations.length > MOST_SHOWN) console.log(`… and ${violations.length - MOST_SHOWN} more`)
  const check = (name: string, passed: boolean): Check => ({
    name,
    passed,
    ...(skipped === undefined ? {} : { skipped }),
  })
  // What a slow machine has no time for is left out, and says so; a quarter is to be had anywhere.
  const isCut = results.length === TYPES.length && all.length < cuts && all.length >= cuts * LEAST_PART
  const left = isCut ? `${all.length} of ${cuts} power cuts were made in ${seconds} s` : undefined
  const checkAll = (name: string, passed: boolean): Check =>
    left === undefined || passed ? check(name, passed) : { name, passed, skipped: left }
  finish({
    part: 'power-cuts',
    title:
      'the file system is cut off from its disk under writers at work, mounted again, recovered and compared',
    promises: ['P1', 'P2', 'P3', 'P4', 'P6', 'P11', 'P12'],
    counts: [
      { label: 'power cuts', value: all.length, of: cuts },
      ...countEach(all, TYPES, 'power cuts on', (cut, type) => cut.type === type),
      ...countEach(all, METHODS, 'power cuts with', (cut, method) => cut.method === method),
      ...countEach(all, MOMENTS, 'power cuts at', (cut, moment) => cut.moment === moment),
      { label: 'power cuts with 2 staging slots', value: all.filter((cut) => cut.stagingSlots === 2).length },
      {
        label: 'power cuts that take the cache of the disk',
        value: all.filter((cut) => cut.cache === 'volatile').length,
      },
      {
        label: 'power cuts of a log that was cut before',
        value: sum(results, ({ laterLives }) => laterLives),
      },
      {
        label: 'power cuts of a log that was closed in order, compared',
        value: sum(results, ({ orderlyEnds }) => orderlyEnds),
      },
      { label: 'power cuts in the midst of an open', value: sum(results, ({ openings }) => openings) },
      { label: 'recoveries compared', value: sum(results, ({ comparisons }) => comparisons) },
      { label: 'records acknowledged', value: sum(results, ({ acknowledged }) => acknowledged) },
      { label: 'records recovered', value: sum(results, ({ recovered }) => recovered) },
      { label: 'acknowledged records lost', value: sum(results, ({ lost }) => lost) },
      { label: 'calls refused after the cut', value: sum(results, ({ refusals }) => refusals) },
      { label: 'builds without syncs caught', value: unsyncedCaught, of: unsyncedRuns },
    ],
    checks: [
      check('every lane came to its end', results.length === TYPES.length),
      checkAll(`${cuts} power cuts were made in time`, all.length >= cuts),
      ...MOMENTS.map((moment) =>
        checkAll(
          `power was cut at: ${moment}`,
          all.some((cut) => cut.moment === moment),
        ),
      ),
      checkAll(
        'a log was cut whose close() had returned, and no failure was told',
        sum(results, ({ orderlyEnds }) => orderlyEnds) > 0,
      ),
      check(
        'acknowledged ⊆ recovered ⊆ submitted, whole batches, in order, no LSN twice; a closed log ends with its seal',
        violations.length === 0,
      ),
      check(
        'a build without syncs is caught every time',
        unsyncedRuns > 0 && unsyncedCaught === unsyncedRuns,
      ),
    ],
    seed: `node scripts/run.mjs test/prove/power-cuts.ts --seed ${seed}${full ? ' --full' : ''}`,
  })
}

function countEach<Value extends string>(
  all: Cut[],
  choices: readonly Value[],
  label: string,
  is: (cut: Cut, value: Value) => boolean,
): Count[] {
  return choices.map((choice) => ({
    label: `${label} ${choice}`,
    value: all.filter((cut) => is(cut, choice)).length,
  }))
}

function sum(results: LaneResult[], numberOf: (result: LaneResult) => number): number {
  return results.reduce((total, result) => total + numberOf(result), 0)
}
