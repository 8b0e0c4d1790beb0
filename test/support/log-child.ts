import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** A process that runs a built `*.child.ts` and tells what it does, a JSON value per line. */
export class LogChild {
  readonly process: ChildProcess
  /** Resolves with exit code and signal. */
  readonly ended: Promise<[code: number | null, signal: NodeJS.Signals | null]>
  readonly #lines: AsyncIterator<string>

  /**
   * @param command what runs it, before the path of the child: `[process.execPath]`, with a wrapper before it if need be
   */
  constructor(script: string, args: string[], command: string[] = [process.execPath]) {
    const [program, ...rest] = [...command, script, ...args]
    this.process = spawn(program, rest, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.ended = once(this.process, 'close') as Promise<[number | null, NodeJS.Signals | null]>
    this.#lines = createInterface({ input: this.process.stdout! })[Symbol.asyncIterator]()
  }

  get pid(): number {
    return this.process.pid!
  }

  /** The next value that it told. */
  async next<Value>(): Promise<Value> {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error(`the child ended with ${(await this.ended).join(' ')} and told no more`)
    return JSON.parse(value) as Value
  }

  /** Tells it to go on: it waits for a line. */
  goOn(): void {
    this.process.stdin!.write('\n')
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL')
    await this.ended
  }
}
