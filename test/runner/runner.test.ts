// @timeout 120
// The traps of uvu that scripts/test.mjs must not fall into: each fixture here must make a run fail.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const header = `import { test } from 'uvu'\n`
const only = '.on' + 'ly' // in one piece the runner would find it in this file

/** The fixtures' own limits are meant as they are written down, on a slow machine, too. */
const { TEST_TIMEOUT_SCALE: _scale, ...ENVIRONMENT } = process.env

interface Run {
  code: number | null
  output: string
  lastLine: string
}

function runFixtures(fixtures: Record<string, string>, ...args: string[]): Run {
  mkdirSync('.cache', { recursive: true })
  const root = mkdtempSync(join('.cache', 'runner-'))
  try {
    for (const [name, text] of Object.entries(fixtures)) writeFileSync(join(root, name), text)
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['scripts/test.mjs', '--root', root, ...args],
      {
        encoding: 'utf8',
        env: ENVIRONMENT,
      },
    )
    const output = stdout + stderr
    return { code: status, output, lastLine: output.trimEnd().split('\n').at(-1) ?? '' }
  } finally {
    rmSync(root, { recursive: true })
  }
}

function runFixture(text: string): Run {
  return runFixtures({ 'fixture.test.ts': header + text })
}

test('a passing file passes', () => {
  const { code, lastLine } = runFixture(`test('a', () => {})\ntest('b', () => {})\ntest.run()\n`)
  assert.is(code, 0)
  assert.is(lastLine, '2 passed, 0 failed')
})

test('a failing test fails the run, and its message is shown', () => {
  const { code, lastLine, output } = runFixture(
    `test('a', () => {})\ntest('b', () => { throw new Error('marmalade') })\ntest.run()\n`,
  )
  assert.is(code, 1)
  assert.is(lastLine, '1 passed, 1 failed')
  assert.match(output, 'marmalade')
})

test('a throwing before hook fails the run', () => {
  const { code, lastLine } = runFixture(
    `test.before(() => { throw new Error('no') })\ntest('a', () => {})\ntest.run()\n`,
  )
  assert.is(code, 1)
  assert.is(lastLine, '0 passed, 1 failed')
})

test('a throwing after hook fails the run', () => {
  const { code } = runFixture(
    `test.after(() => { throw new Error('no') })\ntest('a', () => {})\ntest.run()\n`,
  )
  assert.is(code, 1)
})

test('a forgotten run() fails the run', () => {
  const { code, output } = runFixture(`test('a', () => {})\n`)
  assert.is(code, 1)
  assert.match(output, 'no summary')
})

test('a leftover .only fails the run, also when it is the only test', () => {
  for (const rest of ['', `test('b', () => {})\n`]) {
    const { code, output } = runFixture(`test${only}('a', () => {})\n${rest}test.run()\n`)
    assert.is(code, 1)
    assert.match(output, `contains ${only}`)
  }
})

test('an aliased .only fails the run by the count of skipped tests', () => {
  const { code, output } = runFixture(
    `const pick = test['${only.slice(1)}']\npick('a', () => {})\ntest('b', () => {})\ntest.run()\n`,
  )
  assert.is(code, 1)
  assert.match(output, '0 of them declared')
})

test('a test that hangs is killed with all its children, and fails the run', () => {
  const { code, output } = runFixture(
    `// @timeout 1.5
    import { spawn } from 'node:child_process'
    const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 20_000)'], { stdio: 'inherit' })
    console.log('child ' + child.pid)
    test('a', () => new Promise((done) => setTimeout(done, 20_000)))
    test.run()\n`,
  )
  assert.is(code, 1)
  assert.match(output, 'did not end within 1.5 s')
  const pid = Number(/child (\d+)/.exec(output)?.[1])
  assert.not(isRunning(pid), 'the child of the test is still there')
})

test('a test that blocks its thread is killed too', () => {
  const { code, output } = runFixture(
    `// @timeout 1.5\ntest('a', () => { const end = Date.now() + 20_000; while (Date.now() < end); })\ntest.run()\n`,
  )
  assert.is(code, 1)
  assert.match(output, 'did not end within 1.5 s')
})

test('a file that awaits for ever and so exits early fails the run', () => {
  const { code } = runFixture(`test('a', () => new Promise(() => {}))\ntest.run()\n`)
  assert.is(code, 1)
})

test('a crash after all tests have passed fails the run', () => {
  const crashes = [
    `setTimeout(() => process.exit(3), 50)`,
    `setTimeout(() => process.kill(process.pid, 'SIGKILL'), 50)`,
    `setTimeout(() => { throw new Error('late') }, 50)`,
    `setTimeout(() => Promise.reject(new Error('late')), 50)`,
  ]
  for (const crash of crashes) {
    const { code, lastLine } = runFixture(`test('a', () => {})\ntest.run()\n${crash}\n`)
    assert.is(code, 1)
    assert.is(lastLine, '1 passed, 1 failed')
  }
})

test('a file that passes but leaves something running fails the run', () => {
  const { code, lastLine, output } = runFixture(
    `// @timeout 1.5\ntest('a', () => {})\ntest.run()\nsetTimeout(() => {}, 20_000)\n`,
  )
  assert.is(code, 1)
  assert.match(output, 'did not end within 1.5 s')
  assert.is(lastLine, '1 passed, 1 failed')
})

test('process.exit(0) in mid-test fails the run', () => {
  const { code } = runFixture(`test('a', () => { process.exit(0) })\ntest.run()\n`)
  assert.is(code, 1)
})

test('a file without tests fails the run', () => {
  const { code, output } = runFixture(`test.run()\n`)
  assert.is(code, 1)
  assert.match(output, 'no test ran')
})

test('a file that does not build fails the run, and the others still run', () => {
  const { code, lastLine, output } = runFixtures({
    'broken.test.ts': `import { nothing } from './missing.ts'\nnothing()\n`,
    'good.test.ts': `${header}test('a', () => {})\ntest.run()\n`,
  })
  assert.is(code, 1)
  assert.match(output, 'does not build')
  assert.is(lastLine, '1 passed, 1 failed')
})

test('a filter that matches no file fails the run', () => {
  const { code, lastLine } = runFixtures(
    { 'a.test.ts': `${header}test('a', () => {})\ntest.run()\n` },
    'nothing-like-it',
  )
  assert.is(code, 1)
  assert.is(lastLine, '0 passed, 1 failed')
})

test('a bare skip fails the run', () => {
  const { code, output } = runFixture(`test('a', () => {})\ntest.skip('b', () => {})\ntest.run()\n`)
  assert.is(code, 1)
  assert.match(output, '1 tests skipped, 0 of them declared')
})

test('declared skips are counted apart and listed with their reason', () => {
  const { code, lastLine, output } = runFixture(
    `import { skipNow, skipUnless } from '../../test/support/skip.ts'
    skipUnless(test, 'no strace', 'traces', () => { throw new Error('must not run') })
    skipUnless(test, undefined, 'runs', () => {})
    test('finds out', () => skipNow('no loop device'))
    test.run()\n`,
  )
  assert.is(code, 0, output)
  assert.is(lastLine, '1 passed, 0 failed, 2 skipped')
  assert.match(output, 'traces (no strace)')
  assert.match(output, 'no loop device')
})

test('a file named by ?url is built beside the test', () => {
  const { code, lastLine, output } = runFixtures({
    'echo.worker.ts': `import { parentPort } from 'node:worker_threads'\nparentPort!.postMessage('from the file')\n`,
    'fixture.test.ts': `${header}
      import { once } from 'node:events'
      import { Worker } from 'node:worker_threads'
      import url from './echo.worker.ts?url'
      import * as assert from 'uvu/assert'
      test('a', async () => {
        const [message] = await once(new Worker(url), 'message')
        assert.is(message, 'from the file')
      })
      test.run()\n`,
  })
  assert.is(code, 0, output)
  assert.is(lastLine, '1 passed, 0 failed')
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    // A zombie is dead, it only waits for its parent to ask.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

test.run()
