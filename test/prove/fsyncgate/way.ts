import type { CommitOutcome, Producer } from '../../../src/index.ts'
import { causeCode, type Failure } from '../../support/rejection.ts'
import type { RemoteFailure, RemoteProducer } from '../../support/remote-producer.ts'

/** How a waiter waits. The first three block a thread of their own. */
export const WAYS = ['commitSync', 'commitBatchSync', 'flushSync', 'commit', 'commitBatch', 'flush'] as const
export type WayName = (typeof WAYS)[number]

/** What one waiter was told when its wait failed. */
export interface ToldFailure {
  way: WayName
  /** By a flush: its verdict is on a record that may have a waiter of its own beside it. */
  isOfFlush: boolean
  code: string | undefined
  outcome: CommitOutcome | undefined
  lsn: number | undefined
  cause: string | undefined
  /** Of the records that the verdict speaks of, all of them. */
  texts: string[]
}

/** A record that was acknowledged. */
export interface Acknowledged {
  lsn: number
  text: string
}

const BATCH = 3
const WINDOW = 8

/** One waiter, or a few that wait in the same way, and what they were told. */
export class Way {
  readonly acknowledged: Acknowledged[] = []
  readonly failures: ToldFailure[] = []
  /** Everything that was handed to the log. */
  readonly submitted: string[] = []
  readonly #name: WayName
  readonly #textOf: (way: WayName, index: number) => string
  /** Of a way that blocks. */
  readonly #remote: RemoteProducer | undefined
  readonly #own: Producer
  readonly #onFailure: () => void

  constructor(
    name: WayName,
    producers: { remote: RemoteProducer | undefined; own: Producer },
    textOf: (way: WayName, index: number) => string,
    onFailure: () => void,
  ) {
    this.#name = name
    this.#textOf = textOf
    this.#remote = producers.remote
    this.#own = producers.own
    this.#onFailure = onFailure
  }

  /** Commits until a call fails, or so many records are there. */
  async work(mostRecords = Number.POSITIVE_INFINITY): Promise<void> {
    const until = this.submitted.length + mostRecords
    while (this.failures.length === 0 && this.submitted.length < until) await this.round()
  }

  /** One commit, batch, flush, or window of commits. */
  async round(): Promise<void> {
    if (this.#name === 'commit') {
      await Promise.all(Array.from({ length: WINDOW }, () => this.#one((input) => this.#own.commit(input))))
    } else if (this.#name === 'commitSync') {
      await this.#one((input) => this.#remote!.call('commitSync', input))
    } else if (this.#name === 'commitBatch') {
      await this.#batch((inputs) => this.#own.commitBatch(inputs))
    } else if (this.#name === 'commitBatchSync') {
      await this.#batch((inputs) => this.#remote!.call('commitBatchSync', inputs))
    } else if (this.#name === 'flush') {
      await this.#flush(
        async (input) => this.#own.append(input),
        (input) => this.#own.commit(input),
        () => this.#own.flush(),
      )
    } else {
      await this.#flush(
        (input) => this.#remote!.call('append', input),
        (input) => this.#remote!.call('commit', input),
        () => this.#remote!.call('flushSync'),
      )
    }
  }

  #take(): { payload: string } {
    const payload = this.#textOf(this.#name, this.submitted.length)
    this.submitted.push(payload)
    return { payload }
  }

  async #one(commit: (input: { payload: string }) => Promise<{ lsn: number }>): Promise<void> {
    const input = this.#take()
    await this.#listen([input.payload], async () => {
      const { lsn } = await commit(input)
      this.acknowledged.push({ lsn, text: input.payload })
    })
  }

  async #batch(commit: (inputs: { payload: string }[]) => Promise<{ firstLsn: number }>): Promise<void> {
    const inputs = Array.from({ length: BATCH }, () => this.#take())
    const texts = inputs.map(({ payload }) => payload)
    await this.#listen(texts, async () => {
      const { firstLsn } = await commit(inputs)
      texts.forEach((text, index) => {
        this.acknowledged.push({ lsn: firstLsn + index, text })
      })
    })
  }

  /** The last record of what is flushed is committed as well: two waiters are told of it. */
  async #flush(
    append: (input: { payload: string }) => Promise<number>,
    commit: (input: { payload: string }) => Promise<{ lsn: number }>,
    flush: () => Promise<void>,
  ): Promise<void> {
    const appended: Acknowledged[] = []
    await this.#listen([], async () => {
      for (let count = 1; count < BATCH; count++) {
        const input = this.#take()
        appended.push({ lsn: await append(input), text: input.payload })
      }
    })
    // Also when an append was refused: those before it are told of by a flush only.
    if (appended.length === 0) return
    const committed = this.#one(commit)
    // The verdict of a flush is that of one record; nothing is said of those beside it.
    const failed: string[] = []
    const flushed = this.#listen(
      failed,
      async () => {
        try {
          await flush()
        } catch (failure) {
          const { lsn } = failure as Failure
          for (const record of appended) if (record.lsn === lsn) failed.push(record.text)
          throw failure
        }
        this.acknowledged.push(...appended)
      },
      true,
    )
    await Promise.all([committed, flushed])
  }

  async #listen(texts: string[], call: () => Promise<void>, isOfFlush = false): Promise<void> {
    let failure: Failure | RemoteFailure
    try {
      await call()
      return
    } catch (error) {
      failure = error as Failure | RemoteFailure
    }
    this.#onFailure()
    const { code, lsn, outcome } = failure
    const cause = 'causeCode' in failure ? failure.causeCode : causeCode(failure as Failure)
    const verdict = { code, outcome: outcome as CommitOutcome, lsn, cause, texts }
    this.failures.push({ way: this.#name, isOfFlush, ...verdict })
  }
}
