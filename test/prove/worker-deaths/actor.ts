import { MessageChannel, type MessagePort, type ResourceLimits } from 'node:worker_threads'
import type { StepTraps } from '../../support/step-traps.ts'
import { nowMs } from './clock.ts'
import type { Host } from './host.ts'

export interface ActorRequest {
  id: number
  method: string
  args: unknown[]
  vmTimeoutMs: number | undefined
}

export interface ActorReply {
  id: number
  /** When the call ended, by nowMs. */
  atMs: number
  value: unknown
  error: { text: string } | undefined
}

export interface ActorOptions {
  traps?: StepTraps
  resourceLimits?: ResourceLimits | undefined
}

/** The driver's side of a producer thread that the host's thread owns. */
export class Actor {
  readonly id: number
  /** `threadId` of node:worker_threads. */
  readonly threadId: number
  readonly traps: StepTraps | undefined
  readonly #port: MessagePort
  readonly #waiting: Map<number, (reply: ActorReply) => void>
  readonly #bare: Int32Array
  #nextId: number

  private constructor(id: number, threadId: number, port: MessagePort, traps: StepTraps | undefined) {
    this.id = id
    this.threadId = threadId
    this.traps = traps
    this.#port = port
    this.#waiting = new Map()
    this.#bare = new Int32Array(new SharedArrayBuffer(4))
    this.#nextId = 1
  }

  /** Resolves when it is connected to the host's log. */
  static async start(host: Host, { traps, resourceLimits }: ActorOptions = {}): Promise<Actor> {
    const { port1, port2 } = new MessageChannel()
    const id = host.newActorId()
    const connected = new Promise<void>((resolve) => port1.once('message', () => resolve()))
    const threadId = await host.call('startActor', [id, port2, traps?.data, resourceLimits], [port2])
    await Promise.race([connected, host.ended(id)])
    const actor = new Actor(id, threadId as number, port1, traps)
    port1.on('message', (reply: ActorReply) => {
      actor.#waiting.get(reply.id)?.(reply)
      actor.#waiting.delete(reply.id)
    })
    return actor
  }

  /** Resolves with how the call ended; not at all when the thread ends before. */
  call(method: string, args: unknown[], vmTimeoutMs?: number): Promise<ActorReply> {
    const id = this.#nextId++
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
      this.#port.postMessage({ id, method, args, vmTimeoutMs } satisfies ActorRequest)
    })
  }

  /** How long it takes this thread to wake up from a mere Atomics.wait, in milliseconds. */
  async bareWakeUp(): Promise<number> {
    const value = Atomics.load(this.#bare, 0)
    const woken = this.call('bareWait', [this.#bare, value])
    for (;;) {
      const calledMs = nowMs()
      if (Atomics.notify(this.#bare, 0) === 1) return (await woken).atMs - calledMs
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** The thread closes its producer and ends. */
  async close(): Promise<void> {
    await this.call('close', [])
    this.release()
  }

  /** No reply is wanted any more. */
  release(): void {
    this.#port.close()
  }
}
