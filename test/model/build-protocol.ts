import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, relative } from 'node:path'
import * as esbuild from 'esbuild'
import { type Change, changeText } from '../support/mutate.ts'
import type { NodeCalls } from './event-loop.ts'
import { Machine } from './machine.ts'
import type * as protocolEntry from './protocol-entry.ts'
import { transform } from './transform.ts'

/** What evaluating the explored build gives: the exports of protocol-entry.ts, most functions now generators. */
export type Protocol = typeof protocolEntry

/** The explored build as text. */
export interface BuiltProtocol {
  code: string
  /** What stands at each scheduling point, by its number. */
  sites: string[]
}

/** Of Node: here those of the model's event loop. `new Promise` too, see transform.ts. */
const LOOP_CALLS: readonly (keyof NodeCalls)[] = [
  'queueMicrotask',
  'setTimeout',
  'setImmediate',
  'setInterval',
  'clearTimeout',
  'clearInterval',
]

const projectDir = process.cwd()

/** `traced`: every operation tells what it does, for replays. `watched`: which word it uses, for sites.ts. */
export type BuildKind = 'fast' | 'traced' | 'watched'

/** Builds the production protocol for the explorer. All kinds have the same sites. */
export async function buildProtocol(
  changes: readonly Change[] = [],
  kind: BuildKind = 'fast',
): Promise<BuiltProtocol> {
  const result = await esbuild.build({
    absWorkingDir: projectDir,
    entryPoints: ['test/model/protocol-entry.ts'],
    bundle: true,
    platform: 'node',
    target: 'node20.15',
    format: 'cjs',
    write: false,
    logLevel: 'silent',
    define: {
      TRACED: String(kind === 'traced'),
      WATCHED: String(kind === 'watched'),
      ...Object.fromEntries(LOOP_CALLS.map((name) => [name, `M.node.${name}`])),
    },
    minifySyntax: true,
    plugins: [modelPlugin(changes)],
  })
  const source = result.outputFiles[0].text
  return transform(source, sectionOf(source, 'test/model/atomics.ts'), kind === 'watched')
}

/** A build that was evaluated, and the machine that its threads run on. */
export interface LoadedProtocol {
  protocol: Protocol
  machine: Machine
  sites: string[]
}

/** Evaluates a build. One configuration after the other may use it, not two at once. */
export function loadProtocol(built: BuiltProtocol): LoadedProtocol {
  const machine = new Machine()
  const module = { exports: {} }
  const require = createRequire(join(projectDir, 'package.json'))
  new Function('M', 'require', 'module', `${built.code}\n//# sourceURL=explored-protocol.cjs`)(
    machine,
    require,
    module,
  )
  return { protocol: module.exports as Protocol, machine, sites: built.sites }
}

function modelPlugin(changes: readonly Change[]): esbuild.Plugin {
  const replaced: Record<string, string> = {
    'src/shared/atomics.ts': 'test/model/atomics.ts',
    'src/recovery/fence.ts': 'test/model/fence.ts',
    'src/storage/segment-file.ts': 'test/model/segment-file.ts',
    'src/storage/zero-writer.ts': 'test/model/segment-file.ts',
    'src/storage/load-file-system.ts': 'test/model/load-file-system.ts',
  }
  return {
    name: 'model',
    setup(build) {
      build.onResolve(
        { filter: /\/(atomics|fence|segment-file|zero-writer|load-file-system)\.ts$/ },
        ({ path, resolveDir }) => {
          const replacement = replaced[relative(projectDir, join(resolveDir, path))]
          return replacement === undefined ? undefined : { path: join(projectDir, replacement) }
        },
      )
      build.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
        const file = relative(projectDir, path)
        let contents = await readFile(path, 'utf8')
        for (const change of changes) if (change.file === file) contents = changeText(contents, change)
        return { contents, loader: 'ts' }
      })
    },
  }
}

/** esbuild names each module in a comment above its code. */
function sectionOf(source: string, file: string): { from: number; to: number } {
  const from = source.indexOf(`\n// ${file}\n`)
  if (from < 0) throw new Error(`${file} is not in the bundle`)
  const to = source.slice(from + 1).search(/\n\/\/ (src|test|node_modules)\//)
  return { from, to: to < 0 ? source.length : from + 1 + to }
}
