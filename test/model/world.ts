import type { EncodableRecord } from '../../src/commit/appender.ts'
import { THREAD_GONE, THREAD_POLLING, THREAD_RUNNING } from '../../src/commit/liveness.ts'
import type { GroupWalError } from '../../src/errors.ts'
import { CLIENT_COMMITTER, CLIENT_PRODUCER } from '../../src/shared/clients.ts'
import { RESERVATION } from '../../src/shared/layout.ts'
import {
  VERDICT_ABANDONED,
  VERDICT_DURABLE,
  VERDICT_INDETERMINATE,
  VERDICT_PENDING,
} from '../../src/shared/phase.ts'
import type { FileSystem } from '../../src/storage/file-system.ts'
import type { SyncMethod } from '../../src/storage/sync-method.ts'
import type { LoadedProtocol, Protocol } from './build-protocol.ts'
import { LSN_LIMIT, ModelDisk, NOOP, SALT_FACTOR } from './disk.ts'
import {
  type Chooser,
  DEAD,
  DONE,
  type Limits,
  type Machine,
  type ModelGenerator,
  Violation,
} from './machine.ts'
import type { Ledger, ModelThread, Task } from './protocol-entry.ts'
import { makeRestore } from './restore.ts'

/** What a thread of a configuration does. */
export interface ThreadPlan {
  tasks: Task[]
  /** Serves others and never ends by itself. */
  isDaemon?: boolean
  /** May be killed, when the configuration allows deaths. */
  isMortal?: boolean
  /** In place of dying, its call is cut off (as by a `vm` timeout), and it goes on with its next task. */
  survives?: boolean
}

/** One small log, its threads, and what may go wrong. */
export interface Configuration {
  name: string
  threads: ThreadPlan[]
  ringGranules: number
  slots: number
  method: SyncMethod
  firstLsn: number
  ringPosition: number
  /** Frames per segment. */
  segmentFrames: number
  /** Payload bytes of a record: 8 take one granule, 40 take two. */
  payloadBytes: number
  limits: Limits
  /** A seal is written when the log is idle. */
  seals: boolean
}

const BLOCK_BYTES = 512
const CLIENT_LIMIT = 7
const THREAD_BASE = 100
const MODEL_WALL_MS = 1_700_000_000_000
const RECORDS_PER_THREAD = 15

/** One configuration, set up once and run under as many schedules as one likes. */
export class World implements Ledger {
  readonly configuration: Configuration
  readonly machine: Machine
  readonly disk: ModelDisk
  private readonly protocol: Protocol
  private readonly threads: ModelThread[]
  private readonly words: Int32Array
  private readonly template: Int32Array
  private readonly restore: () => void
  private readonly records: EncodableRecord[][]
  /** By thread: whether a record continues a batch. */
  private readonly continues: boolean[][]
  /** By LSN - firstLsn: owner code of the record that got it, 0 when nobody was told. */
  private readonly owners: Int32Array
  private readonly verdicts: Int8Array
  private readonly lastLsn: Float64Array
  /** By LSN - firstLsn: 1 where a dead producer left a hole. */
  private readonly holes: Uint8Array
  private readonly refusedOwners: number[]
  private isClosed: boolean
  private readonly submittedCount: number

  constructor(configuration: Configuration, loaded: LoadedProtocol, chooser: Chooser) {
    this.configuration = configuration
    const { threads } = configuration
    // One more: who comes after the deaths and finds everything in order.
    const count = threads.length + 1
    let mortal = 0
    let mandatory = 1 << threads.length
    for (const [index, plan] of threads.entries()) {
      if (plan.isMortal === true) mortal |= 1 << index
      if (plan.isDaemon !== true) mandatory |= 1 << index
    }
    this.machine = loaded.machine
    this.protocol = loaded.protocol
    this.machine.configure(chooser, count, configuration.limits, mortal, mandatory)
    this.records = []
    this.continues = []
    const segmentBytes = (configuration.segmentFrames + 1) * BLOCK_BYTES
    this.disk = new ModelDisk(this.machine, {
      blockBytes: BLOCK_BYTES,
      segmentBytes,
      firstLsn: configuration.firstLsn,
      isDsync: configuration.method === 'dsync',
      ownerOf: (payload, continues) => this.ownerOf(payload, continues),
    })
    this.owners = new Int32Array(LSN_LIMIT)
    this.verdicts = new Int8Array(LSN_LIMIT)
    this.lastLsn = new Float64Array(count)
    this.holes = new Uint8Array(LSN_LIMIT)
    this.refusedOwners = []
    this.isClosed = false
    this.submittedCount = countRecords(threads)
    const { memory, views } = this.makeMemory(segmentBytes)
    this.words = memory.words
    const fs = this.makeFileSystem()
    this.threads = []
    for (let index = 0; index < count; index++) this.threads.push(this.makeThread(index, memory, views, fs))
    this.disk.keepOpenFiles()
    this.template = this.words.slice(0, memory.layout.slotBuffersAt / 4)
    this.restore = makeRestore(this.threads)
    this.machine.onKill = (thread) => this.noteDeath(thread)
    this.machine.onDurable = (lsn) => this.disk.checkDurable(lsn)
  }

  /** Runs the configuration once; returns what was broken. */
  run(): Violation | undefined {
    const { machine, threads, configuration, protocol } = this
    this.words.set(this.template)
    this.restore()
    this.disk.reset()
    this.owners.fill(0)
    this.verdicts.fill(0)
    this.lastLsn.fill(0)
    this.holes.fill(0)
    this.refusedOwners.length = 0
    this.isClosed = false
    machine.reset()
    try {
      for (let index = 0; index < configuration.threads.length; index++) {
        const { tasks } = configuration.threads[index]
        machine.start(index, protocol.runTasks(threads[index], tasks, 0) as unknown as ModelGenerator)
      }
      machine.run()
      if (machine.deaths > 0) this.runFinisher()
      this.checkEnd()
    } catch (error) {
      if (error instanceof Violation) return error
      const { name, message } = error as Error
      if (name === 'AssertionError') return new Violation('assertion', message)
      return new Violation('model', (error as Error).stack ?? message)
    }
    return undefined
  }

  /** After deaths one more producer commits: everything the dead left behind must be gone by then. */
  private runFinisher(): void {
    const { machine, protocol, threads } = this
    const last = threads.length - 1
    machine.start(last, protocol.runTasks(threads[last], FINISHER_TASKS, 0) as unknown as ModelGenerator)
    machine.run()
  }

  // ---- setting up

  private makeMemory(segmentBytes: number) {
    const { configuration, protocol } = this
    const layout = protocol.planLayout({
      ringBytes: configuration.ringGranules * 32,
      maxBatchBytes: configuration.ringGranules * 32,
      slotCount: configuration.slots,
      maxClients: CLIENT_LIMIT,
      blockBytes: BLOCK_BYTES,
      segmentBytes,
      frameHeaderBytes: protocol.FRAME_HEADER_BYTES,
    })
    const region = new SharedArrayBuffer(layout.totalBytes)
    const wide = new protocol.ModelWideWords(region)
    const memory = protocol.SharedMemory.withOperations(region, wide as never, layout)
    const views = protocol.createViews(memory)
    const { firstLsn, ringPosition } = configuration
    const words = memory.words
    // As openLog begins: see initializeMemory there.
    this.setUp(views.ring.initialize(ringPosition, firstLsn % 2 ** 32))
    this.setUp(views.phases.initialize())
    this.setUp(views.control.storeHeadLsn(firstLsn))
    wide.store(98 * 4, firstLsn - 1)
    this.setUp(
      views.control.storeChain({
        segment: 1,
        offset: 0,
        endOffset: BLOCK_BYTES,
        frameSequence: 0,
        checksum: 0,
      }),
    )
    this.setUp(views.control.storeSegment(1, SALT_FACTOR, segmentBytes, segmentBytes))
    this.setUp(views.control.storeZeroed(1, segmentBytes))
    this.setUp(views.control.storeLastFrameFlags(protocol.FLAG_SEAL))
    // A line that no thread holds: the keeper is gone, and whoever needs room makes it.
    this.setUp(views.control.storeKeeperClient(CLIENT_LIMIT))
    if (words[RESERVATION] !== (ringPosition | 0)) throw new Error('the ring was not set up')
    return { memory, views }
  }

  /** A call that became a generator is run to its end; one that did not has done its work already. */
  private setUp(called: unknown): void {
    const { machine } = this
    if (typeof called === 'object' && called !== null)
      machine.callQuietly(called as Generator<undefined, unknown>)
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
    }
    return fs as unknown as FileSystem
  }

  private makeThread(
    index: number,
    memory: ReturnType<World['makeMemory']>['memory'],
    views: ReturnType<World['makeMemory']>['views'],
    fs: FileSystem,
  ): ModelThread {
    const { configuration, protocol, machine } = this
    const plan = configuration.threads[index]
    const isCommitter = plan?.tasks.some(({ kind }) => kind === 'serve') === true
    const thread = THREAD_BASE + index
    const identity = { thread, startTicks: 0, workerId: index }
    const kind = isCommitter ? CLIENT_COMMITTER : CLIENT_PRODUCER
    const client = index + 1
    this.setUp(views.clients.claimThisLine(client, 0, identity, kind))
    if (isCommitter) this.setUp(views.control.storeCommitterClient(client))
    const records: EncodableRecord[] = []
    const continues: boolean[] = []
    for (let record = 0; record < RECORDS_PER_THREAD; record++) {
      const payload = payloadOf(index, record, configuration.payloadBytes)
      records.push({
        lsn: 0,
        recordType: 0x8001,
        vshardId: index,
        tenantId: record,
        continues: false,
        payload,
        from: 0,
        length: payload.length,
      })
      continues.push(false)
    }
    for (const task of plan?.tasks ?? []) {
      if (task.kind !== 'batch') continue
      for (let at = task.record; at < task.record + task.count - 1; at++) continues[at] = true
    }
    this.records.push(records)
    this.continues.push(continues)
    const context = {
      ...views,
      client,
      thread,
      liveness: {
        identity: () => identity,
        threadState: (which: number) => this.threadState(which - THREAD_BASE),
      },
      writer: new protocol.SegmentWriter(fs, '', configuration.method),
      supply: new protocol.ModelSupply(views.control, memory.layout.segmentBytes) as never,
      clock: { wallMs: () => MODEL_WALL_MS, monotonicMs: () => machine.nowMs },
      sources: { randomBytes: (bytes: number) => new Uint8Array(bytes), nowMs: () => MODEL_WALL_MS },
    }
    // Opened before the runs begin: a run then begins with open segments, as a log at work does.
    context.writer.openSegment(1)
    return new protocol.ModelThread(index, context, fs, configuration.seals ? 100 : 0, records, this)
  }

  private ownerOf(payload: Uint8Array, continues: boolean): number {
    const [thread, record] = payload
    const expected = this.records[thread]?.[record]
    if (expected === undefined || this.continues[thread][record] !== continues) return 0
    if (Buffer.compare(expected.payload, payload) !== 0) return 0
    return ownerCode(thread, record)
  }

  // ---- what the threads tell

  placed(thread: number, first: number, count: number, firstLsn: number): void {
    if (firstLsn <= this.lastLsn[thread]) {
      throw new Violation('P2', `T${thread} got LSN ${firstLsn} after ${this.lastLsn[thread]}`)
    }
    this.lastLsn[thread] = firstLsn + count - 1
    for (let index = 0; index < count; index++) {
      const at = firstLsn + index - this.configuration.firstLsn
      if (at < 0 || at >= this.owners.length)
        throw new Violation('P2', `LSN ${firstLsn + index} was never handed out`)
      if (this.owners[at] !== 0) throw new Violation('P2', `LSN ${firstLsn + index} was handed out twice`)
      this.owners[at] = ownerCode(thread, first + index)
    }
  }

  refused(thread: number, first: number, count: number, error: GroupWalError): void {
    const { outcome } = error as GroupWalError & { outcome?: string }
    if (outcome !== 'not-written') return
    for (let index = 0; index < count; index++) this.refusedOwners.push(ownerCode(thread, first + index))
  }

  decided(lsn: number, verdict: number): void {
    const at = lsn - this.configuration.firstLsn
    if (verdict === VERDICT_PENDING) throw new Violation('P5', `record ${lsn} has no verdict`)
    if (this.verdicts[at] !== 0 && outcomeOf(this.verdicts[at]) !== outcomeOf(verdict)) {
      throw new Violation('P5', `the verdict on record ${lsn} was ${this.verdicts[at]}, and is ${verdict}`)
    }
    this.verdicts[at] = verdict
    if (verdict === VERDICT_DURABLE) {
      const owner = this.disk.durable[at]
      // Of a call that was cut off nobody learned the LSN; a later flush may speak for it all the same.
      if (owner === 0 || (this.owners[at] !== 0 && owner !== this.owners[at])) {
        throw new Violation('P1', `record ${lsn} is acknowledged, and another or none is on the disk`)
      }
    } else if (outcomeOf(verdict) === 'not-written') {
      if (this.disk.touched[at] === 1)
        throw new Violation('P5', `record ${lsn} is told to be not written, and is`)
      this.disk.notWritten[at] = 1
    }
  }

  resumed(): void {}

  closed(): void {
    this.isClosed = true
  }

  /** As Liveness has it: a thread between two calls of the protocol sits in its event loop. */
  private threadState(thread: number): number {
    const state = this.machine.states[thread]
    return state === DEAD ? THREAD_GONE : state === DONE ? THREAD_POLLING : THREAD_RUNNING
  }

  private noteDeath(thread: number): void {
    this.noteHole(thread)
    const { tasks, survives } = this.configuration.threads[thread]
    if (survives !== true) return
    const rest = this.protocol.runTasks(this.threads[thread], tasks, this.threads[thread].task + 1)
    this.machine.start(thread, rest as unknown as ModelGenerator)
  }

  /** What a thread left that was stopped: a hole where its place was reserved and not published. */
  private noteHole(thread: number): void {
    const { clients, ring, client } = this.threads[thread].context
    const position = clients.placePosition(client)
    if (this.codeAt(ring, position) !== (0x80000000 | client | 0)) return
    const first = clients.placeSequence(client) - (this.configuration.firstLsn | 0)
    for (let index = 0; index < clients.placeRecords(client); index++) this.holes[(first | 0) + index] = 1
  }

  private codeAt(ring: ModelThread['context']['ring'], position: number): number {
    const { codesAt } = this.threads[0].context.memory.layout
    return this.words[(codesAt >>> 2) + (position & (ring.granules - 1))]
  }

  // ---- what must hold in the end

  private checkEnd(): void {
    const { machine, configuration, disk } = this
    const { firstLsn } = configuration
    const isClean = machine.faults === 0
    this.checkVerdictsAreFinal()
    if (isClean && this.counter(12) !== 0) throw new Violation('P6', 'the log failed, and the disk never did')
    const hasServer = configuration.threads.some(
      ({ tasks }, index) => tasks[0].kind === 'serve' && machine.states[index] !== DEAD,
    )
    // What slipped into the ring behind close() is refused and stays there.
    if (isClean && !this.isClosed && (machine.deaths > 0 || hasServer)) {
      const rest = machine.callQuietly(
        this.protocol.describeRest(this.threads[0]) as unknown as Generator<undefined, string>,
      )
      if (rest !== '') throw new Violation('P7', `all is quiet, and ${rest}`)
    }
    const durableLsn = this.wideAt(98)
    for (let at = 0; at < this.owners.length; at++) {
      const owner = disk.durable[at]
      if (owner === 0) continue
      if (isClean && (owner === NOOP) !== (this.holes[at] === 1)) {
        throw new Violation(
          'P7',
          `LSN ${firstLsn + at}: ${owner === NOOP ? 'a noop, and no hole was left' : 'a hole, and no noop'}`,
        )
      }
      if (owner !== NOOP && this.owners[at] !== 0 && this.owners[at] !== owner) {
        throw new Violation('P2', `LSN ${firstLsn + at} is on the disk with another record`)
      }
      if (owner !== NOOP && this.refusedOwners.includes(owner)) {
        throw new Violation('P5', `LSN ${firstLsn + at} was refused, and is on the disk`)
      }
      if (firstLsn + at > durableLsn) throw new Violation('P1', 'the disk is ahead of what was checked')
    }
    this.checkOnce()
    if (isClean && machine.deaths === 0) this.checkComplete()
    if (isClean && machine.deaths === 0 && machine.timeOuts === 0 && this.counter(9) !== 0) {
      throw new Violation('P10', 'recheckRescues is not 0')
    }
  }

  /** When nothing went wrong, and nobody closed the log, every record that was submitted is on the disk. */
  private checkComplete(): void {
    const { threads } = this.configuration
    const found = this.disk.durable.reduce((count, owner) => (owner > 0 ? count + 1 : count), 0)
    const isComplete = found === this.submittedCount
    if (!isComplete && !threads.some(({ tasks }) => tasks.some(({ kind }) => kind === 'close'))) {
      throw new Violation('P3', `${found} records are on the disk, ${this.submittedCount} were submitted`)
    }
  }

  private checkOnce(): void {
    const { durable } = this.disk
    for (let at = 0; at < durable.length; at++) {
      if (durable[at] <= 0) continue
      for (let other = at + 1; other < durable.length; other++) {
        if (durable[other] === durable[at]) throw new Violation('P3', `a record is on the disk twice`)
      }
    }
  }

  private checkVerdictsAreFinal(): void {
    const { machine, configuration, protocol, threads } = this
    for (let at = 0; at < this.verdicts.length; at++) {
      if (this.verdicts[at] === 0) continue
      const asked = protocol.askVerdict(threads[0], configuration.firstLsn + at) as unknown
      const verdict = machine.callQuietly(asked as Generator<undefined, number>)
      // Between a resume that failed and the next one nothing is told.
      if (outcomeOf(verdict) !== outcomeOf(this.verdicts[at]) && verdict !== VERDICT_PENDING) {
        throw new Violation(
          'P5',
          `the verdict on record ${configuration.firstLsn + at} was ${this.verdicts[at]}, now it is ${verdict}`,
        )
      }
    }
  }

  private wideAt(word: number): number {
    return new Float64Array(this.words.buffer, word * 4, 1)[0]
  }

  private counter(index: number): number {
    return this.wideAt(208 + index * 2)
  }

  /** For traces: which threads ended how. */
  describeThreads(): string {
    return Array.from(this.machine.states, (state, index) =>
      state === DONE ? '' : `T${index} ${['ready', 'waits', 'polls', '', 'dead'][state]}`,
    )
      .filter((text) => text !== '')
      .join(', ')
  }
}

/** What a verdict says of the record; why it is so may be told in two ways. */
function outcomeOf(verdict: number): 'durable' | 'indeterminate' | 'not-written' | 'pending' {
  if (verdict === VERDICT_DURABLE) return 'durable'
  if (verdict === VERDICT_INDETERMINATE || verdict === VERDICT_ABANDONED) return 'indeterminate'
  return verdict === VERDICT_PENDING ? 'pending' : 'not-written'
}

const FINISHER_TASKS: Task[] = [{ kind: 'commit', record: 0 }]

function countRecords(threads: readonly ThreadPlan[]): number {
  let count = 0
  for (const { tasks } of threads) {
    for (const task of tasks) {
      if (task.kind === 'batch') count += task.count
      else if (task.kind === 'commit' || task.kind === 'append') count++
    }
  }
  return count
}

function ownerCode(thread: number, record: number): number {
  return thread * 16 + record + 1
}

function payloadOf(thread: number, record: number, bytes: number): Uint8Array {
  const payload = new Uint8Array(bytes)
  payload[0] = thread
  payload[1] = record
  for (let at = 2; at < bytes; at++) payload[at] = (thread * 59 + record * 31 + at * 7) & 0xff
  return payload
}
