import {
  GroupWalError,
  type Log,
  type OpenOptions,
  openLog,
  type Producer,
  type SyncMethod,
} from '../../../src/index.ts'
import type { IoShim } from '../../support/io-shim/shim.ts'
import { payloadOf, type ScriptEvent } from './events.ts'
import type { PlainError, ProducerThread } from './producer-thread.ts'

export const SEGMENT_BYTES = 1 << 20
/** Most of a block, so that a part of a write is a part of a record. */
const SMALL_BYTES = 3000
/** Rules: that of the case, and the script's own. */
export const CASE_RULE = 0
export const SCRIPT_RULE = 1
/** The phase of what is done about a failure: its calls have no numbers, but a fault that lasts goes on. */
export const AFTERMATH = 23
const LONGEST_WAIT_MS = 400

export interface Setting {
  directory: string
  syncMethod: SyncMethod
  stagingSlots: number
  sealIdleMs: number
  shim: IoShim
  threads: readonly [ProducerThread, ProducerThread]
  /** No call may fail: the case only delays, or lets reads fall short. */
  isHarmless: boolean
  firstId: number
  tell(event: ScriptEvent): void
  /** Has the files copied as they are and looked at by a process that takes no part. */
  capture(): Promise<void>
}

export type Via = 'left' | 'right' | 'host'

/** A log and its producers in the midst of a script; tells of every record, and of what must not happen. */
export class ScriptRun {
  readonly setting: Setting
  /** A commit was told that it failed, or the log said so. */
  hasFailed = false
  acknowledgedCount = 0
  #log: Log | undefined
  #host: Producer | undefined
  #nextId: number
  #nextBatch: number
  #firedBefore = 0
  readonly #connected = new Set<ProducerThread>()

  constructor(setting: Setting) {
    this.setting = setting
    this.#nextId = setting.firstId
    this.#nextBatch = setting.firstId
  }

  get log(): Log {
    return this.#log!
  }

  get isOpen(): boolean {
    return this.#log !== undefined
  }

  /** From here on calls count for this phase. */
  enter(phase: number): void {
    this.#firedBefore = this.#caseFired
    this.setting.shim.setPhase(phase)
  }

  violate(text: string): void {
    this.setting.tell({ type: 'violation', text })
  }

  /** False when it failed as it may. */
  async open(): Promise<boolean> {
    const { directory, syncMethod, stagingSlots, sealIdleMs } = this.setting
    const options: OpenOptions = {
      segmentBytes: SEGMENT_BYTES,
      ringBytes: SEGMENT_BYTES,
      maxBatchBytes: SEGMENT_BYTES / 2,
      syncMethod,
      stagingSlots,
      sealIdleMs,
    }
    let log: Log
    try {
      log = await openLog(directory, options)
    } catch (error) {
      this.#expectTyped('openLog', error, ['GROUPWAL_OPEN_FAILED', 'GROUPWAL_LOCK_UNAVAILABLE'])
      return false
    }
    this.#log = log
    this.hasFailed = false
    log.on('failed', () => {
      this.hasFailed = true
    })
    log.on('worker-died', ({ name, cause }) => this.violate(`the ${name} died: ${cause?.stack}`))
    this.#host = log.connect()
    return true
  }

  /** Resolves, and never rejects, when it is known what became of the record. */
  async commit(via: Via, payloadBytes = SMALL_BYTES): Promise<void> {
    const id = this.#submit(via, payloadBytes)
    const record = { payload: payloadOf(id, payloadBytes) }
    const call = via === 'host' ? this.#host!.commit(record) : this.#thread(via).call('commitSync', record)
    await this.#settle(
      [id],
      call.then(({ lsn }) => lsn),
    )
  }

  async commitBatch(via: Via, count: number): Promise<void> {
    const batch = this.#nextBatch++
    const ids = Array.from({ length: count }, () => this.#submit(via, SMALL_BYTES, batch))
    const records = ids.map((id) => ({ payload: payloadOf(id, SMALL_BYTES) }))
    const isHost = via === 'host'
    const call = isHost
      ? this.#host!.commitBatch(records)
      : this.#thread(via).call('commitBatchSync', records)
    await this.#settle(
      ids,
      call.then(({ firstLsn }) => firstLsn),
    )
  }

  async appendAndFlush(via: 'left' | 'right'): Promise<void> {
    const id = this.#submit(via, SMALL_BYTES)
    const thread = this.#thread(via)
    const appended = thread.call('append', { payload: payloadOf(id, SMALL_BYTES) }).then((lsn) => {
      this.setting.tell({ type: 'appended', id, lsn })
      return thread.call('flushSync').then(() => lsn)
    })
    await this.#settle([id], appended)
  }

  readAll(): void {
    try {
      for (const { lsn } of this.log.read())
        if (lsn > this.log.durableLsn) this.violate('read beyond the end')
    } catch (error) {
      this.#expectTyped('read', error, ['GROUPWAL_IO'])
    }
  }

  async truncateBefore(lsn: number): Promise<void> {
    this.setting.tell({ type: 'truncating', beforeLsn: lsn })
    try {
      await this.log.truncateBefore(lsn)
    } catch (error) {
      this.#expectTyped('truncateBefore', error, ['GROUPWAL_TRUNCATE_FAILED'])
    }
  }

  /** False when it was refused; then the log must be as failed as before. */
  async resume(): Promise<boolean> {
    try {
      await this.log.resume()
    } catch (error) {
      this.#expectTyped('resume', error, ['GROUPWAL_RESUME_REFUSED'])
      return false
    }
    this.hasFailed = false
    this.setting.tell({ type: 'resumed' })
    return true
  }

  /** The log has failed: nothing may be acknowledged, whoever asks, and the durable LSN stays. */
  async checkFailed(): Promise<void> {
    const { durableLsn } = this.log
    const before = this.acknowledgedCount
    await Promise.all([this.commit('left'), this.commit('right'), this.commit('host')])
    if (this.acknowledgedCount !== before) this.violate('a commit after the failure was acknowledged')
    if (this.log.durableLsn !== durableLsn) this.violate('the durable LSN moved after the failure')
    // Stored just behind the change of phase that refuses commits.
    await this.wait(() => this.log.lastCommitFailed, false)
    if (!this.log.lastCommitFailed) this.violate('lastCommitFailed is false in a failed log')
  }

  /** False when it failed as it may. */
  async close(): Promise<boolean> {
    await Promise.all([...this.#connected].map((thread) => thread.call('close')))
    this.#connected.clear()
    this.#host!.close()
    const log = this.log
    this.#log = undefined
    try {
      await log.close()
    } catch (error) {
      this.#expectTyped('close', error, ['GROUPWAL_IO'])
      return false
    }
    return true
  }

  /** So that the script makes the same calls each time; a fault in this phase ends the wait, unless it may not. */
  async wait(condition: () => boolean, endsAtFault = true): Promise<void> {
    const deadlineMs = performance.now() + LONGEST_WAIT_MS
    while (!condition() && performance.now() < deadlineMs) {
      if (endsAtFault && this.#caseFired > this.#firedBefore) return
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  get #caseFired(): number {
    return this.setting.shim.fired(CASE_RULE)
  }

  /** Has a call failed, so that an error may be told of? */
  get #mayFail(): boolean {
    const { shim, isHarmless } = this.setting
    return shim.fired(SCRIPT_RULE) > 0 || (!isHarmless && this.#caseFired > 0)
  }

  /** Connected with its first call. */
  #thread(via: Via): ProducerThread {
    const thread = this.setting.threads[via === 'left' ? 0 : 1]
    if (!this.#connected.has(thread)) {
      this.#connected.add(thread)
      // Answered before what is called behind it.
      void thread.call('connect', this.log.handle)
    }
    return thread
  }

  #submit(producer: Via, payloadBytes: number, batch = 0): number {
    const id = this.#nextId++
    this.setting.tell({ type: 'submitted', id, producer, batch, payloadBytes })
    return id
  }

  async #settle(ids: readonly number[], call: Promise<number>): Promise<void> {
    const { tell } = this.setting
    let firstLsn: number
    try {
      firstLsn = await call
    } catch (error) {
      this.#expectTyped('a commit', error, ['GROUPWAL_COMMIT_FAILED'])
      this.hasFailed = true
      const { outcome, lsn } = error as PlainError
      if (outcome !== 'not-written' && outcome !== 'indeterminate') this.violate(`outcome ${outcome}`)
      for (const id of ids) {
        // That of a batch's error is that of one of its records.
        const ownLsn = ids.length === 1 ? lsn : undefined
        tell({ type: 'failed', id, outcome: outcome ?? 'indeterminate', lsn: ownLsn })
      }
      return
    }
    this.acknowledgedCount++
    for (const [index, id] of ids.entries()) tell({ type: 'acknowledged', id, lsn: firstLsn + index })
  }

  #expectTyped(what: string, error: unknown, codes: readonly string[]): void {
    const { name, message, code, isTyped } = error as PlainError
    const isGroupWal = isTyped ?? GroupWalError.is(error)
    if (!isGroupWal || !codes.includes(code ?? '')) {
      this.violate(`${what} ended with ${name} ${code}: ${message}\n${(error as Error).stack ?? ''}`)
    } else if (!this.#mayFail) {
      this.violate(`${what} failed although no call did: ${message}`)
    }
  }
}
