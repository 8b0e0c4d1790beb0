import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A change of the production code. */
export interface Change {
  /** What it breaks, as a sentence, where it is not said elsewhere. */
  name?: string
  /** File below the project's root. */
  file: string
  /** Stands in the file exactly once, so that the list keeps in step with the code. */
  find: string
  replace: string
}

/** What a build and a test run need. */
const COPIED = ['src', 'workers', 'scripts', 'test', 'package.json', 'tsconfig.json']

/** A copy of the source tree in which these changes are made. The caller removes it. */
export function copySource(...changes: readonly Change[]): string {
  const base = join(process.cwd(), '.cache', 'mutants')
  mkdirSync(base, { recursive: true })
  // Below the project, where packages are found.
  const root = mkdtempSync(join(base, 'mutant-'))
  try {
    for (const name of COPIED) cpSync(name, join(root, name), { recursive: true })
    for (const change of changes) applyChange(root, change)
    return root
  } catch (error) {
    rmSync(root, { recursive: true, force: true })
    throw error
  }
}

/** The text of the change's file with the change in it. */
export function changeText(text: string, { name = 'a change', file, find, replace }: Change): string {
  const parts = text.split(find)
  if (parts.length !== 2) throw new Error(`${name}: found ${parts.length - 1} times in ${file}: ${find}`)
  return parts.join(replace)
}

function applyChange(root: string, change: Change): void {
  const path = join(root, change.file)
  writeFileSync(path, changeText(readFileSync(path, 'utf8'), change))
}
