// Packs the project as npm would publish it, and installs it into empty projects.

import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

export interface Output {
  code: number | null
  stdout: string
  /** Both streams, for messages. */
  text: string
}

/** The folder of this project: the test runner starts every test there. */
export const projectDir: string = process.cwd()

export function makeTempDir(): string {
  // Outside of the project, or Node would find its packages from there.
  return mkdtempSync(join(tmpdir(), 'groupwal-packaging-'))
}

export function removeDir(path: string): void {
  rmSync(path, { recursive: true, force: true })
}

/**
 * Builds and packs in a copy, so that a `dist` that somebody is using stays as it is.
 *
 * @returns path of the tarball
 */
export function packProject(tempDir: string): string {
  const packDir = join(tempDir, 'pack')
  mkdirSync(packDir)
  for (const name of [
    'package.json',
    'README.md',
    'CHANGELOG.md',
    'LICENSE',
    'docs',
    'CONTRIBUTING.md',
    'src',
    'workers',
  ]) {
    if (existsSync(name)) cpSync(name, join(packDir, name), { recursive: true })
  }
  runOrThrow(process.execPath, ['scripts/build.mjs', '--out-dir', join(packDir, 'dist')], projectDir)
  const { stdout } = runOrThrow('npm', ['pack', '--ignore-scripts', '--json', '--loglevel=error'], packDir)
  const [packed] = JSON.parse(stdout) as { filename: string }[]
  return join(packDir, packed!.filename)
}

export function listTarball(tarball: string): string[] {
  const { stdout } = runOrThrow('tar', ['-tzf', tarball], projectDir)
  return stdout
    .trim()
    .split('\n')
    .map((path) => path.replace(/^package\//, ''))
    .sort()
}

/** An empty project with the tarball installed and the given files beside it. */
export function installInto(
  dir: string,
  tarball: string,
  type: 'module' | 'commonjs',
  files: Record<string, string>,
): void {
  mkdirSync(dir)
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type }))
  runOrThrow(
    'npm',
    ['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', tarball],
    dir,
  )
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text)
}

export function run(command: string, args: string[], cwd: string, input = ''): Output {
  const env = { ...process.env }
  // Whatever npm tells its scripts is meant for this project, not for the one in `cwd`.
  for (const name of Object.keys(env))
    if (/^npm_/i.test(name) && !/registry|cafile|proxy/i.test(name)) delete env[name]
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env,
    input,
    encoding: 'utf8',
    timeout: 90_000,
  })
  if (error !== undefined) throw error
  return { code: status, stdout, text: stdout + stderr }
}

export function runOrThrow(command: string, args: string[], cwd: string, input = ''): Output {
  const output = run(command, args, cwd, input)
  if (output.code !== 0)
    throw new Error(`${command} ${args.join(' ')}: exit code ${output.code}\n${output.text}`)
  return output
}

/** Runs a script that prints one line of JSON at its end. */
export function runScript<T>(script: string, args: string[], cwd: string): T {
  const { stdout } = runOrThrow(process.execPath, [script, ...args], cwd)
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as T
}

/** Every package below `node_modules` with the bytes of its files. */
export function installedPackages(dir: string): { name: string; bytes: number }[] {
  const found: { name: string; bytes: number }[] = []
  const visit = (modules: string) => {
    if (!existsSync(modules)) return
    for (const name of readdirSync(modules)) {
      const path = join(modules, name)
      if (name.startsWith('.')) continue
      if (name.startsWith('@')) {
        visit(path)
        continue
      }
      const own = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter(
        (file) => !/(^|[/\\])node_modules[/\\]/.test(file) && statSync(join(path, file)).isFile(),
      )
      const { name: fullName } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as {
        name: string
      }
      found.push({
        name: fullName,
        bytes: own.reduce((sum, file) => sum + statSync(join(path, file)).size, 0),
      })
      visit(join(path, 'node_modules'))
    }
  }
  visit(resolve(dir, 'node_modules'))
  return found
}
