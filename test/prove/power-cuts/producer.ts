import { writeSync } from 'node:fs'
import type { Producer } from '../../../src/index.ts'
import { ACK_FD, payloadOf } from '../../crash/kill-records.ts'
import { type HostWord, MOST_UNACKNOWLEDGED } from './host-spec.ts'

/** Codes with which a log whose disk is gone refuses. Anything else ends the host, with a stack. */
const REFUSALS = ['GROUPWAL_COMMIT_FAILED', 'GROUPWAL_OPEN_FAILED', 'GROUPWAL_IO', 'GROUPWAL_CLOSED']

/** Commits in the way that its number says, until it has made its records or the log fails. */
export class Committer {
  readonly #producer: Producer
  readonly #run: number
  readonly #number: number
  readonly #limit: number
  #next: number

  constructor(producer: Producer, { run, number, limit }: { run: number; number: number; limit: number }) {
    this.#producer = producer
    this.#run = run
    this.#number = number
    this.#limit = limit
    this.#next = 0
  }

  /** Blocks its thread, but for the ways that await. */
  async work(): Promise<void> {
    const ways = [
      () => this.#commitOne(),
      () => this.#commitBatch(),
      () => this.#appendAndFlush(),
      () => this.#commitWindow(),
      () => this.#awaitBatch(),
    ]
    const way = ways[this.#number % ways.length]
    await tellRefusal(async () => {
      while (this.#next < this.#limit) await way()
    })
  }

  /** For the host's own thread, which must not block. */
  async workWithoutBlocking(): Promise<void> {
    await tellRefusal(async () => {
      while (this.#next < this.#limit) await this.#commitWindow()
    })
  }

  #take(batchCount = 1): { payload: string }[] {
    const batchFirst = this.#next
    const [run, producer] = [this.#run, this.#number]
    return Array.from({ length: batchCount }, () => ({
      payload: payloadOf({ run, producer, index: this.#next++, batchFirst, batchCount }),
    }))
  }

  #commitOne(): void {
    const index = this.#next
    this.#acknowledge(index, 1, this.#producer.commitSync(this.#take()[0]).lsn)
  }

  #commitBatch(): void {
    const index = this.#next
    const count = 1 + (index % 5)
    this.#acknowledge(index, count, this.#producer.commitBatchSync(this.#take(count)).firstLsn)
  }

  #appendAndFlush(): void {
    const first = this.#next
    const lsns = Array.from({ length: 10 }, () => {
      const lsn = this.#producer.append(this.#take()[0])
      say('lsn', this.#number, this.#next - 1, lsn)
      return lsn
    })
    this.#producer.flushSync()
    for (const [offset, lsn] of lsns.entries()) this.#acknowledge(first + offset, 1, lsn)
  }

  async #commitWindow(): Promise<void> {
    const commits = Array.from({ length: MOST_UNACKNOWLEDGED }, async () => {
      const index = this.#next
      this.#acknowledge(index, 1, (await this.#producer.commit(this.#take()[0])).lsn)
    })
    await Promise.all(commits)
  }

  async #awaitBatch(): Promise<void> {
    const batches = [3, 1, 7].map(async (count) => {
      const index = this.#next
      this.#acknowledge(index, count, (await this.#producer.commitBatch(this.#take(count))).firstLsn)
    })
    await Promise.all(batches)
  }

  #acknowledge(index: number, count: number, lsn: number): void {
    say('ack', this.#number, index, count, lsn)
  }
}

/** Says a line on the pipe. One write, so that the lines of several threads do not mix. */
export function say(word: HostWord, ...values: (number | string)[]): void {
  for (;;) {
    try {
      writeSync(ACK_FD, `${[word, ...values].join(' ')}\n`)
      return
    } catch (error) {
      // The reader is behind.
      if ((error as { code?: string }).code !== 'EAGAIN') throw error
    }
  }
}

/** True unless the log refused. */
export async function tellRefusal(call: () => Promise<void>): Promise<boolean> {
  try {
    await call()
    return true
  } catch (error) {
    const { code } = error as { code?: string }
    if (code === undefined || !REFUSALS.includes(code)) throw error
    say('refused', code)
    return false
  }
}
