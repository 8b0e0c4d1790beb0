import { compareExchange, load, notify, store, type Words, waitAsync } from '../shared/atomics.ts'

/*
 * word | name | changed by              | waited on by | invariant
 *   0  | TURN | who has the turn;       | workers      | index of the chunk whose turn it is, modulo 2^31;
 *      |      | whoever stops the run   |              | STOPPED is never left again
 */
const TURN = 0
const STOPPED = -1
const INDEX_MASK = 0x7fffffff

/**
 * Lets the chunks of `groupwal append` commit in the order of the input, each as soon as all lines before it have been
 * checked: so nothing behind a line that cannot be taken is committed, by whatever worker. Whoever repairs that line
 * can go on with it, and has no line in the log twice.
 */
export class AppendTurns {
  readonly words: Words

  constructor(words: Words) {
    this.words = words
  }

  static create(): AppendTurns {
    return new AppendTurns(new Int32Array(new SharedArrayBuffer(4)))
  }

  /** Resolves when the chunk's turn has come: true, or false when it never will. */
  async take(chunkIndex: number): Promise<boolean> {
    const turn = chunkIndex & INDEX_MASK
    for (let now = load(this.words, TURN); now !== turn; now = load(this.words, TURN)) {
      if (now === STOPPED) return false
      await waitAsync(this.words, TURN, now)
    }
    return true
  }

  /** Every line of the chunk, which has the turn, can be taken: the next one may commit, too. */
  pass(chunkIndex: number): void {
    const turn = chunkIndex & INDEX_MASK
    // It stays stopped when the main thread stops it now.
    compareExchange(this.words, TURN, turn, (turn + 1) & INDEX_MASK)
    notify(this.words, TURN, Number.POSITIVE_INFINITY)
  }

  /** No other chunk gets the turn. */
  stop(): void {
    store(this.words, TURN, STOPPED)
    notify(this.words, TURN, Number.POSITIVE_INFINITY)
  }
}
