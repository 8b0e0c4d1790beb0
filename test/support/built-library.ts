import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory } from './temporary-directory.ts'

/** Builds the library as it is published, without declarations; returns the folder, which is removed at the end. */
export function buildLibrary(): string {
  // Inside of the project, so that its packages are found from there.
  const home = temporaryDirectory()
  const dist = join(home, 'dist')
  const build = ['scripts/build.mjs', '--no-types', '--out-dir', dist]
  const { status, stdout, stderr } = spawnSync(process.execPath, build, { encoding: 'utf8' })
  if (status !== 0) {
    rmSync(home, { recursive: true, force: true })
    throw new Error(`the build failed:\n${stdout}${stderr}`)
  }
  return dist
}
