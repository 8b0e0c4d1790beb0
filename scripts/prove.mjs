// Runs the proof, one part after the other: `node scripts/prove.mjs --ci | --full [--only PART…] [--seed N] [--record]`
//
// A part is a program, test/prove/<part>.ts, that prints what it does and reports through
// test/prove/support/report.ts what it counted and checked. A part that runs out of its time, ends with an exit code
// other than 0, reports nothing or checks nothing has failed, whatever else it says.
//
// --ci runs each part in the size for every change, --full in the large one. When nothing failed, a full run puts its
// counts into docs/verification.json, and docs/verification.md is made from it anew; a run in the small size does so
// with --record (or PROVE_RECORD=1). With --only these parts alone are run, and only their counts replaced.
//
// The last line is the sum of all checks, `N passed, N failed[, N skipped]`; .ci/run reads it.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { formatMessages } from 'esbuild'
import { projectDir, StandaloneBuild } from './lib/esbuild-plugin.mjs'
import { describeMachine, mergeResults } from './lib/prove-results.mjs'

/**
 * The parts in the order in which they run, and how many seconds each may take on an ordinary machine. Those that end
 * early leave the rest of their time to the long ones behind them. Without a number a part is left out.
 */
const PARTS = [
  { name: 'stress', ci: 40, full: 150 },
  { name: 'fsyncgate', ci: 70, full: 270 },
  { name: 'kills', ci: 80, full: 380 },
  { name: 'worker-deaths', ci: 100, full: 620 },
  { name: 'fault-sweep', ci: 110, full: 960 },
  { name: 'power-cuts', ci: 150, full: 560 },
  { name: 'damaged-logs', ci: 140, full: 600 },
  { name: 'crash-states', ci: 195, full: 1300 },
  { name: 'schedules', ci: 190, full: 950 },
  { name: 'mutants', full: 280 },
]

/** The most that all of them together may take. */
const TOTAL_SECONDS = { ci: 15 * 60, full: 90 * 60 }
/** The part of its time that a part is told it has: the rest is for its end. */
const BUDGET_PART = 0.9
/** A part that does not end may take so many times its share, before it is ended. */
const PATIENCE = 1.5
/** How long a part that is told to end may clean up. */
const KILL_AFTER_MS = 15_000

const { values: args, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ci: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    seed: { type: 'string' },
    // For the test of this script: other parts, and where their results go.
    parts: { type: 'string' },
    results: { type: 'string' },
  },
})
if (args.ci === args.full) usage('either --ci or --full')
const size = args.full ? 'full' : 'ci'
const only = [...args.only, ...positionals]
const { parts: table, directory } = await loadParts()
const unknown = only.find((name) => !table.some((part) => part.name === name))
if (unknown !== undefined) usage(`no part is called ${unknown}: ${table.map(({ name }) => name).join(', ')}`)
const parts = table.filter(({ name, [size]: seconds }) =>
  only.length === 0 ? seconds !== undefined : only.includes(name),
)

const cacheDir = join(projectDir, '.cache')
await mkdir(cacheDir, { recursive: true })
const runDir = await mkdtemp(join(cacheDir, 'prove-'))
/** @type {import('node:child_process').ChildProcess | undefined} */
let running
let isInterrupted = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    isInterrupted = true
    if (running !== undefined) endGroup(running)
  })
}

const startedAt = performance.now()
const results = []
try {
  const built = await buildParts()
  for (const part of parts) {
    if (isInterrupted) break
    results.push(await runPart(part, built.get(part.name)))
  }
} finally {
  await rm(runDir, { recursive: true, force: true })
}
if (isInterrupted) {
  console.log('interrupted')
  process.exitCode = 1
} else {
  await summarize()
}

function usage(message) {
  console.error(`${message}\nusage: node scripts/prove.mjs --ci | --full [--only PART…] [--seed N]`)
  process.exit(2)
}

async function loadParts() {
  if (args.parts === undefined) return { parts: PARTS, directory: join(projectDir, 'test', 'prove') }
  return await import(pathToFileURL(resolve(args.parts)).href)
}

/** All of them before the first begins, so that a change made meanwhile does not split the run. */
async function buildParts() {
  const build = new StandaloneBuild(runDir)
  const built = new Map()
  for (const { name } of parts) {
    const path = join(directory, `${name}.ts`)
    if (!existsSync(path)) built.set(name, { problem: `${path} is missing` })
    else {
      const outcome = build.build(path).then((script) => ({ script }), describeBuildFailure)
      built.set(name, await outcome)
    }
  }
  return built
}

async function describeBuildFailure(error) {
  const messages = error.errors
    ? await formatMessages(error.errors, { kind: 'error', color: false })
    : [error.stack]
  return { problem: `does not build\n${messages.join('')}` }
}

async function runPart({ name, [size]: seconds = Number.POSITIVE_INFINITY }, { script, problem }) {
  console.log(`\n== ${name}`)
  const partStartedAt = performance.now()
  const problems = []
  let report
  if (problem === undefined) {
    const leftSeconds = TOTAL_SECONDS[size] - (partStartedAt - startedAt) / 1000
    report = await runScript(name, script, shareOf(name, seconds, leftSeconds), leftSeconds, problems)
  } else {
    problems.push(problem)
  }
  const checks = report?.checks ?? []
  const passed = checks.filter((check) => check.passed && check.skipped === undefined).length
  const skipped = checks.filter((check) => check.skipped !== undefined).length
  // What failed although no check says so must still show.
  const failed = Math.max(checks.length - passed - skipped, problems.length > 0 ? 1 : 0)
  const took = Math.round((performance.now() - partStartedAt) / 1000)
  for (const text of problems) console.log(`FAILED: ${name} ${text}`)
  console.log(`== ${name}: ${passed} passed, ${failed} failed, ${skipped} skipped; ${took} s`)
  return { name, report, passed, failed, skipped, seconds: took }
}

/** How long a part may take: less than the table says when that would leave too little to those behind it. */
function shareOf(name, seconds, leftSeconds) {
  const rest = parts.slice(parts.findIndex((part) => part.name === name))
  const wanted = rest.reduce((total, { [size]: each = 0 }) => total + each, 0)
  return Math.min(seconds, (leftSeconds * seconds) / Math.max(wanted, leftSeconds))
}

/** Returns the report, if there is one, and adds to `problems` what is wrong beyond it. */
async function runScript(name, script, share, leftSeconds, problems) {
  const reportPath = join(runDir, `${name}.json`)
  const seconds = Math.min(share * PATIENCE, leftSeconds)
  const partArgs = args.full ? ['--full'] : []
  if (Number.isFinite(share)) partArgs.push('--seconds', String(Math.floor(share * BUDGET_PART)))
  if (args.seed !== undefined) partArgs.push('--seed', args.seed)
  const { code, signal, isLate } = await runProcess(script, partArgs, reportPath, Math.max(0, seconds))
  if (isLate) problems.push(`did not end within ${Math.round(seconds)} s`)
  else if (signal !== null) problems.push(`was ended by ${signal}`)
  const text = await readFile(reportPath, 'utf8').catch(() => undefined)
  if (text === undefined) {
    problems.push('reported nothing')
    return undefined
  }
  const report = JSON.parse(text)
  if (report.part !== name) problems.push(`reported as ${report.part}`)
  if (report.checks.length === 0) problems.push('checked nothing')
  const hasFailed = report.checks.some((check) => !check.passed && check.skipped === undefined)
  if (code !== null && code !== 0 && !hasFailed) problems.push(`ended with exit code ${code}`)
  return report
}

function runProcess(script, partArgs, reportPath, seconds) {
  return new Promise((done, reject) => {
    const child = spawn(process.execPath, ['--enable-source-maps', script, ...partArgs], {
      cwd: projectDir,
      // A process group of its own, so that it can be ended together with all that it started.
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, PROVE_RESULT: reportPath },
    })
    running = child
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      endGroup(child)
    }, seconds * 1000)
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      running = undefined
      signalGroup(child, 'SIGKILL')
      done({ code, signal, isLate })
    })
  })
}

/** Lets it clean up first: it may have mounted something. */
function endGroup(child) {
  signalGroup(child, 'SIGTERM')
  setTimeout(() => child === running && signalGroup(child, 'SIGKILL'), KILL_AFTER_MS).unref()
}

function signalGroup(child, signal) {
  try {
    process.kill(-child.pid, signal)
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

async function summarize() {
  const sum = (key) => results.reduce((total, result) => total + result[key], 0)
  console.log('\npart             passed  failed  skipped  seconds')
  for (const { name, passed, failed, skipped, seconds } of results) {
    const cells = [String(passed).padStart(6), String(failed).padStart(6), String(skipped).padStart(7)]
    console.log(`${name.padEnd(15)}  ${cells.join('  ')}  ${String(seconds).padStart(7)}`)
  }
  console.log(`total: ${Math.round((performance.now() - startedAt) / 1000)} s\n`)
  if (parts.length === 0) console.log('no part was run')
  const failed = parts.length === 0 ? 1 : sum('failed')
  process.exitCode = failed === 0 ? 0 : 1
  if ((args.full || args.record || process.env.PROVE_RECORD === '1') && failed === 0) await writeResults()
  const skipped = sum('skipped')
  console.log(`${sum('passed')} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
}

/** Puts the counts of this run where docs/verification.md is made from. */
async function writeResults() {
  const path = resolve(args.results ?? join(projectDir, 'docs', 'verification.json'))
  const before = existsSync(path) ? JSON.parse(await readFile(path, 'utf8')) : undefined
  const merged = mergeResults(before, results, size, describeMachine(), table)
  await writeFile(path, `${JSON.stringify(merged, undefined, 2)}\n`)
  if (args.results !== undefined) return
  runTool(join('node_modules', '@biomejs', 'biome', 'bin', 'biome'), 'format', '--write', path)
  runTool(join('scripts', 'run.mjs'), 'test/prove/support/write-page.ts')
}

function runTool(script, ...toolArgs) {
  const { status } = spawnSync(process.execPath, [script, ...toolArgs], { cwd: projectDir, stdio: 'inherit' })
  if (status !== 0) throw new Error(`${script} ended with ${status}`)
}
