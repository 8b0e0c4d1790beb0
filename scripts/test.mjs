// Runs the tests: `node scripts/test.mjs [substring…] [--root test] [--jobs 2] [--verbose]`
//
// Each test/**/*.test.ts is bundled and run in a process of its own. uvu is quick, but it also exits with 0 when a
// `before` hook throws, when `run()` was forgotten and when a `.only` was left behind, and it never times out.
// So its exit code is only one of the things looked at here: a file passes when it ends by itself and in time with
// exit code 0 and exactly one summary, in which at least one test ran, all passed, and every skipped one was
// declared through test/support/skip.ts.
//
// In its first ten lines a file may say `// @timeout 120` (seconds, 60 otherwise; TEST_TIMEOUT_SCALE=3 stretches
// all of them on a slow machine) and `// @serial` (nothing else runs beside it).

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { formatMessages } from 'esbuild'
import { projectDir, StandaloneBuild } from './lib/esbuild-plugin.mjs'

const { values: args, positionals: filters } = parseArgs({
  allowPositionals: true,
  options: {
    root: { type: 'string', default: join(projectDir, 'test') },
    jobs: { type: 'string', default: '2' },
    verbose: { type: 'boolean', default: false },
  },
})

const defaultTimeoutSeconds = 60
const timeoutScale = Number(process.env.TEST_TIMEOUT_SCALE ?? 1)
// How long the pipes of a test that has ended may stay open.
const drainMs = 2000
const runsDir = join(projectDir, '.cache', 'test')
const runDir = join(runsDir, `run-${process.pid}`)

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set()

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    for (const child of running) killGroup(child)
    process.exit(1)
  })
}

await removeStaleRuns()
const files = await findTests(resolve(args.root))
const build = new StandaloneBuild(runDir)
const results = []
try {
  // The longest first, so that none of them is left to run alone at the end.
  const together = files.filter((file) => !file.serial).sort((a, b) => b.timeoutSeconds - a.timeoutSeconds)
  const jobs = Array.from({ length: Number(args.jobs) }, async () => {
    for (let file = together.shift(); file !== undefined; file = together.shift()) await runAndReport(file)
  })
  await Promise.all(jobs)
  for (const file of files) if (file.serial) await runAndReport(file)
} finally {
  await rm(runDir, { recursive: true, force: true })
}
summarize()

async function runAndReport(file) {
  const result = await runFile(file)
  results.push(result)
  const { passed, failed, skips, seconds, problems, output } = result
  const counts = [
    `${passed} passed`,
    failed > 0 && `${failed} failed`,
    skips.length > 0 && `${skips.length} skipped`,
  ]
  const verdict = problems.length === 0 ? 'ok  ' : 'FAIL'
  console.log(`${verdict} ${file.name}  ${counts.filter(Boolean).join(', ')}  ${seconds.toFixed(1)} s`)
  for (const problem of problems) console.log(`     ${problem}`)
  if ((problems.length > 0 || args.verbose) && output.trim() !== '') console.log(indent(output))
}

async function runFile(file) {
  const startedAt = performance.now()
  const problems = []
  if (file.hasOnly) problems.push('contains .only')
  let outcome = { output: '', code: undefined }
  try {
    outcome = await runProcess(await build.build(file.path), file)
  } catch (error) {
    problems.push('does not build')
    const messages = error.errors
      ? await formatMessages(error.errors, { kind: 'error', color: false })
      : [error.stack]
    outcome.output = messages.join('')
  }
  if (outcome.code !== undefined) problems.push(...judgeExit(outcome, file))
  const counts = readCounts(outcome.output, problems)
  const seconds = (performance.now() - startedAt) / 1000
  const failed = counts.failed === 0 && problems.length > 0 ? 1 : counts.failed
  return { ...counts, failed, file, seconds, problems, output: outcome.output }
}

/** @returns {Promise<{ output: string, code: number | null, signal: string | null, timedOut: boolean }>} */
function runProcess(script, { timeoutSeconds }) {
  return new Promise((done, reject) => {
    const child = spawn(process.execPath, ['--enable-source-maps', script], {
      cwd: projectDir,
      // A process group of its own, so that it can be ended together with all that it started.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
    })
    running.add(child)
    const chunks = []
    child.stdout.on('data', (chunk) => chunks.push(chunk))
    child.stderr.on('data', (chunk) => chunks.push(chunk))
    let timedOut = false
    const timer = setTimeout(
      () => {
        timedOut = true
        killGroup(child)
      },
      timeoutSeconds * 1000 * timeoutScale,
    )
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      // Whatever it left behind would hold the pipes open, and must not disturb the next test.
      killGroup(child)
      running.delete(child)
      const finish = () => {
        clearTimeout(drainTimer)
        done({ output: Buffer.concat(chunks).toString('utf8'), code, signal, timedOut })
      }
      const drainTimer = setTimeout(finish, drainMs)
      child.once('close', finish)
    })
  })
}

function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

function judgeExit({ code, signal, timedOut }, { timeoutSeconds }) {
  if (timedOut) return [`did not end within ${timeoutSeconds * timeoutScale} s`]
  if (signal !== null) return [`was ended by ${signal}`]
  return code === 0 ? [] : [`exit code ${code}`]
}

/**
 * Reads what uvu and test/support/skip.ts printed, and adds to `problems` what does not fit together.
 */
function readCounts(output, problems) {
  const declared = lines(output, /^SKIP (.*)$/gm)
  const inside = lines(output, /^SKIP-INSIDE (.*)$/gm)
  const skips = [...declared, ...inside]
  const summaries = [...output.matchAll(/^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)$/gm)]
  if (summaries.length !== 1) {
    if (problems.length === 0) {
      problems.push(
        summaries.length === 0 ? 'no summary: was run() called?' : `${summaries.length} summaries`,
      )
    }
    return { passed: 0, failed: 0, skips }
  }
  const [total, passed, skipped] = summaries[0].slice(1).map(Number)
  if (passed !== total && problems.every((problem) => !problem.startsWith('exit code'))) {
    problems.push(
      `only ${passed} of ${total} tests passed (a hook threw? uvu hides its error and its exit code)`,
    )
  }
  if (total + skipped === 0) problems.push('no test ran')
  if (skipped !== declared.length) {
    problems.push(
      `${skipped} tests skipped, ${declared.length} of them declared through test/support/skip.ts`,
    )
  }
  if (inside.length > passed) problems.push(`${inside.length} skips inside of ${passed} passed tests`)
  return { passed: Math.max(0, passed - inside.length), failed: total - passed, skips }
}

function lines(output, pattern) {
  return Array.from(output.matchAll(pattern), ([, text]) => text)
}

function summarize() {
  const sum = (key) => results.reduce((total, result) => total + result[key], 0)
  const skips = results.flatMap(({ file, skips }) => skips.map((text) => `${file.name}: ${text}`))
  if (skips.length > 0) {
    console.log(`\n${skips.length} SKIPPED, and so NOT tested here:`)
    for (const skip of skips) console.log(`  ${skip}`)
  }
  const failures = results.filter(({ problems }) => problems.length > 0)
  if (failures.length > 0) {
    console.log('\nfailed:')
    for (const { file, problems } of failures) console.log(`  ${file.name}: ${problems.join('; ')}`)
  }
  if (files.length === 0) console.log('no test file matches')
  const passed = sum('passed')
  const failed = files.length === 0 ? 1 : sum('failed')
  console.log(`\n${passed} passed, ${failed} failed${skips.length > 0 ? `, ${skips.length} skipped` : ''}`)
  process.exitCode = failed > 0 || failures.length > 0 ? 1 : 0
}

async function findTests(root) {
  const found = []
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  for (const entry of entries) {
    if (!entry.isFile() || !entry.name.endsWith('.test.ts')) continue
    const path = join(entry.parentPath ?? entry.path, entry.name)
    const name = relative(projectDir, path)
    if (filters.length > 0 && !filters.some((filter) => name.includes(filter))) continue
    const text = await readFile(path, 'utf8')
    const head = text.split('\n', 10).join('\n')
    found.push({
      path,
      name,
      timeoutSeconds: Number(/^\/\/ @timeout (\d+(?:\.\d+)?)/m.exec(head)?.[1] ?? defaultTimeoutSeconds),
      serial: /^\/\/ @serial\b/m.test(head),
      hasOnly: /\.only\s*\(/.test(text),
    })
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** What a runner that was killed could not remove. */
async function removeStaleRuns() {
  await mkdir(runsDir, { recursive: true })
  for (const name of await readdir(runsDir)) {
    const pid = Number(/^run-(\d+)$/.exec(name)?.[1])
    if (pid > 0 && !isAlive(pid)) await rm(join(runsDir, name), { recursive: true, force: true })
  }
}

function isAlive(pid) {
  if (existsSync('/proc/self')) return existsSync(`/proc/${pid}`)
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function indent(text) {
  return text.trimEnd().replace(/^/gm, '     | ')
}
