import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { skipUnless } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { cliPath, runCli, runCommand, whyNoTerminal } from './run-cli.ts'

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
