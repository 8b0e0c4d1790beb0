import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { EXPLORATIONS } from '../model/configurations.ts'
import { buildExplored, explore } from '../model/explorer.ts'
import { type Change, copySource } from '../support/mutate.ts'
import type { ExplorationKiller, Mutant, TestKiller } from './mutant.ts'

/** What became of test files under a mutant. */
export interface TestRun {
  /** Names of the tests that failed. */
  failed: string[]
  /** Why the file as a whole was no success, in the runner's words: it hung, it did not build, … */
  problems: string[]
  output: string
}

/** A mutant that hangs is given up after this part of the file's own time. */
const TIMEOUT_SCALE = '0.5'
const EXPLORATION_MS = 60_000

/** Undefined when the mutant is killed by what it names, else what is wrong. */
export function surviveReason(mutant: Mutant): Promise<string | undefined> {
  const { killedBy } = mutant
  return 'exploration' in killedBy ? surviveExploration(mutant, killedBy) : surviveTest(mutant, killedBy)
}

async function surviveTest(mutant: Mutant, killer: TestKiller): Promise<string | undefined> {
  const { failed, problems, output } = await runTests([killer.file], mutant.edits)
  if (failed.some((name) => name.includes(killer.test))) return undefined
  if (killer.endsFile && failed.length === 0 && problems.some(isEnd)) return undefined
  const why = problems.length === 0 ? 'every test passed' : problems.join('; ')
  return `not killed by “${killer.test}” (${why})\n${output}`
}

async function surviveExploration(
  { edits }: Mutant,
  { exploration: name }: ExplorationKiller,
): Promise<string | undefined> {
  const exploration = EXPLORATIONS.find((each) => each.name === name)!
  const build = await buildExplored(edits)
  const { failure, schedules } = explore(exploration, build, { budgetMs: EXPLORATION_MS, seed: 1 })
  return failure === undefined ? `not killed in ${schedules} schedules of “${name}”` : undefined
}

function isEnd(problem: string): boolean {
  return /^(did not end within|exit code|was ended by)/.test(problem)
}

/** Undefined when the test files that kill these pass as long as nothing is broken: else it proves nothing that they fail. */
export async function baselineReason(mutants: readonly Mutant[]): Promise<string | undefined> {
  const files = new Set(mutants.flatMap(({ killedBy }) => ('file' in killedBy ? [killedBy.file] : [])))
  if (files.size === 0) return undefined
  const { failed, problems, output } = await runTests([...files], [])
  return failed.length + problems.length === 0 ? undefined : output
}

/** Runs test files, with the project's own runner, upon a copy of the source in which these changes are made. */
export async function runTests(files: readonly string[], edits: readonly Change[]): Promise<TestRun> {
  const root = copySource(...edits)
  try {
    const child = spawn(process.execPath, ['scripts/test.mjs', ...files], {
      cwd: root,
      env: { ...process.env, TEST_TIMEOUT_SCALE: TIMEOUT_SCALE },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [output] = await Promise.all([text(child.stdout), once(child, 'close')])
    return readRun(output)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

/** What no longer fits to the source, or undefined: a text that is not there once, or a test that is not there. */
export function staleReason({ edits, killedBy }: Mutant): string | undefined {
  for (const { file, find } of edits) {
    const count = readFileSync(file, 'utf8').split(find).length - 1
    if (count !== 1) return `found ${count} times in ${file}: ${find}`
  }
  if ('exploration' in killedBy) {
    const isThere = EXPLORATIONS.some(({ name }) => name === killedBy.exploration)
    return isThere ? undefined : `no exploration is called ${killedBy.exploration}`
  }
  const names = testNames(killedBy.file)
  return names.some((name) => name.includes(killedBy.test)) ? undefined : `${killedBy.file} has no such test`
}

/** Names of the tests of a file, as far as they are written down there. */
export function testNames(file: string): string[] {
  const source = readFileSync(file, 'utf8')
  return Array.from(
    source.matchAll(/\b(?:test|skipUnless)\(\s*(?:[\w.() ]+,\s*)*(['"`])(.*?)\1/gs),
    ([, , name]) => name!,
  )
}

function readRun(output: string): TestRun {
  const failed = Array.from(output.matchAll(/^ +\| +FAIL +"(.*)"$/gm), ([, name]) => name)
  const problems = Array.from(output.matchAll(/^ {5}([^ |].*)$/gm), ([, problem]) => problem)
  return { failed, problems, output }
}
