import { join } from 'node:path'
import type { Stage, Subject, SyncMethodName, Writer } from '../types.ts'
import { DurableWriter, preallocate, preallocatedBytes } from './preallocated.ts'

// One line of the cache for each word, all of them Int32 that may wrap:
// word | name    | changed by    | waited on by | invariant
//    0 | TICKETS | who commits   |              | commits that were begun, never falls
//   16 | DURABLE | leader        |              | <= TICKETS, never falls: so many commits are durable
//   32 | TURN    | leader, CAS   | the others   | odd while somebody leads, never falls; half of it are the writes
const TICKETS = 0
const DURABLE = 16
const TURN = 32
const WORDS = 48

interface Shared {
  path: string
  method: SyncMethodName
  writeBytes: number
  words: Int32Array
}

/**
 * What any group commit of blocking threads must do, and nothing else: count, elect a leader, write and sync one
 * block, wake the others. No records, no order, no checksums, no recovery, and a leader that dies is not replaced.
 * The block is always of the same size, however many commits it stands for.
 */
export const groupCommit: Subject = {
  open({ directory, syncMethod, writeBytes }): Stage {
    const path = join(directory, 'file')
    preallocate(path, preallocatedBytes(writeBytes, 1))
    const words = groupWords()
    const shared: Shared = { path, method: syncMethod, writeBytes, words }
    return { shared, counters: () => countersOf(words), close: () => undefined }
  },

  join(data): Writer {
    const { path, method, writeBytes, words } = data as Shared
    const writer = new DurableWriter(path, method, writeBytes)
    const group = new GroupCommit(words, (count) => writer.writeInTurn(count, writeBytes))
    return {
      commitSync(payload) {
        writer.buffer.set(payload.length > writeBytes ? payload.subarray(0, writeBytes) : payload)
        group.commit()
      },
      close: () => writer.close(),
    }
  },
}

/** Shared by all threads of a group. */
export function groupWords(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(WORDS * 4))
}

/** Writes that have ended, and the commits they made durable. */
export function countersOf(words: Int32Array): { syncs: number; commits: number } {
  return { syncs: Atomics.load(words, TURN) >>> 1, commits: Atomics.load(words, DURABLE) >>> 0 }
}

/** One thread's view of a group. */
export class GroupCommit {
  readonly #words: Int32Array
  readonly #write: (count: number) => void

  /** @param write makes everything durable that was begun before it; told how many writes there were before */
  constructor(words: Int32Array, write: (count: number) => void) {
    this.#words = words
    this.#write = write
  }

  /**
   * Returns when a write has ended that began after this call did.
   *
   * A thread sleeps only on an odd TURN, which its leader is yet to change and to tell: no wake-up is lost, and none
   * needs a timer. Who is woken and not durable leads next, or finds somebody else who does.
   */
  commit(): void {
    const words = this.#words
    const ticket = (Atomics.add(words, TICKETS, 1) + 1) | 0
    for (;;) {
      // Before DURABLE: when TURN is the same at the exchange, nobody has led since, and the ticket is not durable yet.
      const turn = Atomics.load(words, TURN)
      if (((Atomics.load(words, DURABLE) - ticket) | 0) >= 0) return
      if (turn & 1) {
        Atomics.wait(words, TURN, turn)
      } else if (Atomics.compareExchange(words, TURN, turn, turn + 1) === turn) {
        this.#lead(turn)
        return
      }
    }
  }

  #lead(turn: number): void {
    const words = this.#words
    const begun = Atomics.load(words, TICKETS)
    this.#write(turn >>> 1)
    Atomics.store(words, DURABLE, begun)
    Atomics.store(words, TURN, turn + 2)
    Atomics.notify(words, TURN)
  }
}
