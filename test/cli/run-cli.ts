import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { buildLibrary } from '../support/built-library.ts'

export interface CliResult {
  code: number | null
  stdout: string
  stderr: string
}

/** For `skipUnless`: `script` runs a command in a terminal. */
export const whyNoTerminal: string | undefined =
  spawnSync('script', ['--version']).status === 0 ? undefined : 'no script command to make a terminal with'

let command: string | undefined

/** The command line as it is published. */
export function cliPath(): string {
  command ??= join(buildLibrary(), 'esm', 'cli.js')
  return command
}

/** Runs `groupwal` with these arguments, fed with `input`. */
export function runCli(args: string[], input: string | Uint8Array = ''): Promise<CliResult> {
  return runCommand(process.execPath, [cliPath(), ...args], input)
}

export function runCommand(
  file: string,
  args: string[],
  input: string | Uint8Array = '',
): Promise<CliResult> {
  const child = spawn(file, args, { stdio: 'pipe' })
  // It may end before it has read all.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return resultOf(child)
}

/** What a process that was just started prints, and how it ends. */
export function resultOf(child: ChildProcess): Promise<CliResult> {
  const result: CliResult = { code: null, stdout: '', stderr: '' }
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    result.stdout += text
  })
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    result.stderr += text
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ ...result, code }))
  })
}
