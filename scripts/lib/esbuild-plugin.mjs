// Resolves the imports that only our build understands:
//
//   groupwal:worker/<name>   the bundled source text of workers/<name>.ts, as a string
//   groupwal:version         the version in package.json
//   <path>.ts?url            where the built form of that file stands at run time
//
// Workers are embedded as text because a file beside the library is lost as soon as somebody bundles the host
// application, runs it under Plug'n'Play, or starts it with a preload that workers would inherit.

import { readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { basename, dirname, extname, join, relative, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import * as esbuild from 'esbuild'

export const projectDir = fileURLToPath(new URL('../..', import.meta.url)).replace(/[/\\]$/, '')

/** What every bundle of ours has in common. */
export const commonOptions = {
  absWorkingDir: projectDir,
  bundle: true,
  platform: 'node',
  target: 'node20.15',
  charset: 'utf8',
  logLevel: 'silent',
  legalComments: 'inline',
}

const builtins = new Set([...builtinModules, ...builtinModules.map((name) => `node:${name}`)])

/**
 * @param {object} options
 * @param {(path: string) => string} options.urlOf  JavaScript expression that gives the URL of the built form
 *   of the TypeScript file at this absolute path
 * @returns {esbuild.Plugin}
 */
export function groupwalPlugin({ urlOf }) {
  return {
    name: 'groupwal',
    setup(build) {
      build.onResolve({ filter: /^groupwal:(worker\/|version$)/ }, ({ path }) => ({
        path: path.slice('groupwal:'.length),
        namespace: 'groupwal',
        // Lets a host that uses no worker (a mere producer) drop the text.
        sideEffects: false,
      }))
      build.onLoad({ filter: /^worker\//, namespace: 'groupwal' }, async ({ path }) => {
        const worker = await bundleWorker(path.slice('worker/'.length))
        return { ...exportBoth('source', JSON.stringify(worker.source)), watchFiles: worker.inputs }
      })
      build.onLoad({ filter: /^version$/, namespace: 'groupwal' }, () => {
        const { version } = JSON.parse(readFileSync(join(projectDir, 'package.json'), 'utf8'))
        return exportBoth('version', JSON.stringify(version))
      })
      build.onResolve({ filter: /\?url$/ }, ({ path, resolveDir }) => ({
        // Relative, because esbuild writes it into the output as a comment.
        path: relative(projectDir, resolve(resolveDir, path.slice(0, -'?url'.length))),
        namespace: 'groupwal-url',
        sideEffects: false,
      }))
      build.onLoad({ filter: /./, namespace: 'groupwal-url' }, ({ path }) =>
        exportBoth('url', urlOf(join(projectDir, path))),
      )
    },
  }
}

/** A dynamic import from CommonJS must use the named export: Node wraps the default one once more. */
function exportBoth(name, expression) {
  return { contents: `export const ${name} = ${expression}\nexport default ${name}\n`, loader: 'js' }
}

const bundledWorkers = new Map()

function bundleWorker(name) {
  let worker = bundledWorkers.get(name)
  if (worker === undefined) {
    worker = buildWorker(name)
    bundledWorkers.set(name, worker)
  }
  return worker
}

async function buildWorker(name) {
  const result = await esbuild.build({
    ...commonOptions,
    entryPoints: [join(projectDir, 'workers', `${name}.ts`)],
    format: 'cjs',
    // A worker that is started from text resolves packages from the working directory of the process, where
    // ours need not exist: so all of them are bundled, but for the native one.
    external: ['fs-native-extensions'],
    define: { 'process.env.NODE_ENV': '"production"' },
    write: false,
    metafile: true,
    outfile: `${name}.cjs`,
    plugins: [
      groupwalPlugin({
        urlOf: (path) => {
          throw new Error(`${relative(projectDir, path)}?url: an embedded worker has no files beside it`)
        },
      }),
    ],
  })
  for (const output of Object.values(result.metafile.outputs)) {
    for (const { path, kind, external } of output.imports) {
      if (external && !builtins.has(path) && kind !== 'dynamic-import') {
        throw new Error(`workers/${name}.ts is started from text and cannot load the package ${path}`)
      }
    }
  }
  return {
    // The name under which its stack traces appear, instead of "[worker eval]".
    source: `${result.outputFiles[0].text}\n//# sourceURL=groupwal-${name}.cjs\n`,
    inputs: Object.keys(result.metafile.inputs).map((path) => join(projectDir, path)),
  }
}

/**
 * Builds TypeScript files so that each runs on its own, and every file that they name with `?url` too.
 * Packages stay outside; the outputs mirror the source tree below `outDir`.
 */
export class StandaloneBuild {
  #outDir
  /** @type {Map<string, { promise: Promise<void>, named: Set<string> }>} by absolute source path */
  #entries = new Map()

  /** @param {string} outDir must lie inside the project, or the packages are not found */
  constructor(outDir) {
    this.#outDir = outDir
  }

  outputOf(entry) {
    const path = relative(projectDir, entry)
    return join(this.#outDir, dirname(path), `${basename(path, extname(path))}.mjs`)
  }

  /**
   * Builds `entry` and all it names, and rejects when any of them does not build.
   *
   * @param {string} entry absolute path
   * @returns {Promise<string>} path of the built file
   */
  async build(entry) {
    // A file may name itself (a test that is its own worker), so the set is walked and not recursed into.
    const needed = new Set([entry])
    for (const path of needed) {
      const { promise, named } = this.#start(path)
      await promise
      for (const other of named) needed.add(other)
    }
    return this.outputOf(entry)
  }

  #start(entry) {
    let started = this.#entries.get(entry)
    if (started === undefined) {
      const named = new Set()
      const urlOf = (path) => {
        named.add(path)
        return `new URL(${JSON.stringify(pathToFileURL(this.outputOf(path)).href)})`
      }
      const promise = esbuild
        .build({
          ...commonOptions,
          entryPoints: [entry],
          outfile: this.outputOf(entry),
          format: 'esm',
          packages: 'external',
          sourcemap: 'inline',
          plugins: [groupwalPlugin({ urlOf })],
        })
        .then(() => {})
      started = { promise, named }
      this.#entries.set(entry, started)
    }
    return started
  }
}
