// Assembles src/shared/atomics64.wat into src/shared/atomics64-bytes.ts: `node scripts/build-wasm.mjs [--check]`
//
// The result is committed, so that the library needs no assembler and no file beside it at run time.

import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { projectDir } from './lib/esbuild-plugin.mjs'

const source = join(projectDir, 'src', 'shared', 'atomics64.wat')
const target = join(projectDir, 'src', 'shared', 'atomics64-bytes.ts')

/** The text that atomics64-bytes.ts must have, or undefined as long as there is no .wat. */
export async function wasmModuleText() {
  if (!existsSync(source)) return undefined
  const { default: initWabt } = await import('wabt')
  const wabt = await initWabt()
  const module = wabt.parseWat('atomics64.wat', await readFile(source, 'utf8'), { threads: true })
  try {
    module.resolveNames()
    module.validate({ threads: true })
    const { buffer } = module.toBinary({ write_debug_names: false })
    const base64 = Buffer.from(buffer).toString('base64')
    return (
      '// Made from atomics64.wat by scripts/build-wasm.mjs. Do not edit.\n' +
      `/** A WebAssembly module of ${buffer.length} bytes. */\n` +
      `export const wasmBase64: string =\n  '${base64}'\n`
    )
  } finally {
    module.destroy()
  }
}

/** Writes the module only when it differs, so that builds that run side by side do not disturb each other. */
export async function buildWasm() {
  const text = await wasmModuleText()
  if (text === undefined) return
  const present = existsSync(target) ? await readFile(target, 'utf8') : undefined
  if (present !== text) await writeFile(target, text)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--check')) {
    const text = await wasmModuleText()
    if (text !== undefined && text !== (await readFile(target, 'utf8'))) {
      console.error(
        'src/shared/atomics64-bytes.ts is not what atomics64.wat assembles to: npm run build:wasm',
      )
      process.exitCode = 1
    }
  } else {
    await buildWasm()
  }
}
