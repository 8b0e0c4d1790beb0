// Builds the library: `node scripts/build.mjs [--out-dir dist] [--no-types]`
//
//   dist/esm/index.js  pool.js  cli.js  <worker>.js  chunk-*.js   + *.d.ts
//   dist/cjs/index.cjs pool.cjs <worker>.cjs chunk-*.cjs          + *.d.cts
//
// All outputs of a format stand in one folder, so that any of them finds a sibling by './name.js'. The CommonJS
// files are made from the ES modules one by one: bundling them anew would give index and pool a copy each of
// what they share (esbuild splits only ES modules).

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import * as esbuild from 'esbuild'
import { buildWasm } from './build-wasm.mjs'
import { commonOptions, groupwalPlugin, projectDir } from './lib/esbuild-plugin.mjs'

const { values: args } = parseArgs({
  options: {
    'out-dir': { type: 'string', default: 'dist' },
    'no-types': { type: 'boolean', default: false },
  },
})
const outDir = resolve(args['out-dir'])
const esmDir = join(outDir, 'esm')
const cjsDir = join(outDir, 'cjs')

const relativeSpecifier = /((?:from|import|import\()\s*["'])(\.\.?\/[^"']+\.ts)(?=["'])/g
const swapExtension = (extension) => (_, before, specifier) => before + specifier.replace(/\.ts$/, extension)

// Workers that exist as files too, for whoever names them with `?url`.
const workerFiles = ['producer', 'pool-entry']

const startedAt = performance.now()
try {
  await buildWasm()
  await rm(outDir, { recursive: true, force: true })
  await Promise.all([buildCode(), args['no-types'] ? undefined : buildTypes()])
  const seconds = (performance.now() - startedAt) / 1000
  console.log(`built ${relative(process.cwd(), outDir) || '.'} in ${seconds.toFixed(1)} s`)
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}

async function buildCode() {
  await buildEsm()
  await buildCjs()
}

async function buildEsm() {
  const entryPoints = {
    index: 'src/index.ts',
    pool: 'src/pool.ts',
    cli: 'src/cli/main.ts',
    ...Object.fromEntries(workerFiles.map((name) => [name, `workers/${name}.ts`])),
  }
  const urlOf = (path) => {
    const name = relative(join(projectDir, 'workers'), path).replace(/\.ts$/, '')
    if (!workerFiles.includes(name)) {
      throw new Error(
        `${relative(projectDir, path)}?url: only ${workerFiles.join(', ')} in workers/ are files of the library`,
      )
    }
    // Bundled once more, into CommonJS, there is no import.meta.url: the file cannot be found then, but its absence
    // must not hurt before somebody needs it.
    return `new URL('./${name}.js', import.meta.url ?? 'file:///')`
  }
  const { metafile } = await run({
    ...commonOptions,
    entryPoints,
    outdir: esmDir,
    format: 'esm',
    splitting: true,
    chunkNames: 'chunk-[hash]',
    packages: 'external',
    plugins: [groupwalPlugin({ urlOf })],
  })
  await hideNativeImports(Object.keys(metafile.outputs).map((path) => join(projectDir, path)))
  const cli = join(esmDir, 'cli.js')
  const text = await readFile(cli, 'utf8')
  if (!text.startsWith('#!')) await writeFile(cli, `#!/usr/bin/env node\n${text}`)
  await chmod(cli, 0o755)
}

/**
 * The native package finds its binary beside its own files, so it must not become a part of somebody's bundle.
 * A bundler leaves an import alone when it cannot tell what is imported.
 */
async function hideNativeImports(paths) {
  for (const path of paths) {
    const text = await readFile(path, 'utf8')
    const hidden = text.replaceAll(
      'import("fs-native-extensions")',
      'import(["fs", "native", "extensions"].join("-"))',
    )
    if (/["']fs-native-extensions["']\)/.test(hidden)) {
      throw new Error(
        `${relative(outDir, path)}: fs-native-extensions must be loaded by await import('fs-native-extensions')`,
      )
    }
    if (hidden !== text) await writeFile(path, hidden)
  }
}

/** Each ES module, but for the CLI, once more as CommonJS. */
async function buildCjs() {
  const names = await reachableModules(['index.js', 'pool.js', ...workerFiles.map((name) => `${name}.js`)])
  await run({
    ...commonOptions,
    bundle: false,
    entryPoints: names.map((name) => join(esmDir, name)),
    outdir: cjsDir,
    outExtension: { '.js': '.cjs' },
    format: 'cjs',
    define: { 'import.meta.url': 'importMetaUrl' },
  })
  for (const name of names) {
    const path = join(cjsDir, name.replace(/\.js$/, '.cjs'))
    let text = await readFile(path, 'utf8')
    text = text.replace(/(["'`])(\.\/[\w-]+)\.js\1/g, '$1$2.cjs$1')
    if (text.includes('importMetaUrl')) {
      const shim = "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;\n"
      text = text.startsWith('"use strict";\n')
        ? text.replace('"use strict";\n', (line) => line + shim)
        : shim + text
    }
    await writeFile(path, text)
  }
}

/** File names in `esmDir` that the given ones import, themselves included. */
async function reachableModules(entries) {
  const names = new Set(entries)
  for (const name of names) {
    const text = await readFile(join(esmDir, name), 'utf8')
    for (const [, , other] of text.matchAll(/(["'`])\.\/([\w-]+\.js)\1/g)) {
      if (existsSync(join(esmDir, other))) names.add(other)
    }
  }
  return [...names]
}

/** Declarations by tsc, of which only those that the entries reach are shipped. */
async function buildTypes() {
  await mkdir(join(projectDir, '.cache'), { recursive: true })
  const typesDir = await mkdtemp(join(projectDir, '.cache', 'types-'))
  try {
    const tsc = join(projectDir, 'node_modules', 'typescript', 'bin', 'tsc')
    await promisify(execFile)(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', typesDir], {
      cwd: projectDir,
    })
    const reached = new Map()
    const pending = ['index.d.ts', 'pool.d.ts']
    for (const name of pending) {
      const text = await readFile(join(typesDir, name), 'utf8')
      // It would name a module that exists only inside of our build.
      if (/["']groupwal:/.test(text)) throw new Error(`${name} re-exports an import of groupwal:…`)
      reached.set(name, text)
      for (const [, , specifier] of text.matchAll(relativeSpecifier)) {
        const other = join(dirname(name), specifier.replace(/\.ts$/, '.d.ts'))
        if (!pending.includes(other)) pending.push(other)
      }
    }
    for (const [name, text] of reached) {
      await writeTypes(join(esmDir, name), text.replace(relativeSpecifier, swapExtension('.js')))
      await writeTypes(
        join(cjsDir, name.replace(/\.d\.ts$/, '.d.cts')),
        text.replace(relativeSpecifier, swapExtension('.cjs')),
      )
    }
  } catch (error) {
    // tsc prints its findings on standard output, which the message of execFile leaves out.
    throw new Error(`declarations failed: ${error.message}\n${error.stdout ?? ''}`, { cause: error })
  } finally {
    await rm(typesDir, { recursive: true, force: true })
  }
}

async function writeTypes(path, text) {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
}

async function run(options) {
  const result = await esbuild.build({ ...options, metafile: true }).catch(async (error) => {
    const messages = await esbuild.formatMessages(error.errors ?? [], { kind: 'error', color: false })
    throw new Error(messages.join('') || error.message)
  })
  const warnings = await esbuild.formatMessages(result.warnings, { kind: 'warning', color: false })
  if (warnings.length > 0) console.error(warnings.join(''))
  return result
}
