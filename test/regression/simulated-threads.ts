import { randomBytes } from 'node:crypto'
import type { Clock, CommitContext } from '../../src/commit/context.ts'
import { Follower } from '../../src/commit/follower.ts'
import { joinProtocol, systemClock } from '../../src/commit/join.ts'
import { Leader } from '../../src/commit/leader.ts'
import { THREAD_GONE, THREAD_POLLING, THREAD_RUNNING } from '../../src/commit/liveness.ts'
import { granulesOfRecord } from '../../src/commit/prefix.ts'
import { Watch } from '../../src/commit/watch.ts'
import { FLAG_SEAL, FRAME_HEADER_BYTES } from '../../src/format/frame.ts'
import { Closing } from '../../src/host/close.ts'
import { verdictError } from '../../src/host/failure.ts'
import { type LogHandle, rememberMemory } from '../../src/host/handle.ts'
import { Placer } from '../../src/host/placer.ts'
import { type FenceBase, Resume } from '../../src/host/resume.ts'
import { recover } from '../../src/recovery/recover.ts'
import { CLIENT_OPENER, CLIENT_PRODUCER } from '../../src/shared/clients.ts'
import { Control } from '../../src/shared/control.ts'
import { KeeperWords } from '../../src/shared/keeper-words.ts'
import { planLayout } from '../../src/shared/layout.ts'
import { SharedMemory } from '../../src/shared/memory.ts'
import { Phases, VERDICT_DURABLE } from '../../src/shared/phase.ts'
import { Ring } from '../../src/shared/ring.ts'
import { createNodeFileSystem } from '../../src/storage/node-file-system.ts'
import { contentAfterReopen } from '../support/log-content.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const BLOCK_BYTES = 4096
const MIB = 1 << 20
/** The lines of the internal workers and of the opener come before those of producers. */
const INTERNAL_LINES = 4
const PRODUCER_LINES = 16

const RECORD = { lsn: 0, recordType: 0x8001, vshardId: 0, tenantId: 0, continues: false }

export interface SimulatedLogOptions {
  slotCount?: number
  committerRecords?: number
  segmentBytes?: number
  maxBatchBytes?: number
}

/**
 * A log on the real disk whose "threads" are clients in one real thread, without internal workers. One is preempted
 * by running another within a call of its own (`beforeNext`), at exactly the step that a test wants. Each is alive
 * or gone for the others as the test says.
 */
export class SimulatedLog {
  readonly directory: string
  readonly handle: LogHandle
  readonly memory: SharedMemory
  readonly threads: Map<number, SimulatedThread>

  constructor({
    slotCount = 1,
    committerRecords = 6,
    segmentBytes = MIB,
    maxBatchBytes = 256 * 1024,
  }: SimulatedLogOptions = {}) {
    this.directory = temporaryDirectory()
    this.threads = new Map()
    const layout = planLayout({
      ringBytes: MIB,
      maxBatchBytes,
      slotCount,
      committerRecords,
      maxClients: INTERNAL_LINES + PRODUCER_LINES,
      blockBytes: BLOCK_BYTES,
      segmentBytes,
      frameHeaderBytes: FRAME_HEADER_BYTES,
    })
    this.memory = SharedMemory.allocate(layout).memory
    const maxOutstandingRecords = layout.ringGranules + slotCount * layout.maxReservationGranules
    const logId = this.initialize(segmentBytes, maxOutstandingRecords)
    this.handle = {
      groupwal: 1,
      pid: process.pid,
      directory: this.directory,
      region: this.memory.region,
      syncMethod: 'fdatasync',
      logId,
      maxOutstandingRecords,
      sealIdleMs: 0,
      ownLeadMicros: 0,
      fileSystem: undefined,
    }
    rememberMemory(this.memory.region, this.memory)
  }

  /** As openLog does. */
  private initialize(segmentBytes: number, maxOutstandingRecords: number): Uint8Array {
    const { memory } = this
    const recovered = recover(createNodeFileSystem(), this.directory, {
      segmentBytes,
      maxOutstandingRecords,
      firstLsn: undefined,
      blockBytes: BLOCK_BYTES,
      directReads: false,
      directWrites: false,
      keepSpares: 2,
      randomBytes: (count) => randomBytes(count),
      nowMs: () => Date.now(),
    })
    const control = new Control(memory)
    const keeper = new KeeperWords(memory)
    const { segment } = recovered
    new Ring(memory).initialize(0, recovered.nextLsn)
    new Phases(memory).initialize()
    control.storeHeadLsn(recovered.nextLsn)
    control.storeChain({
      segment: segment.sequence,
      offset: recovered.previousOffset,
      endOffset: recovered.writeOffset,
      frameSequence: recovered.nextFrameSequence - 1,
      checksum: recovered.previousChecksum,
    })
    control.storeSegment(segment.sequence, segment.saltLow, segment.saltHigh, segment.segmentBytes)
    keeper.storeZeroed(segment.sequence, segment.zeroedTo)
    control.storeLastFrameFlags(FLAG_SEAL)
    // There is no keeper, unless a test starts one: whoever needs room makes it.
    keeper.noteKeeperEnd(memory.layout.maxClients + 1)
    return recovered.logId
  }

  start(kind: number = CLIENT_PRODUCER, clock: Clock = systemClock): SimulatedThread {
    const thread = new SimulatedThread(this, 1000 + this.threads.size, kind, clock)
    this.threads.set(thread.number, thread)
    return thread
  }

  startOpener(): SimulatedThread {
    return this.start(CLIENT_OPENER)
  }

  /** What a process that opens the log later finds there. */
  contentAfterReopen(): Promise<Map<number, string>> {
    return contentAfterReopen(this.directory, { segmentBytes: MIB, syncMethod: 'fdatasync' })
  }
}

/** One client, with all the objects that a thread has. */
export class SimulatedThread {
  readonly number: number
  readonly context: CommitContext
  readonly leader: Leader
  readonly watch: Watch
  readonly placer: Placer
  readonly follower: Follower
  readonly closing: Closing
  readonly resuming: Resume
  private readonly base: FenceBase
  /** What the others see when they look whether it lives. */
  private state: number

  constructor(log: SimulatedLog, number: number, kind: number, clock: Clock) {
    this.number = number
    this.state = THREAD_RUNNING
    const identity = { thread: number, startTicks: 0, workerId: number }
    const isProducer = kind === CLIENT_PRODUCER
    const { directory, memory, handle } = log
    const { blockBytes, segmentBytes } = memory.layout
    const { logId, maxOutstandingRecords, syncMethod } = handle
    const fs = createNodeFileSystem()
    const context = joinProtocol(memory, {
      fs,
      method: syncMethod,
      supply: { directory, logId, blockBytes, segmentBytes, maxOutstandingRecords },
      liveness: {
        identity: () => identity,
        threadState: (thread) => log.threads.get(thread)?.state ?? THREAD_RUNNING,
      },
      identity,
      clock,
      kind,
      lines: {
        first: isProducer ? INTERNAL_LINES + 1 : 1,
        last: isProducer ? memory.layout.maxClients : INTERNAL_LINES,
      },
    })
    if (context === undefined) throw new Error('no line is free')
    this.context = context
    this.leader = new Leader(context)
    this.watch = new Watch(context, this.leader)
    this.follower = new Follower(context, this.leader, this.watch)
    this.placer = new Placer(context, this.leader, this.watch, this.follower)
    this.closing = new Closing(context, this.leader, this.watch)
    this.resuming = new Resume(context, this.leader, this.watch, fs, directory)
    const { randomBytes, nowMs } = context.sources
    this.base = { logId, blockBytes, segmentBytes, maxOutstandingRecords, randomBytes, nowMs }
  }

  /** Its thread has ended, wherever in a call it was. */
  die(): void {
    this.state = THREAD_GONE
  }

  /** Its call was cut off, and it sits in its event loop since. */
  idle(): void {
    this.state = THREAD_POLLING
  }

  /** As commitSync of a producer: the LSN, or an error with the outcome. */
  commit(payload: string): number {
    const lsn = this.place(payload)
    this.awaitDurable(lsn)
    return lsn
  }

  /** As append of a producer. */
  append(payload: string): number {
    const lsn = this.place(payload)
    this.placer.leave()
    this.context.doorbell.ringCommitter()
    return lsn
  }

  /** As flushSync of a producer. */
  flush(lsn: number): void {
    this.placer.enterBlocking()
    this.awaitDurable(lsn)
  }

  place(payload: string): number {
    const bytes = Buffer.from(payload)
    this.placer.enterBlocking()
    this.placer.reserve(granulesOfRecord(bytes.length), 1, Number.POSITIVE_INFINITY)
    return this.placer.publishOne({ ...RECORD, payload: bytes, from: 0, length: bytes.length })
  }

  private awaitDurable(lsn: number): void {
    const { phases } = this.context
    const verdict = this.follower.awaitVerdict(lsn, Number.POSITIVE_INFINITY)
    this.placer.leave()
    if (verdict !== VERDICT_DURABLE) throw verdictError(verdict, lsn, phases)
  }

  /** One attempt of resume(), as often as log.resume() tries it. True when the log takes records again. */
  tryResume(): boolean {
    return this.resuming.tryFinish(this.base)
  }

  /** This thread's write reaches the disk, and is then reported as failed. */
  failNextWrite(during: () => void = nothing): void {
    const { writer } = this.context
    replaceNext(writer, 'writeDurably', (write) => {
      write()
      during()
      writer.failedCall = 'write'
      writer.failedErrno = 5
      return false
    })
  }

  /** A commit that never comes back from its write: what is thrown stands for the end of the call. */
  abandonInWrite(payload: string): void {
    cutOff(this, payload, (cut) => beforeNext(this.context.writer, 'writeDurably', cut))
  }
}

/** Runs a commit that `arrange` lets throw in its midst. */
export function cutOff(thread: SimulatedThread, payload: string, arrange: (cut: () => never) => void): void {
  const marker = new Error('the call was cut off')
  arrange(() => {
    throw marker
  })
  try {
    thread.commit(payload)
  } catch (error) {
    if (error === marker) return
    throw error
  }
  throw new Error('the commit was not cut off')
}

type Method = (...args: never[]) => unknown

/** Runs `during` within the next call of this method, before its body. */
export function beforeNext<Name extends string>(
  target: { [Key in Name]: Method },
  name: Name,
  during: () => void,
): void {
  replaceNext(target, name, (body) => {
    during()
    return body()
  })
}

/** Runs `replacement` in place of the next call of this method; `body` is what the method would have done. */
export function replaceNext<Name extends string>(
  target: { [Key in Name]: Method },
  name: Name,
  replacement: (body: () => unknown) => unknown,
): void {
  const holder = target as Record<string, unknown>
  const real = target[name] as (...args: unknown[]) => unknown
  const wasOwn = Object.hasOwn(target, name)
  holder[name] = (...args: unknown[]): unknown => {
    if (wasOwn) holder[name] = real
    else delete holder[name]
    return replacement(() => real.apply(target, args))
  }
}

function nothing(): void {
  // by default nothing happens meanwhile
}
