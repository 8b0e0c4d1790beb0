import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

/** A change of the production code. */
export interface Change {
  /** What it breaks, as a sentence. */
  name: string
  /** File below the project's root. */
  file: string
  /** Stands in the file exactly once, so that the list keeps in step with the code. */
  find: string
  replace: string
}

/** A change that a test has to notice. */
export interface Mutation extends Change {
  /** The test that fails under it: its file, and a part of its name. */
  killedBy: { file: string; test: string }
}

/** What became of a test file under a mutation. */
export interface MutantRun {
  /** Names of the tests that failed. */
  failed: string[]
  /** Why the file as a whole was no success, in the runner's words: it hung, it did not build, … */
  problems: string[]
  output: string
}

/** What a build and a test run need. */
const COPIED = ['src', 'workers', 'scripts', 'test', 'package.json', 'tsconfig.json']
/** A mutant that hangs is given up after this part of the file's own time. */
const TIMEOUT_SCALE = '0.5'

/**
 * Runs one test file, with the project's own runner, upon a copy of the source tree in which the mutation is made:
 * so it is in the embedded workers, too. Without a mutation it runs the copy as it is.
 */
export async function runMutant(mutation: Mutation | undefined, testFile: string): Promise<MutantRun> {
  const root = copySource(mutation)
  try {
    const child = spawn(process.execPath, ['scripts/test.mjs', testFile], {
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

/** A copy of the source tree in which these mutations are made. The caller removes it. */
export function copySource(...mutations: (Change | undefined)[]): string {
  const base = join(process.cwd(), '.cache', 'mutants')
  mkdirSync(base, { recursive: true })
  // Below the project, where packages are found.
  const root = mkdtempSync(join(base, 'mutant-'))
  try {
    for (const name of COPIED) cpSync(name, join(root, name), { recursive: true })
    for (const mutation of mutations) if (mutation !== undefined) applyMutation(root, mutation)
    return root
  } catch (error) {
    rmSync(root, { recursive: true, force: true })
    throw error
  }
}

/** Undefined when the mutation is noticed as it says, else what is wrong. */
export async function surviveReason(mutation: Mutation): Promise<string | undefined> {
  const { failed, problems, output } = await runMutant(mutation, mutation.killedBy.file)
  if (failed.some((name) => name.includes(mutation.killedBy.test))) return undefined
  const why = problems.length === 0 ? 'every test passed' : problems.join('; ')
  return `${mutation.name}: not killed by "${mutation.killedBy.test}" (${why})\n${output}`
}

function applyMutation(root: string, { name, file, find, replace }: Change): void {
  const path = join(root, file)
  const parts = readFileSync(path, 'utf8').split(find)
  if (parts.length !== 2) throw new Error(`${name}: found ${parts.length - 1} times in ${file}: ${find}`)
  writeFileSync(path, parts.join(replace))
}

function readRun(output: string): MutantRun {
  const failed = Array.from(output.matchAll(/^ +\| +FAIL +"(.*)"$/gm), ([, name]) => name)
  const problems = Array.from(output.matchAll(/^ {5}([^ |].*)$/gm), ([, problem]) => problem)
  return { failed, problems, output }
}
