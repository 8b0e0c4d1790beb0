import type { MessagePort } from 'node:worker_threads'
import type { EncodableRecord } from '../../src/commit/appender.ts'
import { THREAD_GONE, THREAD_POLLING, THREAD_RUNNING } from '../../src/commit/liveness.ts'
import type { SegmentSupply } from '../../src/commit/segment-supply.ts'
import { CLIENT_COMMITTER, CLIENT_KEEPER, CLIENT_PRODUCER } from '../../src/shared/clients.ts'
import { DURABLE_LSN, RESUMED_FROM, STATS, STATS_COUNT } from '../../src/shared/layout.ts'
import type { SharedMemory } from '../../src/shared/memory.ts'
import type { CounterName } from '../../src/shared/stats.ts'
import type { FileSystem } from '../../src/storage/file-system.ts'
import type { LoadedProtocol, Protocol } from './build-protocol.ts'
import type { Configuration, ThreadPlan } from './configuration.ts'
import { ModelDisk } from './disk.ts'
import type { EventLoop } from './event-loop.ts'
import type { Machine, ModelGenerator } from './machine.ts'
import { type LogWords, ownerCode, Promises } from './promises.ts'
import type { ModelThread, Task } from './protocol-entry.ts'
import { makeRestore } from './restore.ts'
import { type Chooser, Violation } from './scheduling.ts'
import type { NextSegment } from './segments.ts'
import { DEAD, DONE, RESTING } from './threads.ts'

const BLOCK_BYTES = 4096
const GRANULE_BYTES = 32
const CLIENT_LIMIT = 7
const THREAD_BASE = 100
const MODEL_WALL_MS = 1_700_000_000_000
const RECORDS_PER_THREAD = 15
/** Nobody asks the keeper of the model to drop segments. */
const NO_PORT = { on: () => {}, postMessage: () => {}, close: () => {} } as unknown as MessagePort
/** After deaths one more producer commits: everything the dead left behind must be gone by then. */
const FINISHER_TASKS: Task[] = [{ kind: 'commit', record: 0 }]

type Views = ReturnType<Protocol['createViews']>

/** One configuration, set up once and run under as many schedules as one likes. */
export class World {
  readonly configuration: Configuration
  private readonly chooser: Chooser
  readonly machine: Machine
  readonly disk: ModelDisk
  readonly promises: Promises
  private readonly protocol: Protocol
  private readonly threads: ModelThread[]
  /** By thread, where it has one. */
  private readonly loops: (EventLoop | undefined)[]
  private readonly memory: SharedMemory
  private readonly doubles: Float64Array
  private readonly template: Int32Array
  private readonly restore: () => void
  private readonly records: EncodableRecord[][]
  /** By thread: whether a record continues a batch. */
  private readonly continues: boolean[][]

  constructor(configuration: Configuration, loaded: LoadedProtocol, chooser: Chooser) {
    this.configuration = configuration
    this.chooser = chooser
    this.machine = loaded.machine
    this.protocol = loaded.protocol
    this.loops = configuration.threads.map(({ isAsync, isDaemon }) =>
      isAsync === true ? new this.protocol.EventLoop(isDaemon === true) : undefined,
    )
    this.takeMachine()
    this.records = []
    this.continues = []
    const segmentBytes = (configuration.segmentFrames + 1) * BLOCK_BYTES
    this.memory = this.makeMemory(segmentBytes)
    this.doubles = new Float64Array(this.memory.words.buffer)
    const { layout } = this.memory
    // As openLog has it.
    const ringBytes = configuration.ringGranules * GRANULE_BYTES
    const maxOutstandingRecords = Math.ceil((ringBytes * (1 + configuration.slots)) / GRANULE_BYTES)
    this.promises = new Promises(configuration, this.machine, maxOutstandingRecords, {
      disk: () => this.disk,
      words: () => this.logWords,
      ownerOf: (payload) => this.ownerOf(payload),
    })
    this.disk = new ModelDisk(this.machine, {
      segments: {
        blockBytes: BLOCK_BYTES,
        segmentBytes,
        maxOutstandingRecords,
        firstLsn: configuration.firstLsn,
        zeroedTo: Math.min(
          segmentBytes,
          ((configuration.zeroedFrames ?? configuration.segmentFrames) + 1) * BLOCK_BYTES,
        ),
        isDirect: configuration.method === 'dsync' || configuration.method === 'direct',
      },
      isDsync: configuration.method === 'dsync',
      ownerOf: (payload, continues) => this.ownerOf(payload, continues),
      submitted: this.promises,
      onChange: () => this.promises.checkCrash(),
    })
    const views = this.protocol.createViews(this.memory)
    this.initialize(views)
    const fs = this.makeFileSystem()
    this.threads = []
    // One more: who comes after the deaths and finds everything in order.
    for (let index = 0; index <= configuration.threads.length; index++)
      this.threads.push(this.makeThread(index, views, fs))
    this.disk.keepOpenFiles()
    this.logWords = this.makeLogWords()
    this.template = this.memory.words.slice(0, layout.slotBuffersAt / 4)
    this.restore = makeRestore(this.threads)
  }

  /** Before runs, when another world had the machine. */
  takeMachine(): void {
    const { machine, chooser, configuration } = this
    const { threads, limits } = configuration
    const mask = (has: (plan: ThreadPlan) => boolean): number =>
      threads.reduce((bits, plan, index) => (has(plan) ? bits | (1 << index) : bits), 0)
    machine.configure({
      chooser,
      threadCount: threads.length + 1,
      limits,
      mortal: mask(({ isMortal }) => isMortal === true),
      survivors: mask(({ survives }) => survives !== undefined),
      thrown: mask(({ survives }) => survives === 'thrown'),
      mandatory: mask(({ isDaemon }) => isDaemon !== true) | (1 << threads.length),
    })
    for (const [index, loop] of this.loops.entries()) machine.loops[index] = loop
    machine.onKill = (thread) => this.noteDeath(thread)
    machine.onDurable = (lsn) => this.promises.checkDurable(lsn)
  }

  private readonly logWords: LogWords

  /** Runs the configuration once; returns what was broken. */
  run(): Violation | undefined {
    const { machine, threads, configuration, protocol } = this
    this.memory.words.set(this.template)
    this.restore()
    this.disk.reset()
    this.promises.reset()
    machine.reset()
    try {
      for (let index = 0; index < configuration.threads.length; index++) {
        const { tasks } = configuration.threads[index]
        machine.start(index, protocol.runTasks(threads[index], tasks, 0) as unknown as ModelGenerator)
      }
      machine.run()
      if (machine.deaths > 0) this.runFinisher()
      this.promises.checkEnd()
    } catch (error) {
      if (error instanceof Violation) return error
      const { name, message } = error as Error
      if (name === 'AssertionError') return new Violation('assertion', message)
      return new Violation('model', (error as Error).stack ?? message)
    }
    return undefined
  }

  private runFinisher(): void {
    const { machine, protocol, threads } = this
    const last = threads.length - 1
    machine.start(last, protocol.runTasks(threads[last], FINISHER_TASKS, 0) as unknown as ModelGenerator)
    machine.run()
  }

  // ---- setting up

  private makeMemory(segmentBytes: number): SharedMemory {
    const { configuration, protocol } = this
    const layout = protocol.planLayout({
      ringBytes: configuration.ringGranules * GRANULE_BYTES,
      maxBatchBytes: configuration.ringGranules * GRANULE_BYTES,
      slotCount: configuration.slots,
      committerRecords: configuration.committerRecords,
      maxClients: CLIENT_LIMIT,
      blockBytes: BLOCK_BYTES,
      segmentBytes,
      frameHeaderBytes: protocol.FRAME_HEADER_BYTES,
    })
    // Not shared in truth: there is one thread, and V8 is quicker with it.
    const buffer = new ArrayBuffer(layout.totalBytes)
    const wide = new protocol.ModelWideWords(buffer)
    return protocol.SharedMemory.withOperations({ buffer } as never, wide as never, layout)
  }

  /** As openLog begins: see initializeMemory there. */
  private initialize({ ring, phases, control, keeper }: Views): void {
    const { opened } = this.disk
    const { segment } = opened
    this.setUp(ring.initialize(this.configuration.ringPosition, opened.nextLsn % 2 ** 32))
    this.setUp(phases.initialize())
    this.setUp(control.storeHeadLsn(opened.nextLsn))
    this.setUp(control.raiseDurableLsn(opened.durableLsn))
    this.setUp(
      control.storeChain({
        segment: segment.sequence,
        offset: opened.previousOffset,
        endOffset: opened.writeOffset,
        frameSequence: opened.nextFrameSequence - 1,
        checksum: opened.previousChecksum,
      }),
    )
    this.setUp(
      control.storeSegment(segment.sequence, segment.saltLow, segment.saltHigh, segment.segmentBytes),
    )
    this.setUp(keeper.storeZeroed(segment.sequence, segment.zeroedTo))
    this.setUp(control.storeLastFrameFlags(this.protocol.FLAG_SEAL))
    // A line that no thread holds: the keeper is gone, and whoever needs room makes it.
    this.setUp(keeper.storeKeeperClient(CLIENT_LIMIT))
  }

  /** A call that became a generator is run to its end; one that did not has done its work already. */
  private setUp(called: unknown): unknown {
    if (typeof called !== 'object' || called === null) return called
    return this.machine.callQuietly(called as Generator<undefined, unknown>)
  }

  private makeFileSystem(): FileSystem {
    const { disk } = this
    const fs = {
      disk,
      open: (path: string) => disk.open(path),
      close: () => {},
      write: (fd: number, bytes: Uint8Array, at: number, length: number, position: number) =>
        disk.write(fd, bytes, at, length, position),
      dataSync: (fd: number) => disk.sync(fd),
      fullSync: (fd: number) => disk.sync(fd),
      linkCount: () => 1,
      list: () => disk.list(),
      unlink: (path: string) => disk.unlink(path),
      syncDirectory: () => {},
      beginSegment: (sequence: number) => disk.beginSegment(sequence),
      fillSegment: () => disk.fillSegment(),
      publishSegment: (next: NextSegment) => disk.publishSegment(next),
      abandonSegment: () => disk.abandonSegment(),
      writeZeros: (path: string, from: number, to: number) => disk.writeZeros(path, from, to),
    }
    return fs as unknown as FileSystem
  }

  private makeThread(index: number, views: Views, fs: FileSystem): ModelThread {
    const { configuration, protocol, machine } = this
    const plan = configuration.threads[index]
    const isCommitter = plan?.tasks.some(({ kind }) => kind === 'serve') === true
    const isKeeper = plan?.tasks.some(({ kind }) => kind === 'keep') === true
    const thread = THREAD_BASE + index
    const identity = { thread, startTicks: 0, workerId: index }
    const client = index + 1
    const kind = isKeeper ? CLIENT_KEEPER : isCommitter ? CLIENT_COMMITTER : CLIENT_PRODUCER
    this.setUp(views.clients.claimThisLine(client, 0, identity, kind))
    if (isCommitter) this.setUp(views.doorbell.storeCommitterClient(client))
    if (isKeeper) this.setUp(views.keeper.storeKeeperClient(client))
    const context = {
      ...views,
      client,
      thread,
      liveness: {
        identity: () => identity,
        threadState: (which: number) => this.threadState(which - THREAD_BASE),
      },
      writer: new protocol.SegmentWriter(fs, '', configuration.method),
      supply: this.makeSupply(views, fs),
      clock: { wallMs: () => MODEL_WALL_MS, monotonicMs: () => machine.nowMs },
      sources: { randomBytes: (bytes: number) => new Uint8Array(bytes), nowMs: () => MODEL_WALL_MS },
    }
    // Opened before the runs begin: a run then begins with open segments, as a log at work does.
    this.setUp(context.writer.openSegment(this.disk.opened.segment.sequence))
    const records = this.makeRecords(index)
    const sealIdleMs = configuration.seals ? 100 : 0
    const made = new protocol.ModelThread(index, context, fs, sealIdleMs, records, this.promises)
    const loop = this.loops[index]
    if (isKeeper)
      made.keeper = new protocol.Keeper(context, { fileSystem: fs, directory: '' } as never, NO_PORT)
    else if (loop !== undefined)
      made.client = new protocol.PromiseClient(
        index,
        context,
        loop,
        records,
        this.promises,
        plan?.leadsItself === true,
      )
    return made
  }

  /** With a keeper, or its death, all that it does is there; else whoever needs room has it at once. */
  private makeSupply(views: Views, fs: FileSystem): SegmentSupply {
    const { configuration, protocol, memory, disk } = this
    const { segmentBytes, blockBytes } = memory.layout
    if (!configuration.threads.some(({ tasks }) => tasks[0].kind === 'keep'))
      return new protocol.ModelSupply(views, disk, segmentBytes) as unknown as SegmentSupply
    // What stands in the header of a segment is added by the disk.
    const spec = {
      directory: '',
      logId: new Uint8Array(0),
      blockBytes,
      segmentBytes,
      maxOutstandingRecords: 0,
    }
    return new protocol.SegmentSupply(fs, configuration.method, spec, views, {} as never)
  }

  private makeRecords(thread: number): EncodableRecord[] {
    const records: EncodableRecord[] = []
    const continues: boolean[] = []
    for (let record = 0; record < RECORDS_PER_THREAD; record++) {
      const payload = payloadOf(thread, record, this.configuration.payloadBytes)
      records.push({
        lsn: 0,
        recordType: 0x8001,
        vshardId: thread,
        tenantId: record,
        continues: false,
        payload,
        from: 0,
        length: payload.length,
      })
      continues.push(false)
    }
    for (const task of this.configuration.threads[thread]?.tasks ?? []) {
      if (task.kind !== 'batch') continue
      for (let at = task.record; at < task.record + task.count - 1; at++) continues[at] = true
    }
    this.records.push(records)
    this.continues.push(continues)
    return records
  }

  private ownerOf(payload: Uint8Array, continues?: boolean): number {
    const [thread, record] = payload
    const expected = this.records[thread]?.[record]
    if (expected === undefined || Buffer.compare(expected.payload, payload) !== 0) return 0
    if (continues !== undefined && this.continues[thread][record] !== continues) return 0
    return ownerCode(thread, record)
  }

  // ---- what the shared memory says

  private makeLogWords(): LogWords {
    const { protocol, threads, doubles } = this
    const failuresAt = this.findCounter('failures')
    const rescuesAt = this.findCounter('recheckRescues')
    return {
      durableLsn: () => doubles[DURABLE_LSN / 2],
      resumedFrom: () => doubles[RESUMED_FROM / 2],
      failures: () => doubles[failuresAt],
      recheckRescues: () => doubles[rescuesAt],
      verdictOn: (lsn) => this.setUp(protocol.askVerdict(threads[0], lsn)) as number,
      rest: (hasDeath) => this.setUp(protocol.describeRest(threads[0], hasDeath)) as string,
    }
  }

  /** Where a counter stands: the one that changes when it counts. */
  private findCounter(name: CounterName): number {
    const { doubles } = this
    const { counters } = this.threads[0].context
    const from = STATS / 2
    const before = doubles.slice(from, from + STATS_COUNT)
    this.setUp(counters.count(name, 1))
    const at = before.findIndex((value, index) => doubles[from + index] !== value)
    if (at < 0) throw new Error(`no counter is called ${name}`)
    doubles[from + at] = before[at]
    return from + at
  }

  /** As Liveness has it: a thread between two calls of the protocol sits in its event loop. */
  private threadState(thread: number): number {
    const state = this.machine.threads.states[thread]
    if (state !== DEAD && state !== DONE && state !== RESTING) return THREAD_RUNNING
    this.machine.look(thread)
    return state === DEAD ? THREAD_GONE : THREAD_POLLING
  }

  private noteDeath(thread: number): void {
    this.noteHole(thread)
    const { tasks, survives } = this.configuration.threads[thread]
    if (survives === undefined) this.machine.threads.forgetAsync(thread)
    if (survives !== 'cut off') return
    const rest = this.protocol.runTasks(this.threads[thread], tasks, this.threads[thread].task + 1)
    this.machine.start(thread, rest as unknown as ModelGenerator)
  }

  /** What a thread left that was stopped: a hole where its place was reserved and not published. */
  private noteHole(thread: number): void {
    const { clients, ring, client } = this.threads[thread].context
    const { firstLsn } = this.configuration
    const position = clients.placePosition(client)
    const code = this.memory.words[(this.memory.layout.codesAt >>> 2) + (position & (ring.granules - 1))]
    if (code !== (0x80000000 | client | 0)) return
    const first = firstLsn + ((clients.placeSequence(client) - (firstLsn | 0)) | 0)
    for (let index = 0; index < clients.placeRecords(client); index++) this.promises.hole(first + index)
  }
}

function payloadOf(thread: number, record: number, bytes: number): Uint8Array {
  const payload = new Uint8Array(bytes)
  payload[0] = thread
  payload[1] = record
  for (let at = 2; at < bytes; at++) payload[at] = (thread * 59 + record * 31 + at * 7) & 0xff
  return payload
}
