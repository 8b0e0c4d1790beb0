// What the explorer builds: the production ring and commit protocol, and the programs that its threads run. The
// functions here become generators as the production code does (transform.ts).

import { assert } from '../../src/assert.ts'
import type { EncodableRecord } from '../../src/commit/appender.ts'
import { Committer } from '../../src/commit/committer.ts'
import { type CommitContext, createViews } from '../../src/commit/context.ts'
import { Follower } from '../../src/commit/follower.ts'
import { Leader } from '../../src/commit/leader.ts'
import { granulesOfRecord } from '../../src/commit/prefix.ts'
import { READY_NONE, SegmentSupply } from '../../src/commit/segment-supply.ts'
import { SegmentWriter } from '../../src/commit/segment-writer.ts'
import { Watch } from '../../src/commit/watch.ts'
import { GroupWalError } from '../../src/errors.ts'
import { FLAG_SEAL, FRAME_HEADER_BYTES } from '../../src/format/frame.ts'
import { Closing } from '../../src/host/close.ts'
import { Placer } from '../../src/host/placer.ts'
import { type FenceBase, Resume } from '../../src/host/resume.ts'
import { Keeper } from '../../src/host/run-keeper.ts'
import { wait } from '../../src/shared/atomics.ts'
import type { Control } from '../../src/shared/control.ts'
import type { KeeperWords } from '../../src/shared/keeper-words.ts'
import { planLayout } from '../../src/shared/layout.ts'
import { SharedMemory } from '../../src/shared/memory.ts'
import { PHASE_OPEN, PHASE_SETTLED } from '../../src/shared/phase.ts'
import type { FileSystem } from '../../src/storage/file-system.ts'
import { ModelWideWords, pause } from './atomics.ts'
import type { ModelDisk } from './disk.ts'
import { EventLoop } from './event-loop.ts'
import type { StackOverflow } from './machine.ts'
import { PromiseClient } from './promise-client.ts'

export {
  createViews,
  EventLoop,
  FLAG_SEAL,
  FRAME_HEADER_BYTES,
  granulesOfRecord,
  Keeper,
  ModelWideWords,
  PromiseClient,
  planLayout,
  SegmentSupply,
  SegmentWriter,
  SharedMemory,
}

/** What a thread tells of its records. All calls are plain functions of the explorer. */
export interface Ledger {
  /** A record or batch has its place, and the caller knows its LSN. */
  placed(thread: number, first: number, count: number, firstLsn: number): void
  /** The caller was told that the records got no place, or that close() did not see them. */
  refused(thread: number, first: number, count: number, error: GroupWalError): void
  /** The caller was told that this is the LSN of its record. */
  ownIs(lsn: number, thread: number, record: number): void
  decided(lsn: number, verdict: number): void
  resumed(): void
  closed(): void
  /** The log is closed, and its directory may be given to another process. */
  released(): void
}

/** One step of a thread's program. */
export type Task =
  /** commitSync; `record` counts the records of this thread. */
  | { kind: 'commit'; record: number }
  | { kind: 'batch'; record: number; count: number }
  | { kind: 'append'; record: number }
  | { kind: 'flush' }
  /** The committer; the segment-keeper. */
  | { kind: 'serve' }
  | { kind: 'keep' }
  | { kind: 'resume' }
  /** With `givesUp` its time is over when it has looked once. */
  | { kind: 'close'; givesUp?: boolean }
  /** Of a thread with an event loop: it goes round once; it goes round until all promises are settled. */
  | { kind: 'turn' }
  | { kind: 'settle' }

/** One thread of the model: the objects that a real one has. */
export class ModelThread {
  readonly number: number
  readonly context: CommitContext
  readonly leader: Leader
  readonly watch: Watch
  readonly follower: Follower
  readonly placer: Placer
  readonly committer: Committer
  readonly resumer: Resume
  readonly closer: Closing
  readonly records: EncodableRecord[]
  readonly ledger: Ledger
  /** Of a thread that does not block. */
  client: PromiseClient | undefined
  keeper: Keeper | undefined
  /** The task that it is at. */
  task: number

  constructor(
    number: number,
    context: CommitContext,
    fs: FileSystem,
    sealIdleMs: number,
    records: EncodableRecord[],
    ledger: Ledger,
  ) {
    this.number = number
    this.context = context
    this.leader = new Leader(context)
    this.watch = new Watch(context, this.leader)
    this.follower = new Follower(context, this.leader, this.watch)
    this.placer = new Placer(context, this.leader, this.watch, this.follower)
    this.committer = new Committer(context, this.leader, this.watch, sealIdleMs)
    this.resumer = new Resume(context, this.leader, this.watch, fs, '')
    this.closer = new Closing(context, this.leader, this.watch)
    this.records = records
    this.ledger = ledger
    this.client = undefined
    this.keeper = undefined
    this.task = 0
  }
}

/** The life of a thread, from task `first` on. A generator in the explored build. */
export function runTasks(thread: ModelThread, tasks: readonly Task[], first: number): void {
  for (let index = first; index < tasks.length; index++) {
    const task = tasks[index]
    thread.task = index
    if (thread.client !== undefined) runClientTask(thread.client, task)
    else if (task.kind === 'commit') commitRecords(thread, task.record, 1)
    else if (task.kind === 'batch') commitRecords(thread, task.record, task.count)
    else if (task.kind === 'append') appendRecord(thread, task.record)
    else if (task.kind === 'flush') flushRecords(thread)
    else if (task.kind === 'serve') thread.committer.runUntilStopped()
    else if (task.kind === 'keep') thread.keeper!.run()
    else if (task.kind === 'resume') resumeOnce(thread)
    else if (task.kind === 'close') closeLog(thread, task.givesUp === true)
    else throw new Error(`a task of a thread with an event loop: ${task.kind}`)
  }
  if (thread.client !== undefined) thread.client.awaitAll()
}

/** What the application does when its stack has overflowed: it goes on. */
function runClientTask(client: PromiseClient, task: Task): void {
  try {
    client.runTask(task)
  } catch (error) {
    if ((error as StackOverflow).name !== 'StackOverflow') throw error
  }
}

/** As Producer.commitSync and commitBatchSync. */
function commitRecords(thread: ModelThread, first: number, count: number): void {
  const lsn = placeRecords(thread, first, count)
  if (lsn === 0) return
  const lastLsn = lsn + count - 1
  const verdict = thread.follower.awaitVerdict(lastLsn, Number.POSITIVE_INFINITY)
  thread.placer.leave()
  for (let each = lsn; each <= lastLsn; each++) thread.ledger.decided(each, verdict)
}

/** As Producer.append. */
function appendRecord(thread: ModelThread, record: number): void {
  if (placeRecords(thread, record, 1) === 0) return
  thread.placer.leave()
  thread.context.doorbell.ringCommitter()
}

/** As Producer.flushSync. */
function flushRecords(thread: ModelThread): void {
  const lsn = thread.placer.lastLsn
  if (lsn === 0) return
  thread.placer.enterBlocking()
  const verdict = thread.follower.awaitVerdict(lsn, Number.POSITIVE_INFINITY)
  thread.placer.leave()
  thread.ledger.decided(lsn, verdict)
}

/** The LSN, or 0 when the records were refused. */
function placeRecords(thread: ModelThread, first: number, count: number): number {
  const { placer, records, ledger } = thread
  let granules = 0
  for (let index = first; index < first + count; index++) granules += granulesOfRecord(records[index].length)
  let lsn = 0
  try {
    placer.enterBlocking()
    placer.reserve(granules, count, Number.POSITIVE_INFINITY)
    if (count === 1) lsn = placer.publishOne(records[first])
    else lsn = placer.publishBatch({ records: records.slice(first, first + count), granules })
  } catch (error) {
    if (!(error instanceof GroupWalError)) throw error
    ledger.refused(thread.number, first, count, error)
    return 0
  }
  ledger.placed(thread.number, first, count, lsn)
  return lsn
}

const RESUME_BASE = {} as FenceBase

/** As Log.resume, once the log has failed. */
function resumeOnce(thread: ModelThread): void {
  const { context, resumer } = thread
  for (;;) {
    const word = context.phases.phaseWord()
    if ((word & 15) === PHASE_SETTLED) break
    if ((word & 15) !== PHASE_OPEN && (word & 15) < PHASE_SETTLED - 1) return
    wait(context.memory.words, context.phases.phaseIndex(), word, Number.POSITIVE_INFINITY)
  }
  try {
    resumer.begin()
  } catch (error) {
    if (!(error instanceof GroupWalError)) throw error
    return
  }
  try {
    while (!resumer.tryFinish(RESUME_BASE)) pause()
  } catch (error) {
    if (!(error instanceof GroupWalError)) throw error
    resumer.cancel()
    return
  }
  thread.ledger.resumed()
}

/** As Log.close. */
function closeLog(thread: ModelThread, givesUp: boolean): void {
  const { closer, ledger } = thread
  while (!closer.begin() || !closer.tryFinish()) {
    if (givesUp) {
      while (!closer.abandon()) pause()
      ledger.closed()
      while (!closer.hasComeToRest()) pause()
      ledger.released()
      return
    }
    pause()
  }
  ledger.closed()
  ledger.released()
}

/** What the log says of a record, asked from outside. A generator in the explored build. */
export function askVerdict(thread: ModelThread, lsn: number): number {
  return thread.context.phases.verdictOn(lsn)
}

/**
 * Everything that was put into the ring was staged and published; nobody holds anything. Who died may have raised the
 * durable LSN as the last thing it did: then nobody waits any more, and the frame is published by whoever comes next.
 * So it is with the commit-lock, when who died with it had staged all that was waited for, and another wrote that.
 */
export function describeRest(thread: ModelThread, hasDeath: boolean): string {
  const { control, ring } = thread.context
  if (hasDeath) thread.leader.frames.publishReady()
  if (hasDeath && control.lockOwner() !== 0) thread.watch.lookForDead()
  if (control.lockOwner() !== 0) return 'the commit-lock is held'
  if (!ring.isEmpty()) return 'the ring is not empty'
  return control.isDrained() ? '' : 'a frame is not published'
}

/** The segment-keeper's place in a model without one: room is made by whoever needs it. */
export class ModelSupply {
  private readonly control: Control
  private readonly keeper: KeeperWords
  private readonly disk: ModelDisk
  private readonly segmentBytes: number

  constructor(words: { control: Control; keeper: KeeperWords }, disk: ModelDisk, segmentBytes: number) {
    this.control = words.control
    this.keeper = words.keeper
    this.disk = disk
    this.segmentBytes = segmentBytes
  }

  /** Never: so nobody is asked to make room ahead of need. */
  get isLow(): boolean {
    return false
  }

  makeRoom(): boolean {
    const { control, keeper } = this
    if (keeper.readyState() !== READY_NONE) return false
    const { sequence, saltLow, saltHigh, zeroedTo } = this.disk.prepare({
      sequence: control.segmentSequence() + 1,
      nextLsn: control.durableLsn() + 1,
      nextFrameSequence: control.frameSequence(),
    })
    assert(zeroedTo === this.segmentBytes, 'a segment is filled before it is announced')
    keeper.storeReady(sequence, saltLow, saltHigh)
    return true
  }

  abandon(): void {
    // nothing is ever in the making
  }
}
