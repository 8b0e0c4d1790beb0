import { type ChildProcess, fork, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import arenaUrl from './arena.child.ts?url'
import type { Load, RunResult, SubjectOptions } from './types.ts'

export type ArenaRequest =
  | { kind: 'open'; subject: string; options: SubjectOptions; loads: Load[] }
  | { kind: 'run'; warmUpMs: number; runMs: number }
  | { kind: 'task'; name: string; data: unknown }
  | { kind: 'close' }

export type ArenaReply = { kind: 'done'; value: unknown } | { kind: 'error'; message: string }

const OPEN_LIMIT_MS = 60_000

/** A process in which one subject is measured. Its directory is removed with it. */
export class Arena {
  readonly directory: string
  readonly #child: ChildProcess
  readonly #isWrapped: boolean
  #waiting: { resolve: (value: unknown) => void; reject: (error: Error) => void } | undefined

  /** @param wrapper a program that runs the process, for example strace with its arguments */
  constructor(baseDirectory: string, wrapper: readonly string[] = []) {
    mkdirSync(baseDirectory, { recursive: true })
    this.directory = mkdtempSync(join(baseDirectory, 'arena-'))
    const script = fileURLToPath(arenaUrl)
    const options = { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] as ('ignore' | 'inherit' | 'ipc')[] }
    const [program, ...rest] = wrapper
    this.#isWrapped = program !== undefined
    this.#child =
      program === undefined
        ? fork(script, options)
        : spawn(program, [...rest, process.execPath, '--enable-source-maps', script], options)
    this.#child.on('message', (reply: ArenaReply) => this.#settle(reply))
    this.#child.on('error', (error) => this.#settle({ kind: 'error', message: error.message }))
    this.#child.on('exit', (code, signal) => {
      this.#settle({ kind: 'error', message: `its process ended (${signal ?? `exit code ${code}`})` })
    })
  }

  async open(subject: string, options: Omit<SubjectOptions, 'directory'>, loads: Load[]): Promise<void> {
    await this.#ask(
      { kind: 'open', subject, options: { ...options, directory: this.directory }, loads },
      OPEN_LIMIT_MS,
    )
  }

  async run(warmUpMs: number, runMs: number): Promise<RunResult> {
    return (await this.#ask({ kind: 'run', warmUpMs, runMs }, OPEN_LIMIT_MS + warmUpMs + runMs)) as RunResult
  }

  /** One of bench/tasks.ts. */
  async task<T>(name: string, data: unknown, limitMs: number = OPEN_LIMIT_MS): Promise<T> {
    return (await this.#ask({ kind: 'task', name, data }, limitMs)) as T
  }

  /** Closes the subject, ends the process, removes the directory. Never throws: what was measured is measured. */
  async close(): Promise<void> {
    try {
      if (this.#child.connected) await this.#ask({ kind: 'close' }, OPEN_LIMIT_MS)
    } catch (error) {
      console.error(`  closing: ${(error as Error).message}`)
    }
    await this.kill()
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** Ends the process at once. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    // A wrapper that is killed leaves the process behind; that one ends when it loses its channel, and the wrapper too.
    if (this.#isWrapped && this.#child.connected) this.#child.disconnect()
    else this.#child.kill('SIGKILL')
    await ended
  }

  #ask(request: ArenaRequest, limitMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#settle({ kind: 'error', message: `no answer to ${request.kind} within ${limitMs / 1000} s` })
        void this.kill()
      }, limitMs)
      this.#waiting = {
        resolve: (value) => {
          clearTimeout(timer)
          resolve(value)
        },
        reject: (error) => {
          clearTimeout(timer)
          reject(error)
        },
      }
      if (this.#child.connected) this.#child.send(request)
      else this.#settle({ kind: 'error', message: 'its process has ended' })
    })
  }

  #settle(reply: ArenaReply): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (reply.kind === 'done') waiting?.resolve(reply.value)
    else waiting?.reject(new Error(reply.message))
  }
}
