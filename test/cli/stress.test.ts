// @timeout 150

import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { HostMessage, HostRefusal, HostSpec } from '../../src/cli/stress/host-messages.ts'
import type { Mutant } from '../mutants/mutant.ts'
import { DEFECTS_OF_THE_ORIGINAL } from '../mutants/of-the-original.ts'
import { eventually } from '../support/eventually.ts'
import { copySource } from '../support/mutate.ts'
import { checkRescues } from '../support/rescues.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { type CliResult, cliPath, resultOf, runCli, runCommand } from './run-cli.ts'

const ALL = ['--kill', '--faults', '--rotate', '--truncate']

test('everything at once breaks no promise, is told as JSON, and leaves nothing behind', async () => {
  const home = temporaryDirectory()
  const args = ['stress', join(home, 'new'), '-p', '8', '-s', '6', ...ALL, '--seed', '5', '--json']
  const { code, stdout, stderr } = await runCli(args)
  assert.is(code, 0, stderr)
  const { seed, seconds, hosts, kills, counts, history } = JSON.parse(stdout)
  assert.is(seed, 5)
  assert.ok(seconds >= 6)
  assert.ok(kills > 0 && hosts > kills, stdout)
  // How many segments there are to begin and to drop depends on the machine: test/prove/stress.ts looks at that.
  for (const name of ['syncs', 'deaths', 'faults', 'failures', 'resumes', 'reads']) {
    assert.ok(counts[name] > 0, `${name}: ${stdout}`)
  }
  assert.ok(history.acknowledged > 100 && history.records >= history.acknowledged, stdout)
  assert.ok(history.failed > 0, stdout)
  assert.equal(readdirSync(home), [])
})

test('when nothing goes wrong, no record fails, no sleeper is left to its re-check, and the memory is judged', async () => {
  const home = temporaryDirectory()
  const args = ['stress', home, '-p', '4', '-s', '10', '--no-deaths', '--json']
  const { code, stdout, stderr } = await runCli(args)
  assert.is(code, 0, stderr)
  const { hosts, counts, history, memory } = JSON.parse(stdout)
  assert.is(hosts, 1)
  const { failures, deaths, takeovers, noops, recheckRescues } = counts
  assert.equal({ failures, deaths, takeovers, noops }, { failures: 0, deaths: 0, takeovers: 0, noops: 0 })
  checkRescues(recheckRescues)
  assert.ok(history.acknowledged > 100)
  assert.ok(memory.earlyBytes > 0 && memory.lateBytes > 0)
})

test('an interrupt ends it in order, with what was found until then: 130', async () => {
  const home = temporaryDirectory()
  const stress = startStress(home, '-p', '4')
  await eventually('it has begun', () => findLog(home) !== undefined)
  stress.process.kill('SIGINT')
  const { code, stdout } = await stress.ended
  assert.is(code, 130)
  assert.match(stdout, /checked: all [\d,]+ acknowledged records are in the log/)
  assert.equal(readdirSync(home), [])
})

test('a host that dies by itself is a violation, and what it left is kept', async () => {
  const home = temporaryDirectory()
  const stress = startStress(home, '-p', '2', '--seed', '9')
  await eventually('it has begun', () => findLog(home) !== undefined)
  const { pid } = stress.process
  const host = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'))
  process.kill(host, 'SIGKILL')
  const { code, stderr } = await stress.ended
  assert.is(code, 1)
  assert.match(stderr, 'stress with seed 9 failed')
  assert.match(stderr, /violation: a host ended by itself: exit code null, signal SIGKILL/)
  assert.ok(findLog(home) !== undefined)
})

for (const ringBytes of ['256k', '4k']) {
  test(`a ring of ${ringBytes} holds smaller batches, and breaks no promise`, async () => {
    const home = temporaryDirectory()
    let output = ''
    // On a busy machine its threads may not have started when the time is up: then it gets more.
    for (const seconds of ['2', '8', '32']) {
      const args = ['stress', home, '-p', '4', '-s', seconds, '--ring-bytes', ringBytes, '--json']
      const { code, stdout, stderr } = await runCli(args)
      assert.is(code, 0, stderr)
      assert.equal(readdirSync(home), [])
      output = stdout
      if (JSON.parse(output).history.acknowledged > 100) break
    }
    assert.ok(JSON.parse(output).history.acknowledged > 100, output)
  })
}

test('options that the log of a host refuses are no violation', async () => {
  const home = temporaryDirectory()
  const spec: HostSpec = {
    home,
    plan: { seed: 1, producers: 1, maxBatchBytes: 262_144 },
    options: { ringBytes: 262_144, maxBatchBytes: 262_144 },
    firstIncarnation: 0,
    seed: 1,
    faults: false,
    deaths: false,
  }
  const host = fork(cliPath(), ['stress-host'], { serialization: 'advanced' })
  const messages: HostMessage[] = []
  host.on('message', (message: HostMessage) => messages.push(message))
  const ends = [once(host, 'exit'), once(host, 'disconnect')]
  host.send(spec)
  await Promise.all(ends)
  assert.equal(
    messages.map(({ kind }) => kind),
    ['refusal'],
  )
  const { name, message } = (messages[0] as HostRefusal).error as Error
  assert.is(name, 'UsageError')
  assert.match(message, /maxBatchBytes is 262144, but with ringBytes 262144 .* at most 131072/)
  assert.equal(readdirSync(home), [])
})

test('stress-host is not for the command line: 2', async () => {
  const { code, stderr } = await runCli(['stress-host'])
  assert.is(code, 2)
  assert.match(stderr, 'a part of stress')
  assert.not.match((await runCli(['--help'])).stdout, 'stress-host')
})

for (const [defect, message] of [
  [
    '(c) an error while appending sets no flag',
    // Whoever reads first finds the damage: the check beside the host, or a reader in it.
    /acknowledged as LSN \d+, and is not in the log|GROUPWAL_CORRUPT|a reader from LSN \d+ failed: CorruptLogError/,
  ],
  ['(a) commitSync returns the durable LSN of the log', /was told LSN \d+, and has LSN|got LSN \d+ after/],
] as const) {
  test(`the stress of a mutant fails: ${defect}`, async () => {
    const mutant = DEFECTS_OF_THE_ORIGINAL.find(({ name }) => name.startsWith(defect))!
    const { code, stderr } = await stressMutant(mutant)
    assert.is.not(code, 0)
    assert.match(stderr, 'stress with seed 1 failed')
    assert.match(stderr, message)
  })
}

async function stressMutant(mutant: Mutant): Promise<CliResult> {
  const root = copySource(...mutant.edits)
  try {
    const build = ['scripts/build.mjs', '--no-types']
    const { status, stdout } = spawnSync(process.execPath, build, { cwd: root, encoding: 'utf8' })
    assert.is(status, 0, stdout)
    const args = ['stress', join(root, 'disk'), '-p', '8', '-s', '20', '--faults', '--seed', '1']
    return await runCommand(process.execPath, [join(root, 'dist', 'esm', 'cli.js'), ...args])
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

function startStress(home: string, ...args: string[]): { process: ChildProcess; ended: Promise<CliResult> } {
  const child = spawn(process.execPath, [cliPath(), 'stress', home, '-s', '60', ...args], { stdio: 'pipe' })
  return { process: child, ended: resultOf(child) }
}

/** Directory of the log, once it is there. */
function findLog(home: string): string | undefined {
  return readdirSync(home)
    .map((name) => join(home, name, 'log'))
    .find((log) => existsSync(log) && readdirSync(log).some((name) => name.endsWith('.seg')))
}

test('the help names what can go wrong', async () => {
  const { stdout } = await runCli(['stress', '--help'])
  for (const option of [...ALL, '--no-deaths', '--seed']) assert.match(stdout, option)
  assert.ok(readFileSync('docs/operations.md', 'utf8').includes('groupwal stress DIR'))
})

test.run()
