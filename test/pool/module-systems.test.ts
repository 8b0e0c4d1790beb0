// Host and workers of different module systems hold different copies of groupwal, and so do bundles.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as esbuild from 'esbuild'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { buildLibrary } from '../support/built-library.ts'

let directory: string

test.before(() => {
  directory = dirname(buildLibrary())
  writeFileSync(join(directory, 'host.mjs'), asEsm(hostImports) + hostBody)
  writeFileSync(join(directory, 'host.cjs'), asCjs(hostImports) + hostBody)
  writeFileSync(join(directory, 'task.mjs'), `${asEsm(taskImports)}export default ${taskBody}`)
  writeFileSync(join(directory, 'task.cjs'), `${asCjs(taskImports)}module.exports = ${taskBody}`)
})

const hostImports = [
  ['openLog, CommitFailedError, GroupWalError', 'index'],
  ['createProducerPool', 'pool'],
] as const
const taskImports = [['connect, CommitFailedError', 'index']] as const

type Imports = readonly (readonly [names: string, entry: string])[]

function asEsm(imports: Imports): string {
  const own = imports.map(([names, entry]) => `import { ${names} } from './dist/esm/${entry}.js'\n`).join('')
  return `${own}import { workerData } from 'node:worker_threads'\n`
}

function asCjs(imports: Imports): string {
  // Taken before groupwal is loaded: it must be the application's own by then.
  const data = `const { workerData } = require('node:worker_threads')\n`
  return (
    data +
    imports.map(([names, entry]) => `const { ${names} } = require('./dist/cjs/${entry}.cjs')\n`).join('')
  )
}

const hostBody = `
async function main() {
  const [, , data, filename] = process.argv
  const log = await openLog(data)
  const pool = createProducerPool(log, { filename, maxThreads: 1, workerData: ['mine'] })
  const told = await pool.run('commit')
  const e = await pool.run('fail').catch((error) => error)
  const { code, outcome, lsn, cause } = e
  const seen = { instance: e instanceof CommitFailedError, is: GroupWalError.is(e), code, outcome, lsn, cause: cause.code }
  await pool.close()
  await log.close()
  console.log(JSON.stringify({ told, seen }))
}
void main()
`

const taskBody = `function task(what) {
  if (what === 'commit') return { lsn: connect().commitSync({ payload: what }).lsn, workerData }
  const cause = Object.assign(new Error('full'), { code: 'ENOSPC' })
  throw new CommitFailedError('not durable', { outcome: 'not-written', lsn: 9, cause })
}
`

function check(host: string, task: string, temporary: string): void {
  const data = mkdtempSync(join(directory, 'data-'))
  const { status, stdout, stderr } = spawnSync(process.execPath, [host, data, task], {
    encoding: 'utf8',
    env: { ...process.env, TMPDIR: temporary },
  })
  assert.is(status, 0, stderr)
  assert.equal(JSON.parse(stdout), {
    told: { lsn: 1, workerData: ['mine'] },
    seen: {
      instance: true,
      is: true,
      code: 'GROUPWAL_COMMIT_FAILED',
      outcome: 'not-written',
      lsn: 9,
      cause: 'ENOSPC',
    },
  })
}

for (const host of ['host.mjs', 'host.cjs']) {
  for (const task of ['task.mjs', 'task.cjs']) {
    test(`errors and workerData survive between ${host} and ${task}`, () =>
      // Our own file is used: one for temporary files could not be written.
      check(join(directory, host), join(directory, task), join(directory, 'nowhere')))
  }
}

for (const format of ['esm', 'cjs'] as const) {
  test(`a host bundled into one ${format} file starts the pool, and leaves no file behind`, async () => {
    const home = mkdtempSync(join(directory, 'bundle-'))
    const outfile = join(home, format === 'esm' ? 'host.mjs' : 'host.cjs')
    const source = join(directory, format === 'esm' ? 'host.mjs' : 'host.cjs')
    await esbuild.build({
      entryPoints: [source],
      outfile,
      bundle: true,
      platform: 'node',
      format,
      external: ['piscina'],
      logLevel: 'silent',
    })
    // Somebody else's file where ours would stand.
    for (const name of ['pool-entry.js', 'pool-entry.cjs'])
      writeFileSync(join(home, name), 'throw new Error("not ours")')
    const temporary = mkdtempSync(join(directory, 'tmp-'))
    check(outfile, join(directory, 'task.cjs'), temporary)
    assert.equal(readdirSync(temporary), [])
  })
}

test.run()
