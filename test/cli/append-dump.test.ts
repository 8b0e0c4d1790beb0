// @timeout 120
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openLog } from '../../src/index.ts'
import { skipUnless } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { cliPath, runCli, runCommand, whyNoTerminal } from './run-cli.ts'

interface Line {
  lsn: number
  recordType: number
  tenantId: number
  vshardId: number
  payload?: string
  payloadBase64?: string
}

async function dumpOf(directory: string, ...options: string[]): Promise<Line[]> {
  const { code, stdout, stderr } = await runCli(['dump', directory, ...options])
  assert.is(code, 0, stderr)
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line)
}

test('the lines of standard input come back in their order, whatever their ends and bytes', async () => {
  const directory = join(temporaryDirectory(), 'log')
  const input = Buffer.concat([
    Buffer.from('one\ntwo\r\n\nünï\n'),
    Buffer.of(0xff, 0xfe, 10),
    Buffer.from('last'),
  ])
  const { code, stdout, stderr } = await runCli(['append', directory], input)
  assert.is(code, 0, stderr)
  assert.match(stdout, /^6 records durable, LSN 1 to 6, /)
  assert.match(stdout, /commits\/s, .* syncs\/s, .* commits per sync\nlatency p50 .*, p99 .*, max /)
  assert.not.match(stderr, /\r/, 'no progress line where there is no terminal')
  const lines = await dumpOf(directory)
  assert.equal(
    lines.map(({ lsn, payload, payloadBase64 }) => [lsn, payload ?? payloadBase64]),
    [
      [1, 'one'],
      [2, 'two'],
      [3, ''],
      [4, 'ünï'],
      [5, '//4='],
      [6, 'last'],
    ],
  )
})

/** A carriage return and "erase to the end of the line" come before it. */
const PROGRESS = /\[K1 records, 3 B, [\d,]+ commits\/s/

skipUnless(test, whyNoTerminal, 'a terminal gets a progress line, which is gone at the end', async () => {
  const home = temporaryDirectory()
  const seen = join(home, 'seen')
  // The second line comes when the first one was shown to be durable.
  const lines = `echo one; until [ -e "${seen}" ]; do sleep 0.05; done; echo two`
  const command = `(${lines}) | "${process.execPath}" "${cliPath()}" append "${join(home, 'log')}"`
  const terminal = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let stdout = ''
  for await (const chunk of terminal.stdout) {
    stdout += chunk
    if (PROGRESS.test(stdout)) writeFileSync(seen, '')
  }
  assert.match(stdout, PROGRESS)
  const summary = stdout.indexOf('2 records durable')
  assert.ok(summary > stdout.lastIndexOf('\r\x1b[K'), stdout)
})

test('files are appended one behind the other, and several producers lose no line', async () => {
  const home = temporaryDirectory()
  const texts = ['first', 'second'].map((name) =>
    Array.from({ length: 5000 }, (_, index) => `${name} ${index}`),
  )
  for (const [index, lines] of texts.entries())
    writeFileSync(join(home, `${index}.txt`), `${lines.join('\n')}\n`)
  const files = [join(home, '0.txt'), '-', join(home, '1.txt')]
  const one = await runCli(['append', join(home, 'one'), ...files, '--json'], 'between\n')
  assert.is(one.code, 0, one.stderr)
  const summary = JSON.parse(one.stdout)
  assert.is(summary.records, 10_001)
  assert.is(summary.lastLsn, 10_001)
  const numbers = [
    'commitsPerSecond',
    'syncsPerSecond',
    'commitsPerSync',
    'p50Micros',
    'p99Micros',
    'maxMicros',
  ]
  for (const name of numbers) assert.ok(summary[name] > 0, name)
  const expected = [...texts[0]!, 'between', ...texts[1]!]
  assert.equal(
    (await dumpOf(join(home, 'one'))).map(({ payload }) => payload),
    expected,
  )
  const three = await runCli(['append', join(home, 'three'), '-p', '3', ...files], 'between\n')
  assert.is(three.code, 0, three.stderr)
  assert.equal((await dumpOf(join(home, 'three'))).map(({ payload }) => payload).sort(), expected.sort())
})

test('what dump writes, append --ndjson reads', async () => {
  const home = temporaryDirectory()
  const log = await openLog(join(home, 'from'))
  const producer = log.connect()
  producer.commitSync({
    recordType: 7,
    tenantId: 4_000_000_000,
    vshardId: 65_535,
    payload: 'text "quoted" \u2028',
  })
  producer.commitSync({ payload: Uint8Array.of(0, 255, 128) })
  producer.commitSync({ payload: '' })
  // The log is still open here.
  const dumped = await runCli(['dump', join(home, 'from')])
  await log.close()
  const appended = await runCli(['append', join(home, 'to'), '--ndjson'], dumped.stdout)
  assert.is(appended.code, 0, appended.stderr)
  const strip = (lines: Line[]): unknown[] => lines.map(({ ...line }) => ({ ...line, wallClockMs: 0 }))
  assert.equal(strip(await dumpOf(join(home, 'to'))), strip(await dumpOf(join(home, 'from'))))
})

test('lines of text get the type, tenant and vshard that are given', async () => {
  const directory = join(temporaryDirectory(), 'log')
  const options = ['--record-type', '9', '--tenant', '12', '--vshard', '3', '--sync-method', 'fdatasync']
  assert.is((await runCli(['append', directory, ...options], 'x\n')).code, 0)
  const [line] = await dumpOf(directory)
  assert.equal([line!.recordType, line!.tenantId, line!.vshardId], [9, 12, 3])
})

test('dump begins at --from and ends after --limit', async () => {
  const directory = join(temporaryDirectory(), 'log')
  await runCli(['append', directory], Array.from({ length: 20 }, (_, index) => `${index}\n`).join(''))
  const lsnsOf = async (...options: string[]): Promise<number[]> =>
    (await dumpOf(directory, ...options)).map(({ lsn }) => lsn)
  assert.equal(await lsnsOf('--from', '5', '--limit', '3'), [5, 6, 7])
  assert.equal(await lsnsOf('--from', '19'), [19, 20])
  assert.equal(await lsnsOf('--from', '21'), [])
  assert.equal(await lsnsOf('--limit', '0'), [])
})

test('dump into a pipe that closes early ends in silence', async () => {
  const directory = join(temporaryDirectory(), 'log')
  await runCli(['append', directory], 'a line of some length that fills the pipe\n'.repeat(20_000))
  const script = `"${process.execPath}" "${cliPath()}" dump "${directory}" | head -n 1; exit \${PIPESTATUS[0]}`
  const { code, stdout, stderr } = await runCommand('bash', ['-c', script])
  assert.equal([code, stderr], [0, ''])
  assert.is(JSON.parse(stdout).lsn, 1)
})

test('append ends at SIGINT with what is durable', async () => {
  const directory = join(temporaryDirectory(), 'log')
  const child = spawn(process.execPath, [cliPath(), 'append', directory, '--json'], { stdio: 'pipe' })
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stdin.write('one\ntwo\n')
  // The lines are on their way as soon as they can be read.
  while ((await runCli(['dump', directory])).stdout.split('\n').length < 3) {
    // until both are there
  }
  child.kill('SIGINT')
  const [code] = await once(child, 'close')
  assert.is(code, 130)
  assert.is(JSON.parse(stdout).records, 2)
  assert.is((await dumpOf(directory)).length, 2)
})

test.run()
