// @timeout 120
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { buildLibrary } from '../support/built-library.ts'
import { skipUnless } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const dist = buildLibrary()

interface Outcome {
  status: number | null
  stdout: string
  stderr: string
}

function start(...args: string[]): Outcome {
  const short = ['--seconds', '0.4', '--producers', '3', '--pending', '8']
  return spawnSync(process.execPath, ['scripts/start.mjs', ...short, ...args], { encoding: 'utf8' })
}

test('the main job commits, kills its host, and finds all that was acknowledged', () => {
  const home = temporaryDirectory()
  const { status, stdout, stderr } = start('--dist', dist, '--dir', join(home, 'data'))
  assert.is(status, 0, stderr)
  assert.match(stdout, /^directory {4}\/.*\nfile system {2}\w+ on .*\nsync method {2}\w+: .*\n/)
  assert.match(stdout, /\ninput {8}[\d,]+ lines of \d+ files, over and over\n/)
  for (const row of [
    'bare loop: write, sync, again',
    'commitSync, 3 threads',
    'await commit(), 3 threads x 8 pending',
  ]) {
    assert.match(
      stdout,
      new RegExp(`\n${row.replace(/[()]/g, '\\$&')} +[\\d,]+ +[\\d.]+ +[\\d,]+ +[\\d,]+\n`),
    )
  }
  const [, acknowledged, recovered] = /\nacknowledged (\d+), recovered (\d+), lost 0\n/.exec(stdout) ?? []
  assert.ok(Number(acknowledged) > 0)
  assert.is(recovered, acknowledged)
  assert.equal(readdirSync(home), [], 'it cleans up')
})

test('lines of named files are committed, long, empty and not UTF-8', () => {
  const home = temporaryDirectory()
  const file = join(home, 'lines')
  writeFileSync(
    file,
    Buffer.concat([Buffer.from(`${'x'.repeat(5000)}\n\n`), Buffer.of(0xff, 0x0d, 0x0a), Buffer.from('end')]),
  )
  const { status, stdout, stderr } = start('--dist', dist, '--dir', home, file)
  assert.is(status, 0, stderr)
  assert.match(stdout, /input {8}4 lines of 1 files/)
  assert.equal(readdirSync(home), ['lines'])
})

const TMPFS_MAGIC = 0x01021994
const memory = '/dev/shm'
const noMemory =
  existsSync(memory) && statfsSync(memory).type === TMPFS_MAGIC ? undefined : `${memory} is no tmpfs`
skipUnless(test, noMemory, 'on a tmpfs it warns, and cleans up there', () => {
  const home = mkdtempSync(join(memory, 'groupwal-'))
  try {
    const { status, stdout, stderr } = start('--dist', dist, '--dir', join(home, 'data'))
    assert.is(status, 0, stderr)
    assert.match(stdout, /\nfile system {2}tmpfs on /)
    assert.match(stdout, /\nWARNING {6}.*tmpfs/)
    assert.match(stdout, /, lost 0\n/)
    assert.equal(readdirSync(home), [])
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
})

test('a log that loses, alters or doubles a record makes it fail', () => {
  for (const [what, change, message] of [
    ['loses', 'if (record.lsn === 5) continue', /lost 1\n/],
    ['alters', "if (record.lsn === 5) record.payload = Buffer.from('other')", /lost 1\n/],
    ['doubles', 'if (record.lsn === 5) yield record', /lost 0\n/],
  ] as const) {
    const { status, stdout, stderr } = start('--dist', lossyLibrary(change), '--dir', temporaryDirectory())
    assert.is(status, 1, what)
    assert.match(stdout, message)
    if (what !== 'loses') assert.match(stderr, 'FAULT: ')
  }
})

test('wrong arguments: 2; a missing file: 1', () => {
  const home = temporaryDirectory()
  assert.is(start('--secnods', '3').status, 2)
  assert.is(start('--producers', 'many').status, 2)
  assert.is(start('--help').status, 0)
  const missing = start('--dist', dist, '--dir', join(home, 'data'), join(home, 'missing'))
  assert.is(missing.status, 1)
  assert.match(missing.stderr, 'ENOENT')
  assert.not(existsSync(join(home, 'data')))
})

/** The library, but that what it reads back is not what was committed. */
function lossyLibrary(change: string): string {
  const home = temporaryDirectory()
  mkdirSync(join(home, 'esm'))
  const real = (name: string): string => JSON.stringify(pathToFileURL(join(dist, 'esm', name)).href)
  writeFileSync(join(home, 'esm', 'pool.js'), `export * from ${real('pool.js')}`)
  writeFileSync(
    join(home, 'esm', 'index.js'),
    `import { openLog as open } from ${real('index.js')}
    export * from ${real('index.js')}
    export async function openLog(...args) {
      const log = await open(...args)
      const read = log.read.bind(log)
      log.read = function* () { for (const record of read()) { ${change}; yield record } }
      return log
    }`,
  )
  return home
}

test.run()
