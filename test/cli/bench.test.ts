// @timeout 120
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readRecords } from '../../src/read/reader.ts'
import { loadFileSystem } from '../../src/storage/load-file-system.ts'
import { eventually } from '../support/eventually.ts'
import { skipUnless } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { type CliResult, cliPath, resultOf, runCli, runCommand, whyNoTerminal } from './run-cli.ts'

const SHORT = ['--seconds', '0.3', '--warm-up', '0.1', '--bare-seconds', '0.2']

for (const mode of ['sync', 'promise', 'window']) {
  test(`mode ${mode} measures commits beside the bare loop`, async () => {
    const home = temporaryDirectory()
    const args = ['bench', join(home, 'new'), '--mode', mode, '-p', '2', '-n', '16', ...SHORT, '--json']
    const { code, stdout, stderr } = await runCli(args)
    assert.is(code, 0, stderr)
    const { runs, median, workload, syncMethod } = JSON.parse(stdout)
    assert.equal([workload.mode, workload.producers, workload.pending], [mode, 2, mode === 'sync' ? 1 : 16])
    assert.match(syncMethod, /sync|direct/)
    assert.is(runs.length, 1)
    assert.equal(median, runs[0])
    const { commits, seconds, commitsPerSecond, commitsPerSync, p50Micros, p99Micros, maxMicros, bare } =
      median
    assert.ok(commits > 0 && seconds > 0.25, stdout)
    assert.ok(Math.abs(commitsPerSecond - commits / seconds) < 1)
    assert.ok(commitsPerSync > 0)
    assert.ok(0 < p50Micros && p50Micros <= p99Micros && p99Micros <= maxMicros)
    assert.ok(bare.syncsPerSecond > 0 && bare.p50Micros > 0)
    assert.ok(Math.abs(median.ratioToBare - commitsPerSecond / bare.syncsPerSecond) < 1e-6)
    assert.equal(readdirSync(home), [], 'nothing is left behind')
  })
}

test('several runs are printed with their median', async () => {
  const home = temporaryDirectory()
  const { code, stdout } = await runCli([
    'bench',
    home,
    '-p',
    '1',
    '--runs',
    '3',
    ...SHORT,
    '--sync-method',
    'fdatasync',
  ])
  assert.is(code, 0)
  assert.match(stdout, /fdatasync was asked for/)
  for (const row of ['bare loop', 'run 1', 'run 2', 'run 3', 'median']) assert.match(stdout, `\n${row} `)
  assert.ok(existsSync(home))
  assert.equal(readdirSync(home), [])
})

test('with --truncate what is durable is dropped while it commits', async () => {
  const home = temporaryDirectory()
  const args = [
    '--truncate',
    '--mode',
    'window',
    '-p',
    '1',
    '-n',
    '256',
    '--payload',
    '4k',
    '--no-bare',
    '--json',
  ]
  const { code, stdout, stderr } = await runCli(['bench', home, '--segment-bytes', '1m', ...args, ...SHORT])
  assert.is(code, 0, stderr)
  const { median, workload } = JSON.parse(stdout)
  assert.is(workload.truncates, true)
  assert.ok(median.droppedSegments > 0, stdout)
})

test('the bare loop can be left out', async () => {
  const { stdout } = await runCli(['bench', temporaryDirectory(), '--no-bare', ...SHORT])
  assert.not.match(stdout, /bare loop/)
  assert.match(stdout, /\ngroupwal /)
})

/** Path of a file in the folder that a benchmark below `directory` has made for itself, once it is there. */
function findInFolder(directory: string, name: string): string | undefined {
  if (!existsSync(directory)) return undefined
  return readdirSync(directory)
    .filter((entry) => entry.startsWith('groupwal-bench-'))
    .map((entry) => join(directory, entry, name))
    .find((path) => existsSync(path))
}

function hasRecords(directory: string): boolean {
  const log = findInFolder(directory, 'log')
  if (log === undefined) return false
  const records = readRecords(loadFileSystem(), log)
  const { done } = records.next()
  records.return?.()
  return done !== true
}

function startBench(
  directory: string,
  ...args: string[]
): { process: ChildProcess; ended: Promise<CliResult> } {
  const child = spawn(process.execPath, [cliPath(), 'bench', directory, '-p', '2', ...args], {
    stdio: 'pipe',
  })
  return { process: child, ended: resultOf(child) }
}

const STAGES: [string, NodeJS.Signals, number, string[], (directory: string) => boolean][] = [
  ['it opens its log', 'SIGTERM', 143, [], (directory) => findInFolder(directory, 'log') !== undefined],
  [
    'the bare loop runs',
    'SIGTERM',
    143,
    ['--bare-seconds', '1000'],
    (directory) => findInFolder(directory, 'bare') !== undefined,
  ],
  ['promises are pending', 'SIGINT', 130, ['--no-bare', '--mode', 'promise', '-s', '1000'], hasRecords],
  ['calls block', 'SIGINT', 130, ['--no-bare', '--warm-up', '1000', '--truncate'], hasRecords],
]
for (const [stage, signal, expected, args, hasBegun] of STAGES) {
  test(`${signal} while ${stage} ends it at once, and it removes what it made and nothing else: ${expected}`, async () => {
    const home = temporaryDirectory()
    writeFileSync(join(home, 'another file'), '')
    mkdirSync(join(home, 'groupwal-bench-another'))
    const bench = startBench(home, ...args)
    await eventually('it has begun', () => hasBegun(home))
    bench.process.kill(signal)
    const { code, stderr } = await bench.ended
    assert.is(code, expected, stderr)
    assert.not.match(stderr, 'groupwal:')
    assert.equal(readdirSync(home).sort(), ['another file', 'groupwal-bench-another'])
  })
}

test('the directories that it made are removed, and none that was there before', async () => {
  const home = temporaryDirectory()
  mkdirSync(join(home, 'there'))
  const args = ['--no-bare', '--seconds', '0.1', '--warm-up', '0.1']
  const { code, stderr } = await runCli(['bench', join(home, 'there', 'a', 'b', 'c'), ...args])
  assert.is(code, 0, stderr)
  assert.equal(readdirSync(home), ['there'])
  assert.equal(readdirSync(join(home, 'there')), [])
})

test('SIGINT in directories that it made itself removes those, too', async () => {
  const home = temporaryDirectory()
  const directory = join(home, 'a', 'b', 'c')
  const bench = startBench(directory, '--no-bare', '-s', '1000')
  await eventually('it has begun', () => hasRecords(directory))
  bench.process.kill('SIGINT')
  assert.is((await bench.ended).code, 130)
  assert.equal(readdirSync(home), [])
})

for (const [at, left] of [
  ['a/b/c', ['a', 'a/b', 'a/b/c', 'a/b/c/mine']],
  ['a/b', ['a', 'a/b', 'a/b/mine']],
] as const) {
  test(`a file that somebody put into ${at} meanwhile stays with its directories, and is no failure`, async () => {
    const home = temporaryDirectory()
    const directory = join(home, 'a', 'b', 'c')
    const bench = startBench(directory, '--no-bare', '-s', '1000')
    await eventually('it has begun', () => hasRecords(directory))
    writeFileSync(join(home, at, 'mine'), '')
    bench.process.kill('SIGTERM')
    const { code, stderr } = await bench.ended
    assert.is(code, 143, stderr)
    assert.is(stderr, '')
    assert.equal(readdirSync(home, { recursive: true }).sort(), left)
  })
}

test('when a directory cannot be made, those above it that were made are removed: 1', async () => {
  const home = temporaryDirectory()
  const { code, stderr } = await runCli(['bench', join(home, 'a', 'x'.repeat(1000), 'c')])
  assert.is(code, 1)
  assert.match(stderr, 'ENAMETOOLONG')
  assert.equal(readdirSync(home), [])
})

for (const mode of ['sync', 'promise', 'window']) {
  test(`mode ${mode}: when commits fail, it says so at once, and removes what it made: 1`, async () => {
    const home = temporaryDirectory()
    const directory = join(home, 'a', 'b')
    const args = ['--segment-bytes', '1m', '--truncate', '--no-bare', '--warm-up', '1000', '--json']
    const bench = startBench(directory, '--mode', mode, ...args)
    await eventually('it has begun', () => hasRecords(directory))
    // The next segment cannot be made.
    renameSync(findInFolder(directory, 'log')!, join(temporaryDirectory(), 'log'))
    const { code, stdout, stderr } = await bench.ended
    assert.is(code, 1, stderr)
    assert.is(stdout, '')
    assert.match(JSON.parse(stderr).error.code, /^GROUPWAL_/)
    assert.equal(readdirSync(home), [])
  })
}

skipUnless(
  test as Parameters<typeof skipUnless>[0],
  whyNoTerminal,
  'a terminal gets a progress line, which is gone at the end',
  async () => {
    const command = `"${process.execPath}" "${cliPath()}" bench "${temporaryDirectory()}" --no-bare --warm-up 0.1 -s 0.7`
    const { stdout } = await runCommand('script', ['-qec', command, '/dev/null'])
    assert.match(stdout, /of 0\.7 s, [\d,]+ commits\/s/)
    const erased = stdout.lastIndexOf('\r\x1b[K')
    assert.ok(erased > stdout.lastIndexOf('of 0.7 s'))
  },
)

test.run()
