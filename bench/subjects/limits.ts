import type { Stage, Subject, Writer } from '../types.ts'

const WORDS_PER_THREAD = 16

/**
 * The scheduler's limit: threads in pairs, each wakes its partner and sleeps until it is woken. Every "commit" is one
 * sleep and one wake-up. An odd thread out plays with nobody: it does nothing.
 */
export const wake: Subject = {
  open({ threads }): Stage {
    return {
      shared: { words: new Int32Array(new SharedArrayBuffer((threads + 1) * WORDS_PER_THREAD * 4)), threads },
      close: () => undefined,
    }
  },

  join(shared, index): Writer {
    const { words, threads } = shared as { words: Int32Array; threads: number }
    const partner = index ^ 1
    const own = index * WORDS_PER_THREAD
    const other = partner * WORDS_PER_THREAD
    return {
      commitSync() {
        if (partner >= threads) {
          Atomics.wait(words, own, 0, 10)
          return
        }
        Atomics.store(words, other, 1)
        Atomics.notify(words, other, 1)
        // The time limit only ends the run: the partner may have stopped already.
        Atomics.wait(words, own, 0, 50)
        Atomics.store(words, own, 0)
      },
      close: () => undefined,
    }
  },
}

/** The memory's limit: records copied one behind the other into an 8 MiB buffer. */
export const memcpy: Subject = {
  open: (): Stage => ({ shared: undefined, close: () => undefined }),

  join(): Writer {
    const target = new Uint8Array(8 * 1024 * 1024)
    let position = 0
    return {
      commitBatch(payloads) {
        for (const payload of payloads) {
          if (position + payload.length > target.length) position = 0
          target.set(payload, position)
          position += payload.length
        }
      },
      close: () => undefined,
    }
  },
}
