import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { rebuildError } from '../../host/flat-error.ts'
import { Violation } from './history.ts'
import type { HostMessage, HostRequest, HostSpec, HostStatus } from './host-messages.ts'
import type { MemorySample } from './memory.ts'

/** A host in its own process, seen from outside. */
export class HostProcess {
  readonly startMs: number
  /** The newest that it told; undefined until its log is open. */
  status: HostStatus | undefined
  readonly samples: MemorySample[]
  isEnded: boolean
  isKilled: boolean
  /** It was told to end in order. */
  isAsked: boolean
  private readonly child: ChildProcess
  private readonly ended: Promise<[[number | null, NodeJS.Signals | null], unknown]>
  private failure: unknown
  private isPaused: boolean

  constructor(spec: HostSpec) {
    this.startMs = performance.now()
    this.status = undefined
    this.samples = []
    this.isEnded = false
    this.isKilled = false
    this.isAsked = false
    this.failure = undefined
    this.isPaused = false
    // The command line itself, in its other part.
    this.child = fork(process.argv[1]!, ['stress-host'], { serialization: 'advanced', stdio: 'inherit' })
    this.child.on('message', (message: HostMessage) => this.onMessage(message))
    // When the channel is closed, too, everything has arrived that the host sent.
    const ends = [once(this.child, 'exit'), once(this.child, 'disconnect')]
    this.ended = Promise.all(ends) as typeof this.ended
    const end = (): void => {
      this.isEnded = true
    }
    this.ended.then(end, end)
    this.child.send(spec)
  }

  /** How long it has had its log open. */
  get openMs(): number {
    return this.samples.length === 0 ? 0 : performance.now() - this.samples[0]!.ms
  }

  /** @throws Violation that the host has told of, or the error by which its log was refused */
  check(): void {
    if (this.failure !== undefined) throw this.failure
  }

  kill(): void {
    this.isKilled = this.child.kill('SIGKILL')
  }

  askToEnd(): void {
    this.isAsked = true
    this.send({ kind: 'stop' })
  }

  truncateBefore(beforeLsn: number): void {
    this.send({ kind: 'truncate', beforeLsn })
  }

  setPaused(isPaused: boolean): void {
    if (isPaused !== this.isPaused) this.send({ kind: 'pause', isPaused })
    this.isPaused = isPaused
  }

  get hasPaused(): boolean {
    return this.isPaused
  }

  /** @throws Violation when it did not end as it was made to */
  async checkEnd(): Promise<void> {
    const [[code, signal]] = await this.ended
    this.check()
    const isAsItShould = this.isKilled ? signal === 'SIGKILL' : code === 0 && this.status?.isClosed === true
    if (!isAsItShould) throw new Violation(`a host ended by itself: exit code ${code}, signal ${signal}`)
  }

  private send(request: HostRequest): void {
    // It may have ended just now; that is seen elsewhere.
    this.child.send(request, () => {})
  }

  private onMessage(message: HostMessage): void {
    if (message.kind !== 'status') {
      this.failure ??= message.kind === 'refusal' ? rebuildError(message.error) : new Violation(message.what)
      return
    }
    this.status = message
    this.samples.push({ ms: performance.now(), bytes: message.rssBytes })
  }
}
