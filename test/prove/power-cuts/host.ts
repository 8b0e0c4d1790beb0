import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { ACK_FD } from '../../crash/kill-records.ts'
import type { Random } from '../../support/random.ts'
import type { CutDisk } from './cut-disk.ts'
import type { HostSpec, HostWord } from './host-spec.ts'
import type { Ledger } from './ledger.ts'
import { type Moment, MomentWatch } from './moments.ts'

/** How long a host may go on after the cut: nothing of what it says then may be untrue. */
const AFTERLIFE_MS = 15

/** One life of a host, and its end. */
export interface LifeSpec {
  script: string
  spec: HostSpec
  disk: CutDisk
  moment: Moment
  /** See CutDisk.arm. */
  writeBack: { perMille: number; seed: number }
}

/** Starts a host, cuts its power at the given moment, and kills it. The disk is not mounted again. */
export async function cutHost(
  { script, spec, disk, moment, writeBack }: LifeSpec,
  ledger: Ledger,
  random: Random,
): Promise<{ host: Host; moment: Moment; complaint: string }> {
  await disk.arm(writeBack)
  ledger.beginLife(spec.run)
  const host = new Host(script, spec, ledger)
  const watch = new MomentWatch(moment, spec.directory, random, () => host.close())
  host.listen(
    (word) => watch.onWord(word),
    () => watch.onEnd(),
  )
  const reached = await watch.reached
  await disk.cut()
  await new Promise((resolve) => setTimeout(resolve, random.int(AFTERLIFE_MS)))
  return { host, moment: reached, complaint: await host.kill() }
}

/** A host process, heard by a ledger. */
export class Host {
  hasOpened = false
  /** It said so, before or after the cut: then its log ends in order, unless it said before that it had failed. */
  hasClosed = false
  hasFailed = false
  /** Calls that failed, by code. */
  readonly refusals = new Map<string, number>()
  readonly #process: ChildProcess
  readonly #ended: Promise<unknown>
  readonly #ledger: Ledger
  #errors = ''
  #rest = ''

  constructor(script: string, spec: HostSpec, ledger: Ledger) {
    this.#ledger = ledger
    this.#process = spawn(process.execPath, [script, JSON.stringify(spec)], {
      stdio: ['pipe', 'inherit', 'pipe', 'pipe'],
    })
    this.#ended = once(this.#process, 'close')
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text
    })
    // It may be gone when it is told to close.
    this.#process.stdin!.on('error', () => {})
  }

  /** @param onWord called for each line, once the ledger knows of it */
  listen(onWord: (word: HostWord) => void, onEnd: () => void): void {
    const pipe = this.#process.stdio[ACK_FD] as Readable
    pipe.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n')
      this.#rest = lines.pop()!
      for (const line of lines) onWord(this.#understand(line))
    })
    this.#process.once('exit', onEnd)
  }

  close(): void {
    this.#process.stdin!.write('\n')
  }

  /** Ends it, and reads all that it has said. Returns what it complained of: it should not have. */
  async kill(): Promise<string> {
    const { exitCode } = this.#process
    this.#process.kill('SIGKILL')
    await this.#ended
    if (exitCode !== null) this.#errors += `the host ended by itself with ${exitCode}`
    return this.#errors
  }

  #understand(line: string): HostWord {
    const [word, ...values] = line.split(' ')
    const [first, second, third, fourth] = values.map(Number)
    if (word === 'lsn') this.#ledger.handOut(first, second, third)
    else if (word === 'ack') this.#ledger.acknowledge(first, second, third, fourth)
    else if (word === 'keep') this.#ledger.keepFrom(first)
    else if (word === 'opened') this.hasOpened = true
    else if (word === 'closed') this.hasClosed = true
    else if (word === 'failed') this.hasFailed = true
    else if (word === 'refused') this.refusals.set(values[0], (this.refusals.get(values[0]) ?? 0) + 1)
    return word as HostWord
  }
}
