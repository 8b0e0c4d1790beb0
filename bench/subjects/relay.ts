import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { Stage, Writer } from '../types.ts'

/** What the one thread that owns the peer must offer. */
export interface Owner {
  commit(payload: Uint8Array): Promise<unknown>
}

interface Request {
  payloads: Uint8Array[]
}

/**
 * Lets worker threads use what only one thread can own: they post their payloads, one message per turn of their
 * event loop, and are told how many of them are durable, in the order in which they sent them.
 */
export class RelayServer {
  readonly shared: { words: Int32Array }
  readonly #owner: Owner

  constructor(owner: Owner, threads: number) {
    this.#owner = owner
    this.shared = { words: new Int32Array(new SharedArrayBuffer(threads * 64)) }
  }

  portFor(index: number): MessagePort {
    const { port1, port2 } = new MessageChannel()
    const { words } = this.shared
    let done = 0
    const tell = (): void => {
      port1.postMessage(done)
      done = 0
    }
    const settled = (): void => {
      Atomics.add(words, index * 16, 1)
      Atomics.notify(words, index * 16)
      if (done++ === 0) setImmediate(tell)
    }
    port1.on('message', ({ payloads }: Request) => {
      for (const payload of payloads) void this.#owner.commit(payload).then(settled)
    })
    return port2
  }
}

/** The worker's end. */
export function relayWriter(shared: unknown, index: number, port: MessagePort): Writer {
  const { words } = shared as RelayServer['shared']
  const waiting: ((value: unknown) => void)[] = []
  let queue: Uint8Array[] = []
  let sent = 0
  const send = (): void => {
    port.postMessage({ payloads: queue } satisfies Request)
    queue = []
  }
  port.on('message', (done: number) => {
    for (const resolve of waiting.splice(0, done)) resolve(undefined)
  })
  return {
    commit(payload) {
      if (queue.length === 0) queueMicrotask(send)
      queue.push(payload)
      sent = (sent + 1) | 0
      return new Promise((resolve) => waiting.push(resolve))
    },
    commitSync(payload) {
      port.postMessage({ payloads: [payload] } satisfies Request)
      sent = (sent + 1) | 0
      for (;;) {
        const now = Atomics.load(words, index * 16)
        if (now === sent) return
        Atomics.wait(words, index * 16, now)
      }
    },
    close: () => port.close(),
  }
}

/** A stage for a peer that one thread owns: that thread by itself, or through the relay. */
export function relayStage(
  owner: Owner,
  threads: number,
  rest: Pick<Stage, 'close' | 'counters' | 'tidy'>,
): Stage {
  const server = new RelayServer(owner, threads)
  return { ...rest, shared: server.shared, portFor: (index) => server.portFor(index) }
}
