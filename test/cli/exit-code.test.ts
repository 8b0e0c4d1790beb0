import { closeSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openLog } from '../../src/index.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { runCli } from './run-cli.ts'

for (const [what, args, message] of [
  ['no command', [], /Usage: groupwal/],
  ['an unknown command', ['compact', 'x'], /unknown command 'compact'/],
  ['an unknown option', ['dump', 'x', '--form', '3'], /unknown option '--form'/],
  ['no directory', ['append'], /missing required argument 'dir'/],
  ['a number that is none', ['dump', 'x', '--from', '1.5'], /'1\.5' is invalid.*integer, 1 or more/],
  ['a number out of range', ['append', 'x', '-p', '0'], /integer, from 1 to 200/],
  ['an unknown sync method', ['bench', 'x', '--sync-method', 'hope'], /Allowed choices are auto, dsync/],
  ['a size that is none', ['bench', 'x', '--payload', 'big'], /size such as 4096, 64k or 16m/],
] as const) {
  test(`${what} is a wrong command line: 2`, async () => {
    const { code, stdout, stderr } = await runCli([...args])
    assert.is(code, 2)
    assert.match(stderr, message)
    assert.is(stdout, '')
  })
}

for (const command of ['append', 'bench', 'stress']) {
  for (const [args, message] of [
    [['--ring-bytes', '5000'], /ringBytes must be a power of two, got 5000/],
    [['--segment-bytes', '10'], /segmentBytes must be an integer from 1048576 to 1073741824, got 10/],
    [['--staging-slots', '3'], /stagingSlots must be one of 1, 2, 4, 8, got 3/],
  ] as const) {
    test(`${command} with ${args.join(' ')}, which the log refuses, is a wrong command line: 2, and nothing is made`, async () => {
      const home = temporaryDirectory()
      const { code, stdout, stderr } = await runCli([command, join(home, 'new'), ...args])
      assert.is(code, 2)
      assert.match(stderr, message)
      assert.is(stdout, '')
      assert.equal(readdirSync(home), [])
    })
  }
}

test('a bench with a payload that its log cannot take is a wrong command line: 2, and nothing is made', async () => {
  const home = temporaryDirectory()
  const args = ['bench', join(home, 'new'), '--ring-bytes', '64k', '--payload', '32745', '--json']
  const { code, stderr } = await runCli(args)
  assert.is(code, 2)
  const { error } = JSON.parse(stderr)
  assert.is(error.name, 'UsageError')
  assert.match(error.message, /--payload can be at most 32744 .*, got 32745/)
  assert.equal(readdirSync(home), [])
})

test('help and version: 0', async () => {
  const help = await runCli(['--help'])
  assert.is(help.code, 0)
  for (const word of ['append', 'dump', 'bench', 'stress', 'Exit codes']) assert.match(help.stdout, word)
  for (const command of ['append', 'dump', 'bench', 'stress']) {
    const { code, stdout } = await runCli([command, '--help'])
    assert.is(code, 0)
    assert.match(stdout, `Usage: groupwal ${command} [options] <dir>`)
  }
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
  assert.equal(await runCli(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' })
})

test('a missing file, a directory as file, a file as directory: 1, and no log is made', async () => {
  const home = temporaryDirectory()
  const file = join(home, 'file')
  writeFileSync(file, 'x')
  const log = join(home, 'log')
  for (const [args, message] of [
    [['append', log, join(home, 'none')], /ENOENT/],
    [['append', log, home], /EISDIR/],
    [['append', file, file], /GROUPWAL_OPEN_FAILED/],
    [['dump', join(home, 'none')], /ENOENT/],
    [['dump', file], /ENOTDIR/],
    [['bench', file], /EEXIST|ENOTDIR/],
  ] as const) {
    const { code, stderr } = await runCli([...args])
    assert.is(code, 1, args.join(' '))
    assert.match(stderr, message)
  }
  assert.equal(readdirSync(home), ['file'])
})

for (const [what, line, message] of [
  ['no JSON', '{"payload":', /line 2: .*JSON/],
  ['no object', '["x"]', /line 2: the line is not a JSON object/],
  ['an unknown field', '{"payload":"x","tenant":1}', /line 2: unknown field "tenant"/],
  ['no payload', '{"tenantId":1}', /line 2: it needs either payload or payloadBase64/],
  ['both payloads', '{"payload":"x","payloadBase64":"eA=="}', /line 2: it needs either/],
  ['bad base64', '{"payloadBase64":"%%"}', /line 2: payloadBase64 is not base64/],
  ['a payload of another type', '{"payload":5}', /line 2: .*payload must be a Uint8Array or a string/],
  [
    'a record type out of range',
    '{"payload":"x","recordType":65536}',
    /line 2: .*recordType must be an integer/,
  ],
  ['a lone surrogate', '{"payload":"\\ud800"}', /line 2: .*UTF-16/],
] as const) {
  test(`a line with ${what} ends the run with its number: 1`, async () => {
    const directory = join(temporaryDirectory(), 'log')
    const good = '{"payload":"good"}'
    const { code, stdout, stderr } = await runCli(
      ['append', directory, '--ndjson'],
      `${good}\n${line}\n${good}\n`,
    )
    assert.is(code, 1)
    assert.match(stderr, message)
    assert.match(stdout, /^1 records durable/)
  })
}

/** What the log holds, payloads as text. */
async function payloadsOf(directory: string): Promise<string[]> {
  const { code, stdout, stderr } = await runCli(['dump', directory])
  assert.is(code, 0, stderr)
  const lines = stdout.split('\n').slice(0, -1)
  return lines.map((line) => (JSON.parse(line) as { payload: string }).payload)
}

const SMALL_RING = ['--ring-bytes', '64k', '--segment-bytes', '1m']
/** Half the ring, without the record's header. */
const LARGEST_PAYLOAD = 32_744

test('a line of NDJSON that is not UTF-8 is named, and neither it nor what stands behind it is committed: 1', async () => {
  const directory = join(temporaryDirectory(), 'log')
  const lines = Buffer.from('{"payload":"good"}\n{"payload":"a\xffb"}\n{"payload":"behind"}\n', 'latin1')
  const { code, stderr } = await runCli(['append', directory, '--ndjson'], lines)
  assert.equal(await payloadsOf(directory), ['good'])
  assert.is(code, 1)
  assert.match(stderr, /line 2: the line is not UTF-8/)
})

test('a payload over the limit is named with its line and the options that raise the limit, and no line behind it is committed: 1', async () => {
  const directory = join(temporaryDirectory(), 'log')
  const input = `short\n${'long'.repeat(20_000)}\nbehind\n`
  const { code, stdout, stderr } = await runCli(['append', directory, ...SMALL_RING], input)
  assert.is(code, 1)
  assert.match(stderr, /line 2: .*80000 bytes, the limit is .*maxBatchBytes/)
  assert.match(stdout, /^1 records durable/)
  assert.equal(await payloadsOf(directory), ['short'])
})

test('the largest payload is taken, and one byte more is not: 1', async () => {
  const directory = join(temporaryDirectory(), 'log')
  const largest = 'x'.repeat(LARGEST_PAYLOAD)
  const { code, stderr } = await runCli(
    ['append', directory, ...SMALL_RING],
    `${largest}\n${largest}y\nbehind\n`,
  )
  assert.is(code, 1)
  assert.match(
    stderr,
    `line 2: record.payload has ${LARGEST_PAYLOAD + 1} bytes, the limit is ${LARGEST_PAYLOAD}`,
  )
  assert.equal(await payloadsOf(directory), [largest])
})

test('with several producers, too, all lines before the one that is not taken are committed and none behind it: 1', async () => {
  const home = temporaryDirectory()
  const directory = join(home, 'log')
  const before = Array.from({ length: 1000 }, (_, index) => `before ${index} ${'.'.repeat(500)}`)
  const behind = Array.from({ length: 4000 }, (_, index) => `behind ${index} ${'.'.repeat(500)}`)
  const lines = [...before, 'long'.repeat(20_000), ...behind]
  writeFileSync(join(home, 'lines'), `${lines.join('\n')}\n`)
  const args = ['append', directory, join(home, 'lines'), '-p', '4', ...SMALL_RING]
  const { code, stdout, stderr } = await runCli(args)
  assert.is(code, 1)
  assert.match(stderr, /lines, line 1001: .*80000 bytes, the limit is/)
  assert.match(stdout, /^1,000 records durable/)
  assert.equal((await payloadsOf(directory)).sort(), before.sort())
})

test('errors are JSON lines on standard error with --json', async () => {
  const { code, stderr } = await runCli(['append', temporaryDirectory(), 'no such file', '--json'])
  assert.is(code, 1)
  assert.is(JSON.parse(stderr).error.code, 'ENOENT')
})

test('a damaged log: 3, behind the records before the damage', async () => {
  const directory = join(temporaryDirectory(), 'log')
  for (const text of ['one', 'two', 'three']) await runCli(['append', directory], `${text}\n`)
  const segment = readdirSync(directory).find((name) => name.endsWith('.seg'))!
  const path = join(directory, segment)
  const at = readFileSync(path).indexOf('two')
  const fd = openSync(path, 'r+')
  writeSync(fd, 'tow', at)
  closeSync(fd)
  const dump = await runCli(['dump', directory])
  assert.is(dump.code, 3)
  assert.match(dump.stderr, /GROUPWAL_CORRUPT/)
  assert.match(dump.stderr, segment)
  assert.is(JSON.parse(dump.stdout).payload, 'one')
  assert.is((await runCli(['append', directory], 'x\n')).code, 3)
})

test('a log that is open elsewhere: 4, naming the process', async () => {
  const directory = join(temporaryDirectory(), 'log')
  const log = await openLog(directory)
  const { code, stderr } = await runCli(['append', directory], 'x\n')
  await log.close()
  assert.is(code, 4)
  assert.match(stderr, String(process.pid))
})

test.run()
