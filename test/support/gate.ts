import { join } from 'node:path'
import type { FileSystemModule } from '../../src/index.ts'

const SHUT = 0
const HELD = 1
const TURNS = 2
const PASSES = 3
const FAILS = 4

/**
 * Stops the disk: while the gate is shut, whoever writes a frame waits in that very call, in whatever thread. Hand
 * `fileSystem` to openLog.
 *
 * Right after openLog the committer may not run yet, and a thread with a pending commit then leads itself: to be sure
 * that it is the committer who is held, let the first record be an `append`.
 */
export class Gate {
  readonly #words: Int32Array
  readonly fileSystem: FileSystemModule

  constructor() {
    this.#words = new Int32Array(new SharedArrayBuffer(5 * 4))
    this.fileSystem = {
      module: join(process.cwd(), 'test/support/gated-file-system.cjs'),
      data: { words: this.#words },
    }
  }

  shut(): void {
    Atomics.store(this.#words, SHUT, 1)
  }

  open(): void {
    Atomics.store(this.#words, SHUT, 0)
    this.#turn()
  }

  /** Lets one write through; the gate stays shut. */
  letThrough(): void {
    Atomics.add(this.#words, PASSES, 1)
    this.#turn()
  }

  /** Opens the gate onto a broken disk: the held write and every other fails with EIO, until `mend`. */
  openBroken(): void {
    Atomics.store(this.#words, FAILS, 1)
    this.open()
  }

  mend(): void {
    Atomics.store(this.#words, FAILS, 0)
  }

  /** How many writes have found the gate shut so far. */
  get heldCount(): number {
    return Atomics.load(this.#words, HELD)
  }

  /** Resolves when that many writes have found the gate shut. */
  async untilHeld(count: number): Promise<void> {
    // Atomics.waitAsync does not hold the process.
    const hold = setInterval(() => {}, 1 << 30)
    try {
      for (let held = this.heldCount; held < count; held = this.heldCount) {
        await Atomics.waitAsync(this.#words, HELD, held).value
      }
    } finally {
      clearInterval(hold)
    }
  }

  #turn(): void {
    Atomics.add(this.#words, TURNS, 1)
    Atomics.notify(this.#words, TURNS)
  }
}
