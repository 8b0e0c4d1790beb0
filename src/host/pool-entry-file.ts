import { source } from 'groupwal:worker/pool-entry'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import builtUrl from '../../workers/pool-entry.ts?url'

/** Stands in workers/pool-entry.ts. */
const ENTRY_MARK = 'groupwal pool entry 1'

let path: string | undefined

/**
 * Path of the file that piscina loads in each worker. In a host that was bundled into one file there is no file of
 * ours beside it, and piscina takes nothing but files: then it is written to a folder for temporary files, of this
 * process alone, and removed when the process exits.
 */
export function poolEntryPath(): string {
  path ??= builtEntryPath() ?? writeEntry()
  return path
}

function builtEntryPath(): string | undefined {
  try {
    const built = fileURLToPath(builtUrl)
    // In a bundle the address may by chance be that of somebody else's file.
    return existsSync(built) && readFileSync(built, 'utf8').includes(ENTRY_MARK) ? built : undefined
  } catch {
    // no file: URL (a bundle run from memory)
    return undefined
  }
}

function writeEntry(): string {
  const directory = mkdtempSync(join(tmpdir(), 'groupwal-'))
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
  const file = join(directory, 'pool-entry.cjs')
  writeFileSync(file, source, { mode: 0o600 })
  return file
}
