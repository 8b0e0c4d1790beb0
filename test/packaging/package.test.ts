// @timeout 300
// The package as its users get it: packed, installed into an empty project, used there.

import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as esbuild from 'esbuild'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  installedPackages,
  installInto,
  listTarball,
  makeTempDir,
  packProject,
  projectDir,
  removeDir,
  run,
  runOrThrow,
  runScript,
} from './packed-project.ts'

const maxInstallBytes = 5_000_000
const maxPackageCount = 15

const test = suite('package')
let tempDir: string
let tarball: string
let esmProject: string
let cjsProject: string

interface HostResult {
  lsns: number[]
  payloads: string[]
  durableLsn: number
}

// The same program in both module systems: a host, two plain workers, and a pool of two.
const importEsm = (names: string, from: string) => `import { ${names} } from '${from}'\n`
const importCjs = (names: string, from: string) => `const { ${names} } = require('${from}')\n`

const hostBody = `
async function main() {
  const log = await openLog(process.argv[2])
  const workers = Array.from({ length: 2 }, (_, i) => {
    return new Worker(producerFile, { workerData: { handle: log.handle, name: 'worker' + i } })
  })
  const results = await Promise.all(workers.map((worker) => once(worker, 'message')))
  const lsns = results.flatMap(([message]) => message)
  const pool = createProducerPool(log, { filename: taskFile, maxThreads: 2 })
  lsns.push(...(await Promise.all(['pool0', 'pool1'].map((name) => pool.run(name)))))
  await pool.destroy()
  const payloads = []
  for (const record of log.read({ fromLsn: 1 })) payloads.push(Buffer.from(record.payload).toString())
  const durableLsn = log.durableLsn
  await log.close()
  console.log(JSON.stringify({ lsns, payloads, durableLsn }))
}
main()
`

const producerBody = `
async function main() {
  const { handle, name } = workerData
  const producer = connect(handle)
  const lsns = [producer.commitSync({ payload: name + ' sync' }).lsn]
  lsns.push((await producer.commit({ payload: name + ' promise' })).lsn)
  producer.close()
  parentPort.postMessage(lsns)
}
main()
`

const taskBody = (exports: string) => `
${exports} function task(name) {
  return connect().commitSync({ payload: name }).lsn
}
`

const nodeImports = (load: typeof importEsm) =>
  load('once', 'node:events') + load('Worker', 'node:worker_threads')
const hostImports = (load: typeof importEsm) =>
  nodeImports(load) + load('openLog', 'groupwal') + load('createProducerPool', 'groupwal/pool')
const producerImports = (load: typeof importEsm) =>
  load('parentPort, workerData', 'node:worker_threads') + load('connect', 'groupwal')

const siblingsEsm = (producer: string, task: string) =>
  `const producerFile = new URL('./${producer}', import.meta.url)\nconst taskFile = new URL('./${task}', import.meta.url)\n`
const siblingsCjs = (producer: string, task: string) =>
  `const producerFile = require.resolve('./${producer}')\nconst taskFile = require.resolve('./${task}')\n`

const programs: Record<string, string> = {
  'host.mjs': hostImports(importEsm) + siblingsEsm('producer.mjs', 'task.mjs') + hostBody,
  'host.cjs': hostImports(importCjs) + siblingsCjs('producer.cjs', 'task.cjs') + hostBody,
  'mixed-host.mjs': hostImports(importEsm) + siblingsEsm('producer.cjs', 'task.cjs') + hostBody,
  'mixed-host.cjs': hostImports(importCjs) + siblingsCjs('producer.mjs', 'task.mjs') + hostBody,
  'producer.mjs': producerImports(importEsm) + producerBody,
  'producer.cjs': producerImports(importCjs) + producerBody,
  'task.mjs': importEsm('connect', 'groupwal') + taskBody('export default'),
  'task.cjs': importCjs('connect', 'groupwal') + taskBody('module.exports ='),
}

test.before(() => {
  try {
    prepare()
  } catch (error) {
    // uvu fails the tests, but keeps the reason to itself.
    console.error(error)
    throw error
  }
})

function prepare(): void {
  tempDir = makeTempDir()
  tarball = packProject(tempDir)
  esmProject = join(tempDir, 'esm-project')
  cjsProject = join(tempDir, 'cjs-project')
  installInto(esmProject, tarball, 'module', programs)
  installInto(cjsProject, tarball, 'commonjs', programs)
}

test.after(() => {
  if (tempDir !== undefined) removeDir(tempDir)
})

let dataDirCount = 0
function newDataDir(): string {
  return join(tempDir, `data-${dataDirCount++}`)
}

function checkCommits(result: HostResult): void {
  assert.equal([...result.payloads].sort(), [
    'pool0',
    'pool1',
    'worker0 promise',
    'worker0 sync',
    'worker1 promise',
    'worker1 sync',
  ])
  assert.is(new Set(result.lsns).size, 6, 'each commit has its own LSN')
  assert.ok(result.durableLsn >= Math.max(...result.lsns))
}

for (const [kind, project, script] of [
  ['an empty ESM project', () => esmProject, 'host.mjs'],
  ['an empty CommonJS project', () => cjsProject, 'host.cjs'],
  ['an ESM host with CommonJS workers', () => esmProject, 'mixed-host.mjs'],
  ['a CommonJS host with ESM workers', () => cjsProject, 'mixed-host.cjs'],
] as const) {
  test(`two workers and a pool commit in ${kind}`, () => {
    checkCommits(runScript<HostResult>(script, [newDataDir()], project()))
  })
}

for (const format of ['esm', 'cjs'] as const) {
  test(`two workers and a pool commit in a host that was bundled into one ${format} file`, async () => {
    // Host, producer and pool task in one file: it is its own worker.
    const source = join(esmProject, `bundled-${format}.ts`)
    const self = format === 'esm' ? 'new URL(import.meta.url)' : '__filename'
    writeFileSync(
      source,
      `${hostImports(importEsm)}${importEsm('isMainThread, parentPort, workerData', 'node:worker_threads')}
      ${importEsm('connect', 'groupwal')}
      const producerFile = ${self}, taskFile = ${self}
      ${hostBody.replace(/main\(\)\s*$/, '').replace('main()', 'host()')}
      ${producerBody.replace(/main\(\)\s*$/, '').replace('main()', 'produce()')}
      ${taskBody('export default')}
      if (isMainThread) host()
      else if (workerData?.name !== undefined) produce()`,
    )
    const project = join(tempDir, `bundled-${format}`)
    mkdirSync(project)
    const outfile = join(project, format === 'esm' ? 'host.mjs' : 'host.cjs')
    await esbuild.build({
      entryPoints: [source],
      outfile,
      bundle: true,
      platform: 'node',
      format,
      minify: true,
      external: ['piscina'],
      logLevel: 'silent',
    })
    // What stays outside of the bundle is all that is installed beside it.
    cpSync(join(esmProject, 'node_modules'), join(project, 'node_modules'), { recursive: true })
    for (const name of ['groupwal', 'crc-32', 'commander'])
      rmSync(join(project, 'node_modules', name), { recursive: true })
    checkCommits(runScript<HostResult>(outfile, [newDataDir()], project))
  })
}

test('the command line of the package appends and dumps', () => {
  const command = join(esmProject, 'node_modules', '.bin', 'groupwal')
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  assert.match(runOrThrow(command, ['--version'], esmProject).stdout, version)
  const dataDir = newDataDir()
  runOrThrow(command, ['append', dataDir], esmProject, 'one\ntwo\nthree\n')
  const lines = runOrThrow(command, ['dump', dataDir], esmProject).stdout.trim().split('\n')
  assert.is(lines.length, 3)
  for (const line of lines) assert.type(JSON.parse(line).lsn, 'number')
})

test('importing groupwal alone loads neither piscina nor the lock library nor the command line', () => {
  const loaded = (load: string) =>
    `import { createRequire } from 'node:module'
    await import('${load}')
    const names = Object.keys(createRequire(import.meta.url).cache)
      .map((path) => /node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(path.replaceAll('\\\\', '/'))?.[1])
    console.log(JSON.stringify([...new Set(names)].filter(Boolean)))`
  const loadedCjs = `
    require('groupwal')
    const names = Object.keys(require.cache)
      .map((path) => /node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(path.replaceAll('\\\\', '/'))?.[1])
    console.log(JSON.stringify([...new Set(names)].filter(Boolean)))`
  writeFileSync(join(esmProject, 'loads.mjs'), loaded('groupwal'))
  writeFileSync(join(esmProject, 'loads-pool.mjs'), loaded('groupwal/pool'))
  writeFileSync(join(esmProject, 'loads.cjs'), loadedCjs)
  // The counterpart that shows that this way of looking sees what was loaded.
  assert.ok(runScript<string[]>('loads-pool.mjs', [], esmProject).includes('piscina'))
  for (const script of ['loads.mjs', 'loads.cjs']) {
    const names = runScript<string[]>(script, [], esmProject)
    assert.equal(
      names.filter((name) => name !== 'groupwal' && name !== 'crc-32'),
      [],
    )
  }
})

test('the runtime install stays small', () => {
  const packages = installedPackages(esmProject)
  const bytes = packages.reduce((sum, item) => sum + item.bytes, 0)
  const list = packages.map(({ name, bytes }) => `${name} ${bytes}`).join('\n')
  console.log(`\ninstall: ${packages.length} packages, ${(bytes / 1e6).toFixed(2)} MB`)
  assert.ok(packages.length <= maxPackageCount, list)
  assert.ok(bytes < maxInstallBytes, list)
})

test('the tarball holds what is built and the documents, and no install script', () => {
  const files = listTarball(tarball)
  const pages = readdirSync('docs').filter((name) => name.endsWith('.md'))
  const documents = [
    'package.json',
    'LICENSE',
    'README.md',
    'CHANGELOG.md',
    ...pages.map((name) => `docs/${name}`),
  ]
  // README links to them.
  assert.equal(
    documents.filter((path) => !files.includes(path)),
    [],
  )
  assert.equal(
    files.filter((path) => !path.startsWith('dist/') && !documents.includes(path)),
    [],
  )
  const manifest = JSON.parse(
    readFileSync(join(esmProject, 'node_modules/groupwal/package.json'), 'utf8'),
  ) as {
    scripts: Record<string, string>
  }
  for (const name of ['preinstall', 'install', 'postinstall', 'prepare'])
    assert.not(name in manifest.scripts, name)
})

test('the packed files name no folder of the machine that built them', () => {
  const dist = join(esmProject, 'node_modules/groupwal/dist')
  for (const name of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    if (!/\.(c?js|c?ts)$/.test(name)) continue
    assert.not(readFileSync(join(dist, name), 'utf8').includes(projectDir), name)
  }
})

test('publint finds nothing', () => {
  const { code, text } = run(process.execPath, [bin('publint'), tarball, '--strict'], projectDir)
  assert.is(code, 0, text)
})

test('the types resolve from ESM and CommonJS', () => {
  const { code, text } = run(
    process.execPath,
    [bin('attw'), tarball, '--profile', 'node16', '--format', 'ascii'],
    projectDir,
  )
  assert.is(code, 0, text)
})

test('the declarations are right by themselves, library check included', () => {
  const source = `import { connect, openLog } from 'groupwal'
    import { createProducerPool } from 'groupwal/pool'
    export async function main(dir: string): Promise<number> {
      const log = await openLog(dir)
      const pool = createProducerPool(log, { filename: 'task.js', maxThreads: 2 })
      const lsn: number = connect(log.handle).commitSync({ payload: 'x' }).lsn
      await pool.destroy()
      await log.close()
      return lsn
    }\n`
  for (const project of [esmProject, cjsProject]) {
    writeFileSync(join(project, 'consumer.ts'), source)
    const compiler = { strict: true, noEmit: true, module: 'nodenext', target: 'es2022', skipLibCheck: false }
    writeFileSync(
      join(project, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          ...compiler,
          lib: ['es2022', 'es2024.sharedmemory', 'esnext.disposable'],
          types: ['node'],
          typeRoots: [join(projectDir, 'node_modules/@types')],
        },
        files: ['consumer.ts'],
      }),
    )
    const { code, text } = run(process.execPath, [bin('tsc'), '-p', project], projectDir)
    assert.is(code, 0, text)
  }
})

function bin(name: string): string {
  return join(projectDir, 'node_modules', '.bin', name)
}

test.run()
