// @timeout 120
// scripts/prove.mjs: whatever goes wrong with a part of the proof must show in the closing line and the exit code.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually } from '../support/eventually.ts'

interface Run {
  code: number | null
  output: string
  lastLine: string
}

/** Who records the counts of the whole run does not mean those of the parts made here. */
const { PROVE_RECORD: _record, PROVE_RESULT: _result, ...ENVIRONMENT } = process.env

type Part = { name: string; ci?: number; full?: number }

const passing = part('good', `[{ name: 'a', passed: true }, { name: 'b', passed: true }]`)

/** A part that reports these checks under this name. */
function part(name: string, checks: string, rest = ''): string {
  const support = resolve('test/prove/support/report.ts')
  return (
    `import { finish } from ${JSON.stringify(support)}\n` +
    `finish({ part: '${name}', title: 'made for a test', promises: ['P1'], ` +
    `counts: [{ label: 'things', value: 1234 }], checks: ${checks} })\n${rest}\n`
  )
}

function withParts<T>(
  parts: Part[],
  files: Record<string, string>,
  run: (partsFile: string, home: string) => T,
): T {
  mkdirSync('.cache', { recursive: true })
  const home = resolve(mkdtempSync(join('.cache', 'parts-')))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(home, `${name}.ts`), text)
  const partsFile = join(home, 'parts.mjs')
  writeFileSync(
    partsFile,
    `export const parts = ${JSON.stringify(parts)}\nexport const directory = ${JSON.stringify(home)}\n`,
  )
  const remove = (): void => rmSync(home, { recursive: true })
  let result: T
  try {
    result = run(partsFile, home)
  } catch (error) {
    remove()
    throw error
  }
  if (result instanceof Promise) void result.then(remove, remove)
  else remove()
  return result
}

function prove(parts: Part[], files: Record<string, string>, args: string[] = ['--ci']): Run {
  return withParts(parts, files, (partsFile) => runProve(['--parts', partsFile, ...args]))
}

function runProve(args: string[], environment: Record<string, string> = {}): Run {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/prove.mjs', ...args], {
    encoding: 'utf8',
    env: { ...ENVIRONMENT, ...environment },
  })
  return { code: status, output: stdout + stderr, lastLine: stdout.trimEnd().split('\n').at(-1) ?? '' }
}

function proveOne(text: string): Run {
  return prove([{ name: 'good', ci: 20 }], { good: text })
}

test('the checks of all parts are added up, and what they print is shown', () => {
  const { code, output, lastLine } = prove(
    [
      { name: 'good', ci: 20 },
      { name: 'other', ci: 20 },
    ],
    {
      good: passing,
      other: part('other', `[{ name: 'c', passed: true }, { name: 'd', passed: false, skipped: 'no disk' }]`),
    },
  )
  assert.is(lastLine, '3 passed, 0 failed, 1 skipped')
  assert.is(code, 0)
  assert.match(output, 'things: 1,234')
  assert.match(output, 'skipped: d (no disk)')
  assert.match(output, /^good +2 +0 +0 +\d+$/m)
  assert.is(output.match(/^\d+ passed, \d+ failed/gm)!.length, 1)
})

for (const [what, text, failed, message] of [
  ['fails a check', part('good', `[{ name: 'marmalade', passed: false }]`), 1, 'FAILED: marmalade'],
  ['does not build', 'const const', 1, 'does not build'],
  ['throws', `${passing}throw new Error('marmalade')`, 1, 'exit code 1'],
  ['reports nothing', `console.log('fine')`, 1, 'reported nothing'],
  ['checks nothing', part('good', '[]'), 1, 'checked nothing'],
  ['reports under another name', part('better', `[{ name: 'a', passed: true }]`), 1, 'reported as better'],
  ['is killed', `${passing}process.kill(process.pid, 'SIGKILL')`, 1, 'was ended by SIGKILL'],
] as const) {
  test(`a part that ${what} fails the run`, () => {
    const { code, output, lastLine } = proveOne(text)
    assert.match(output, message)
    assert.match(lastLine, ` passed, ${failed} failed`)
    assert.is(code, 1)
  })
}

test('a part whose file is missing fails the run', () => {
  const { code, lastLine, output } = prove([{ name: 'good', ci: 20 }], {})
  assert.match(output, 'good.ts is missing')
  assert.is(lastLine, '0 passed, 1 failed')
  assert.is(code, 1)
})

test('a part that does not end in time is told to end, may clean up, and fails', () => {
  const cleanUp = `process.on('SIGTERM', () => { console.log('cleaned', 'up'); process.exit(0) })\nsetInterval(() => {}, 1000)`
  const { code, output, lastLine } = prove([{ name: 'good', ci: 2 }], {
    good: part('good', `[{ name: 'a', passed: true }]`, cleanUp),
  })
  assert.match(output, 'cleaned up')
  assert.match(output, 'did not end within 3 s')
  assert.is(lastLine, '1 passed, 1 failed')
  assert.is(code, 1)
})

test('what a part leaves running ends with it', async () => {
  const child = `import { spawn } from 'node:child_process'\nconst child = spawn('sleep', ['600'], { stdio: 'ignore' })\nchild.unref()\nconsole.log('started', child.pid)\n`
  const { code, output } = proveOne(child + passing)
  assert.is(code, 0)
  const pid = Number(/started (\d+)/.exec(output)![1])
  await eventually('its process is gone', () => !existsSync(`/proc/${pid}`))
})

test('--only runs these parts alone; a part without a limit for this size is left out otherwise', () => {
  const parts = [
    { name: 'good', ci: 20, full: 20 },
    { name: 'other', full: 20 },
  ]
  const files = { good: passing, other: part('other', `[{ name: 'c', passed: true }]`) }
  assert.is(prove(parts, files).lastLine, '2 passed, 0 failed')
  assert.is(prove(parts, files, ['--ci', '--only', 'other']).lastLine, '1 passed, 0 failed')
})

test('a full run hands its size, time and seed on, and writes its counts', () => {
  const text = part('good', `[{ name: process.argv.slice(2).join(' '), passed: true }]`)
  withParts([{ name: 'good', ci: 20, full: 20 }], { good: text }, (partsFile, home) => {
    const results = join(home, 'results.json')
    const old = { part: 'gone', counts: [], checks: [], seconds: 1 }
    writeFileSync(results, JSON.stringify({ parts: [old] }))
    const run = runProve(['--parts', partsFile, '--full', '--seed', '7', '--results', results])
    assert.is(run.lastLine, '1 passed, 0 failed')
    const { parts } = JSON.parse(readFileSync(results, 'utf8'))
    assert.is(parts.length, 1)
    const [{ checks, counts, machine }] = parts
    assert.is(checks[0].name, '--full --seconds 18 --seed 7')
    assert.equal(counts, [{ label: 'things', value: 1234 }])
    assert.is(machine.node, process.version)
    assert.match(machine.date, /^\d{4}-\d\d-\d\d$/)
  })
})

test('a run in the small size writes its counts only with --record or PROVE_RECORD=1', () => {
  withParts([{ name: 'good', ci: 20 }], { good: passing }, (partsFile, home) => {
    const results = join(home, 'results.json')
    const args = ['--parts', partsFile, '--ci', '--results', results]
    assert.is(runProve(args).code, 0)
    assert.not(existsSync(results))
    for (const [more, environment] of [
      [['--record'], {}],
      [[], { PROVE_RECORD: '1' }],
    ] as const) {
      assert.is(runProve([...args, ...more], environment).code, 0)
      assert.is(JSON.parse(readFileSync(results, 'utf8')).parts[0].part, 'good')
      rmSync(results)
    }
  })
})

test('a full run that fails leaves the counts of the former one', () => {
  const text = part('good', `[{ name: 'a', passed: false }]`)
  withParts([{ name: 'good', full: 20 }], { good: text }, (partsFile, home) => {
    const results = join(home, 'results.json')
    const run = runProve(['--parts', partsFile, '--full', '--results', results])
    assert.is(run.code, 1)
    assert.not(existsSync(results))
  })
})

test('an interrupted run tells its part to end, and has no closing line', async () => {
  const wait = `process.on('SIGTERM', () => { console.log('cleaned', 'up'); process.exit(0) })\nconsole.log('waiting')\nsetInterval(() => {}, 1000)`
  await withParts([{ name: 'good', ci: 60 }], { good: wait }, async (partsFile) => {
    const child = spawn(process.execPath, ['scripts/prove.mjs', '--ci', '--parts', partsFile], {
      env: ENVIRONMENT,
    })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    await eventually('the part waits', () => output.includes('waiting'))
    child.kill('SIGINT')
    const [code] = await once(child, 'close')
    assert.is(code, 1)
    assert.match(output, 'cleaned up')
    assert.not.match(output, /^\d+ passed, \d+ failed/m)
  })
})

test('a wrong command line: 2', () => {
  for (const args of [[], ['--ci', '--full'], ['--ci', '--only', 'nonsense']]) {
    assert.is(prove([{ name: 'good', ci: 20 }], {}, args).code, 2)
  }
})

test.run()
