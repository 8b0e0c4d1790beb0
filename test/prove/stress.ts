// The stress of the command line, as it is published: `node scripts/run.mjs test/prove/stress.ts [--full] [--seed N] [--seconds N]`

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { StressSummary } from '../../src/cli/stress/run.ts'
import { buildLibrary } from '../support/built-library.ts'
import { readOptions } from './support/options.ts'
import { type Check, finish } from './support/report.ts'

const { seconds, seed } = readOptions({ ci: 24, full: 300 })

/** The first two are killed; the last lives long enough for its memory to be judged. */
const RUNS = [
  { name: 'killed, one batch in flight', args: ['--kill', '--staging-slots', '1'], share: 0.3 },
  { name: 'killed, two batches in flight', args: ['--kill', '--staging-slots', '2'], share: 0.3 },
  { name: 'one long life', args: [], share: 0.4 },
]
const COMMON = ['--producers', '16', '--faults', '--rotate', '--truncate', '--json']

const dist = buildLibrary()
const checks: Check[] = []
const summaries: StressSummary[] = []
for (const [number, { name, args, share }] of RUNS.entries()) {
  const runSeed = String(seed + number)
  const runArgs = [
    'stress',
    join(dirname(dist), 'disk'),
    ...COMMON,
    ...args,
    '--seconds',
    String(Math.round(seconds * share * 10) / 10),
  ]
  console.log(`groupwal ${runArgs.join(' ')} --seed ${runSeed}`)
  const child = spawn(process.execPath, [join(dist, 'esm', 'cli.js'), ...runArgs, '--seed', runSeed], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')])
  process.stdout.write(output)
  checks.push({ name: `${name}: no promise is broken`, passed: code === 0 })
  if (code === 0) summaries.push(JSON.parse(output))
}
rmSync(dirname(dist), { recursive: true, force: true })

const sum = (of: (summary: StressSummary) => number): number =>
  summaries.reduce((total, summary) => total + of(summary), 0)
const happened = (name: string, count: number): number => {
  checks.push({ name: `there were ${name}`, passed: count > 0 })
  return count
}
finish({
  part: 'stress',
  title:
    'all ways to commit at once, with deaths, kills, faults, rotation and truncation, against a history of what was told',
  promises: ['P1', 'P2', 'P3', 'P5', 'P6', 'P7', 'P9', 'P10', 'P11'],
  seed: String(seed),
  counts: [
    {
      label: 'records acknowledged and compared',
      value: happened(
        'commits',
        sum(({ history }) => history.acknowledged),
      ),
    },
    {
      label: 'records that failed, and are not in the log',
      value: happened(
        'failed records',
        sum(({ history }) => history.failed),
      ),
    },
    {
      label: 'kills by SIGKILL',
      value: happened(
        'kills',
        sum(({ kills }) => kills),
      ),
    },
    {
      label: 'deaths of producers',
      value: happened(
        'deaths',
        sum(({ counts }) => counts.deaths),
      ),
    },
    { label: 'take-overs', value: sum(({ counts }) => counts.takeovers) },
    {
      label: 'disk faults',
      value: happened(
        'faults',
        sum(({ counts }) => counts.faults),
      ),
    },
    {
      label: 'failures of the log, resumed',
      value: happened(
        'resumes',
        sum(({ counts }) => counts.resumes),
      ),
    },
    {
      label: 'segments dropped',
      value: happened(
        'segments to drop',
        sum(({ counts }) => counts.droppedSegments),
      ),
    },
  ],
  checks,
})
