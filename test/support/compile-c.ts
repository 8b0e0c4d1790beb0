import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'

const COMPILER = 'cc'
const FLAGS = ['-O2', '-Wall', '-Wextra', '-Werror', '-std=gnu11']

/** Why no C can be compiled here, or undefined when it can. For `skipUnless` and for checks. */
export function whyNoCompiler(): string | undefined {
  const { status, error } = spawnSync(COMPILER, ['--version'], { stdio: 'ignore' })
  if (error !== undefined) return `no C compiler: ${COMPILER}: ${error.message}`
  return status === 0 ? undefined : `no C compiler: ${COMPILER} --version ended with ${status}`
}

/**
 * Builds one C file and returns the absolute path of the result, which stays in .cache until the source changes. Two
 * processes may do it at once.
 *
 * @param source path of the file, from the project's root
 * @param kind a program, or a shared object for LD_PRELOAD
 * @param libraries as the linker names them, such as `dl`
 */
export function compileC(
  source: string,
  kind: 'program' | 'shared' = 'program',
  libraries: string[] = [],
): string {
  const isShared = kind === 'shared'
  const flags = [...FLAGS, ...(isShared ? ['-shared', '-fPIC'] : [])]
  const links = libraries.map((name) => `-l${name}`)
  const hash = createHash('sha256')
    .update(JSON.stringify([flags, links]))
    .update(readFileSync(source))
  const directory = resolve('.cache', 'compiled')
  const name = `${basename(source, '.c')}-${hash.digest('hex').slice(0, 16)}${isShared ? '.so' : ''}`
  const path = join(directory, name)
  if (existsSync(path)) return path
  mkdirSync(directory, { recursive: true })
  const unfinished = `${path}.${process.pid}`
  const { status, stderr, error } = spawnSync(COMPILER, [...flags, '-o', unfinished, source, ...links], {
    encoding: 'utf8',
  })
  if (error !== undefined) throw error
  if (status !== 0) {
    rmSync(unfinished, { force: true })
    throw new Error(`${source} does not compile:\n${stderr}`)
  }
  renameSync(unfinished, path)
  return path
}
