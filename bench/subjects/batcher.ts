import { join } from 'node:path'
import type { Stage, Subject, SubjectOptions, Writer } from '../types.ts'
import { DurableWriter, preallocate, preallocatedBytes, roundUpToBlocks } from './preallocated.ts'
import { type Owner, relayStage, relayWriter } from './relay.ts'

const BUFFER_BYTES = 4 * 1024 * 1024

/**
 * The group commit that anybody can write in one thread: an array of promises, one buffer, one write + fdatasync per
 * turn of the event loop, resolve all. No checksums, no recovery, no rotation: the least that it could do.
 * One thread owns it; several reach it through a relay.
 */
export const batcher: Subject = {
  open(options): Stage {
    const { directory, threads, writeBytes } = options
    preallocate(join(directory, 'file'), preallocatedBytes(Math.max(writeBytes, BUFFER_BYTES), 1))
    const spec = { directory, method: 'fdatasync' as const }
    const syncs = new Int32Array(new SharedArrayBuffer(4))
    const counters = (): Record<string, number> => ({ syncs: syncs[0]! })
    if (threads === 1) return { shared: { ...spec, syncs }, counters, close: () => undefined }
    const owner = new Batcher(spec, syncs)
    return relayStage(owner, threads, { counters, close: () => owner.close() })
  },

  join(shared, index, port): Writer {
    if (port !== undefined) return relayWriter(shared, index, port)
    const { syncs, ...spec } = shared as BatcherSpec & { syncs: Int32Array }
    const own = new Batcher(spec, syncs)
    return { commit: (payload) => own.commit(payload), close: () => own.close() }
  },
}

type BatcherSpec = { directory: string; method: SubjectOptions['syncMethod'] }

class Batcher implements Owner {
  readonly #writer: DurableWriter
  readonly #view: DataView
  readonly #syncs: Int32Array
  #waiting: (() => void)[] = []
  #bytes = 0

  constructor({ directory, method }: BatcherSpec, syncs: Int32Array) {
    this.#writer = new DurableWriter(join(directory, 'file'), method, BUFFER_BYTES)
    const { buffer } = this.#writer
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length)
    this.#syncs = syncs
  }

  commit(payload: Uint8Array): Promise<unknown> {
    return new Promise<void>((resolve) => {
      if (this.#bytes + payload.length + 4 > BUFFER_BYTES) this.#flush()
      if (this.#waiting.length === 0) setImmediate(() => this.#flush())
      this.#view.setUint32(this.#bytes, payload.length, true)
      this.#writer.buffer.set(payload, this.#bytes + 4)
      this.#bytes += payload.length + 4
      this.#waiting.push(resolve)
    })
  }

  #flush(): void {
    if (this.#waiting.length === 0) return
    this.#writer.write(roundUpToBlocks(this.#bytes))
    Atomics.add(this.#syncs, 0, 1)
    this.#bytes = 0
    const settled = this.#waiting
    this.#waiting = []
    for (const resolve of settled) resolve()
  }

  close(): void {
    this.#flush()
    this.#writer.close()
  }
}
