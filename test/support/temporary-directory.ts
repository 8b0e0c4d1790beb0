import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const made: string[] = []

/** A fresh directory on the disk that holds the project, removed when the process exits. */
export function temporaryDirectory(): string {
  const base = join(process.cwd(), '.cache', 'tmp')
  mkdirSync(base, { recursive: true })
  const directory = mkdtempSync(join(base, 'log-'))
  if (made.length === 0) process.once('exit', removeAll)
  made.push(directory)
  return directory
}

function removeAll(): void {
  for (const directory of made) rmSync(directory, { recursive: true, force: true })
}
