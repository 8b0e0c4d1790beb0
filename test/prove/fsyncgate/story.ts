import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type OpenOptions, openLog, type SyncMethod } from '../../../src/index.ts'
import { LogChild } from '../../support/log-child.ts'
import type { DiskType } from '../support/loop-mount.ts'
import type { Claim } from './claims.ts'
import hostUrl from './host.child.ts?url'
import { NaiveRetry } from './naive-retry.ts'
import type { FailedTale, HostTask, OpenedTale, ResumedTale } from './tales.ts'
import { ThinDisk } from './thin-disk.ts'
import type { TraceSummary } from './trace.ts'
import { type Acknowledged, type ToldFailure, WAYS } from './way.ts'

/** One failure of the disk, and how it goes on: the log is resumed, or its process killed and the log opened again. */
export interface StorySpec {
  type: DiskType
  /** The disk has a cache of its own that fails when it is flushed. Then the file system does not survive it either. */
  isCached: boolean
  method: SyncMethod
  stagingSlots: number
  ending: 'resume' | 'reopen'
  /** From this byte of the segment on the disk has no blocks. */
  backedBytes: number
  payloadBytes: number
}

export interface Story {
  spec: StorySpec
  acknowledged: number
  failures: number
  indeterminate: number
  /** Verdicts on records that somebody else was told of, too. */
  shared: number
  /** What each waiter was told as the cause, and the naive retry at first. */
  causes: (string | undefined)[]
  naiveCodes: string[]
  /** Writes and syncs of the log. */
  failedCalls: number
  /** Claims that did not hold, with the reason. */
  broken: { claim: Claim; reason: string }[]
}

const SEGMENT_BYTES = 1 << 20
const FIRST_SEGMENT = 'wal-00000000000000000001.seg'
/** Nobody waits for a verdict that long. */
const TALE_MS = 20_000

/** @param base an empty folder of a `Scratch` */
export async function tellStory(base: string, spec: StorySpec): Promise<Story> {
  const disk = new ThinDisk(base, spec.type, spec.isCached)
  const teller = new Teller(disk, spec)
  await teller.tell()
  disk.remove()
  return teller.story
}

class Teller {
  readonly story: Story
  readonly #disk: ThinDisk
  readonly #spec: StorySpec
  readonly #directory: string
  readonly #options: OpenOptions
  readonly #host: LogChild
  readonly #naives: NaiveRetry[]
  readonly #acknowledged: Acknowledged[] = []
  readonly #submitted = new Set<string>()
  /** Declared not-written: must never be returned. */
  readonly #never = new Set<string>()
  /** May be returned until the log is resumed. */
  readonly #indeterminate: string[] = []
  #isFailed = false

  constructor(disk: ThinDisk, spec: StorySpec) {
    const { isCached, method, stagingSlots, payloadBytes } = spec
    this.story = {
      spec,
      acknowledged: 0,
      failures: 0,
      indeterminate: 0,
      shared: 0,
      causes: [],
      naiveCodes: [],
      failedCalls: 0,
      broken: [],
    }
    this.#disk = disk
    this.#spec = spec
    this.#directory = join(disk.path, 'log')
    this.#options = { syncMethod: method, stagingSlots, segmentBytes: SEGMENT_BYTES, sealIdleMs: 0 }
    this.#naives = [new NaiveRetry(disk, 'fdatasync')]
    // An fsync writes the times, too: where that fails ext4 gives its journal up, before the log has begun.
    if (!isCached) this.#naives.push(new NaiveRetry(disk, 'fsync'))
    const task: HostTask = { directory: this.#directory, options: this.#options, payloadBytes }
    this.#host = new LogChild(fileURLToPath(hostUrl), [JSON.stringify(task)])
  }

  async tell(): Promise<void> {
    try {
      await this.#failDisk()
      if (this.#spec.ending === 'resume') await this.#resume()
      else await this.#reopen()
    } catch (error) {
      // A host that broke down or fell silent, or a log that cannot be read any more.
      this.#expect(this.#isFailed ? 'kept' : 'waiters', false, String((error as Error).stack))
      await this.#host.kill()
    }
  }

  async #failDisk(): Promise<void> {
    await this.#next<OpenedTale>()
    this.#disk.takeBlocksOf(join(this.#directory, FIRST_SEGMENT), this.#spec.backedBytes)
    this.#disk.takeFreeBlocks()
    this.#disk.fill()
    for (const naive of this.#naives) {
      naive.write()
      this.story.naiveCodes.push(naive.code)
      this.#expect(
        'naive',
        naive.wasToldOk,
        `${naive.code || 'no error'}, then an error, or not in the cache`,
      )
    }
    this.#host.goOn()
    const tale = await this.#next<FailedTale>()
    this.#isFailed = true
    this.#note(tale)
    this.#judgeFailures(tale)
    this.#judgeRefusals(tale)
    this.#judgeDurable(tale)
    this.#judgeTrace(tale.trace)
    this.story.failedCalls = tale.trace.failedCalls
    this.#expect('full', tale.resumeCode === 'GROUPWAL_RESUME_REFUSED', `resume(): ${tale.resumeCode}`)
  }

  async #resume(): Promise<void> {
    for (const text of this.#indeterminate) this.#never.add(text)
    this.#disk.free()
    this.#host.goOn()
    const tale = await this.#next<ResumedTale>()
    this.#note(tale)
    this.#judgeTrace(tale.trace)
    this.#expect('resume', tale.failures.length === 0, `it failed again: ${show(tale.failures[0])}`)
    this.#expect(
      'resume',
      tale.acknowledged.length >= WAYS.length,
      `${tale.acknowledged.length} acknowledged`,
    )
    // Half of them die in the midst of it, half in peace.
    if (this.#spec.payloadBytes % 2 === 0) this.#host.goOn()
    else await this.#host.kill()
    await this.#host.ended
    this.#dropCache()
    this.#judgeContent(await this.#recover())
  }

  /** The page cache still shows what the disk never got: a recovery that trusts it would promise it. */
  async #reopen(): Promise<void> {
    await this.#host.kill()
    const refused = await this.#recover().then(
      (records) => `it opened with ${records.length} records`,
      (error) => (error as { code?: string }).code,
    )
    this.#expect('full', refused === 'GROUPWAL_OPEN_FAILED', `openLog on a full disk: ${refused}`)
    this.#disk.free()
    if (this.#spec.isCached) this.#dropCache()
    const first = await this.#recover()
    this.#judgeContent(first)
    this.#dropCache()
    const second = await this.#recover()
    this.#expect('kept', same(first, second), `${first.length} records, ${second.length} without the cache`)
  }

  #dropCache(): void {
    this.#disk.dropCache()
    for (const naive of this.#naives) this.#expect('naive', !naive.isThere(), 'its data is on the disk')
  }

  async #recover(): Promise<Acknowledged[]> {
    const log = await openLog(this.#directory, this.#options)
    try {
      return Array.from(log.read(), ({ lsn, payload }) => ({ lsn, text: Buffer.from(payload).toString() }))
    } finally {
      await log.close()
    }
  }

  #note({ acknowledged, submitted }: FailedTale | ResumedTale): void {
    this.#acknowledged.push(...acknowledged)
    this.story.acknowledged += acknowledged.length
    for (const text of submitted) this.#submitted.add(text)
  }

  #judgeFailures({ failures, acknowledged }: FailedTale): void {
    for (const way of WAYS) {
      // In a flush's way its last record is committed, which does not count, unless it was refused at once.
      const counts = ({ isOfFlush, lsn }: ToldFailure) =>
        lsn === undefined || isOfFlush === way.startsWith('flush')
      this.#expect(
        'waiters',
        failures.some((failure) => failure.way === way && counts(failure)),
        `${way} was never told`,
      )
    }
    this.#judgeVerdicts(failures, acknowledged)
    for (const { outcome, texts } of failures) {
      if (outcome === 'indeterminate') this.#indeterminate.push(...texts)
      else for (const text of texts) this.#never.add(text)
    }
    this.story.failures = failures.length
    this.story.indeterminate = failures.filter(({ outcome }) => outcome === 'indeterminate').length
    this.story.causes = failures.map(({ cause }) => cause)
  }

  /** A record has one waiter of its own, and any number of flushes may ask for it too: all are told the same. */
  #judgeVerdicts(failures: ToldFailure[], acknowledged: Acknowledged[]): void {
    const durable = new Set(acknowledged.map(({ lsn }) => lsn))
    const owned = new Set<number>()
    const verdicts = new Map<number, ToldFailure>()
    for (const failure of failures) {
      const { code, outcome, lsn, cause, texts, isOfFlush } = failure
      const isComplete = code === 'GROUPWAL_COMMIT_FAILED' && outcome !== undefined && cause !== undefined
      this.#expect('waiters', isComplete, `one was told ${show(failure)}`)
      // Without an LSN it came too late to get one.
      if (lsn === undefined) continue
      const count = isOfFlush ? 1 : texts.length
      for (let told = lsn; told < lsn + count; told++) {
        this.#expect('waiters', isOfFlush || !owned.has(told), `LSN ${told} is told of twice`)
        if (!isOfFlush) owned.add(told)
        this.#expect('verdict', !durable.has(told), `LSN ${told} is acknowledged, and told ${show(failure)}`)
        const other = verdicts.get(told) ?? failure
        verdicts.set(told, failure)
        this.#expect(
          'verdict',
          sameVerdict(other, failure),
          `LSN ${told}: ${show(other)} and ${show(failure)}`,
        )
        if (other !== failure) this.story.shared++
      }
    }
  }

  #judgeRefusals({ refusals, acknowledgedAfter, lastCommitFailed }: FailedTale): void {
    this.#expect('waiters', acknowledgedAfter === 0, `${acknowledgedAfter} acknowledged after the failure`)
    this.#expect('waiters', lastCommitFailed, 'lastCommitFailed is not set')
    for (const way of WAYS) {
      this.#expect(
        'waiters',
        refusals.some((refusal) => refusal.way === way),
        `${way} was let in afterwards`,
      )
    }
    for (const refusal of refusals) {
      this.#expect('waiters', isRefusal(refusal), `one was refused with ${show(refusal)}`)
    }
  }

  #judgeDurable({ durableLsnAtFailure, durableLsnAfter, failures, acknowledged }: FailedTale): void {
    const wrong = failures.filter(({ lsn }) => lsn !== undefined && lsn <= durableLsnAfter)
    const highest = Math.max(...acknowledged.map(({ lsn }) => lsn))
    // With two writes in flight the older one may yet succeed.
    const isStill = durableLsnAfter === durableLsnAtFailure || this.#spec.stagingSlots > 1
    this.#expect('durable', isStill, `from ${durableLsnAtFailure} to ${durableLsnAfter}`)
    this.#expect('verdict', wrong.length === 0, `${durableLsnAfter}, yet one was told ${show(wrong[0])}`)
    this.#expect(
      'durable',
      durableLsnAfter >= highest,
      `${durableLsnAfter}, but LSN ${highest} is acknowledged`,
    )
  }

  #judgeTrace({ failedCalls, writesAfter, syncsAfter, repeatedWrites }: TraceSummary): void {
    // The other slot's frame may be on its way when the first one fails.
    const onTheWay = this.#spec.stagingSlots - 1
    this.#expect('retry', failedCalls > 0, 'no call failed')
    this.#expect('retry', repeatedWrites === 0, `${repeatedWrites} frames were written again`)
    this.#expect('retry', writesAfter <= onTheWay, `${writesAfter} writes to the failed file`)
    this.#expect('retry', syncsAfter <= onTheWay, `${syncsAfter} syncs of the failed file`)
  }

  #judgeContent(records: Acknowledged[]): void {
    const byLsn = new Map(records.map(({ lsn, text }) => [lsn, text]))
    const texts = new Set(records.map(({ text }) => text))
    const lost = this.#acknowledged.filter(({ lsn, text }) => byLsn.get(lsn) !== text)
    this.#expect('kept', lost.length === 0, `${lost.length} lost, the first is LSN ${lost[0]?.lsn}`)
    this.#expect('kept', texts.size === records.length, 'a record is returned twice')
    const isOrdered = records.every(({ lsn }, index) => index === 0 || lsn > records[index - 1].lsn)
    this.#expect('kept', isOrdered, 'LSNs do not grow')
    const invented = records.filter(({ text }) => !this.#submitted.has(text))
    this.#expect('kept', invented.length === 0, `${invented[0]?.text} was not submitted`)
    const back = records.filter(({ text }) => this.#never.has(text))
    this.#expect('gone', back.length === 0, `${back.length} are back, the first is LSN ${back[0]?.lsn}`)
  }

  #expect(claim: Claim, holds: boolean, reason: string): void {
    if (!holds) this.story.broken.push({ claim, reason })
  }

  async #next<Tale>(): Promise<Tale> {
    const timer = setTimeout(() => void this.#host.kill(), TALE_MS)
    try {
      return await this.#host.next<Tale>()
    } finally {
      clearTimeout(timer)
    }
  }
}

function isRefusal({ code, outcome, lsn }: ToldFailure): boolean {
  return code === 'GROUPWAL_COMMIT_FAILED' && outcome === 'not-written' && lsn === undefined
}

function sameVerdict(one: ToldFailure, other: ToldFailure): boolean {
  return one.code === other.code && one.outcome === other.outcome && one.cause === other.cause
}

function show(failure: ToldFailure | undefined): string {
  return JSON.stringify({ ...failure, texts: undefined })
}

function same(first: Acknowledged[], second: Acknowledged[]): boolean {
  return JSON.stringify(first) === JSON.stringify(second)
}
