// Builds one TypeScript file and runs it: `node scripts/run.mjs bench/commits.ts [its arguments…]`

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { projectDir, StandaloneBuild } from './lib/esbuild-plugin.mjs'

const [entry, ...args] = process.argv.slice(2)
if (entry === undefined) {
  console.error('usage: node scripts/run.mjs FILE.ts [argument…]')
  process.exit(2)
}
const cacheDir = join(projectDir, '.cache')
mkdirSync(cacheDir, { recursive: true })
const outDir = mkdtempSync(join(cacheDir, 'run-'))
try {
  const script = await new StandaloneBuild(outDir).build(resolve(entry))
  const { status } = spawnSync(process.execPath, ['--enable-source-maps', script, ...args], {
    stdio: 'inherit',
  })
  process.exitCode = status ?? 1
} finally {
  rmSync(outDir, { recursive: true, force: true })
}
