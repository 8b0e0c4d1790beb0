import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { connect } from '../host/connect.ts'
import type { Producer } from '../host/producer.ts'
import type { RecordInput } from '../host/record-input.ts'
import { loadFileSystem } from '../storage/load-file-system.ts'
import { BareLoop } from './bare-loop.ts'
import {
  BenchControl,
  type BenchTask,
  PHASE_BARE_AFTER,
  PHASE_BARE_BEFORE,
  PHASE_DRAIN,
  PHASE_MEASURE,
  PHASE_STOP,
  PHASE_WARM_UP,
} from './bench-control.ts'
import { microsSince } from './latency.ts'

/** Of commits that do not block, one in so many is timed: at a million per second the clock would be most of it. */
const SAMPLE_EVERY = 16

/** What one worker has measured. */
export interface BenchResult {
  latency: RecordableHistogram
  bare: { writes: number; elapsedMs: number; latency: RecordableHistogram } | undefined
}

/** The part of one producer thread in a benchmark, from its first phase to its last. */
export async function runBench(task: BenchTask): Promise<BenchResult> {
  const control = new BenchControl(task.words)
  const producer = connect()
  const bareLatency = createHistogram()
  const bareLoop = task.bare === undefined ? undefined : new BareLoop(loadFileSystem(), task.bare)
  const isStopped = (): boolean => control.phase() === PHASE_STOP
  control.arrive()
  if (task.bare !== undefined) {
    control.waitForPhase(PHASE_BARE_BEFORE)
    bareLoop?.run(task.bare.halfMs, bareLatency, isStopped)
    control.arrive()
  }
  control.waitForPhase(PHASE_WARM_UP)
  const bench = new ProducerBench(control, producer, task)
  await bench.run()
  control.arrive()
  if (bareLoop === undefined || task.bare === undefined) return { latency: bench.latency, bare: undefined }
  control.waitForPhase(PHASE_BARE_AFTER)
  bareLoop.run(task.bare.halfMs, bareLatency, isStopped)
  bareLoop.close()
  const { writes, elapsedMs } = bareLoop
  return { latency: bench.latency, bare: { writes, elapsedMs, latency: bareLatency } }
}

/** Commits until the main thread says to stop, in one of the modes. */
class ProducerBench {
  readonly latency: RecordableHistogram
  private readonly control: BenchControl
  private readonly producer: Producer
  private readonly task: BenchTask
  private readonly record: RecordInput
  private begun: number
  private acknowledged: number

  constructor(control: BenchControl, producer: Producer, task: BenchTask) {
    this.latency = createHistogram()
    this.control = control
    this.producer = producer
    this.task = task
    this.record = { payload: new Uint8Array(task.payloadBytes).fill(0x2e) }
    this.begun = 0
    this.acknowledged = 0
  }

  async run(): Promise<void> {
    if (this.task.mode === 'sync') this.commitBlocking()
    else if (this.task.mode === 'window') this.appendInWindow()
    else await Promise.all(Array.from({ length: this.task.pending }, () => this.commitOneByOne()))
    this.control.storeCount(this.task.index, this.acknowledged)
  }

  private commitBlocking(): void {
    for (let phase = this.control.phase(); phase < PHASE_DRAIN; phase = this.control.phase()) {
      const startMs = performance.now()
      this.producer.commitSync(this.record)
      this.control.storeCount(this.task.index, ++this.acknowledged)
      if (phase === PHASE_MEASURE) this.latency.record(microsSince(startMs))
    }
  }

  /** One of many that are pending: each commits again as soon as its record is durable. */
  private async commitOneByOne(): Promise<void> {
    for (let phase = this.control.phase(); phase < PHASE_DRAIN; phase = this.control.phase()) {
      const isTimed = this.begun++ % SAMPLE_EVERY === 0
      const startMs = isTimed ? performance.now() : 0
      await this.producer.commit(this.record)
      this.acknowledged++
      if (!isTimed) continue
      this.control.storeCount(this.task.index, this.acknowledged)
      if (phase === PHASE_MEASURE) this.latency.record(microsSince(startMs))
    }
  }

  /** Appends until the window is full, then waits for the older half of it. */
  private appendInWindow(): void {
    const { control, producer, record } = this
    const window = this.task.pending
    const half = Math.ceil(window / 2)
    const lsns = new Float64Array(window)
    const startsMs = new Float64Array(window)
    for (let phase = control.phase(); phase < PHASE_DRAIN; phase = control.phase()) {
      while (this.begun - this.acknowledged < window) {
        const at = this.begun % window
        startsMs[at] = this.begun % SAMPLE_EVERY === 0 ? performance.now() : 0
        lsns[at] = producer.append(record)
        this.begun++
      }
      producer.flushSync(lsns[(this.acknowledged + half - 1) % window]!)
      for (let count = 0; count < half; count++, this.acknowledged++) {
        const startMs = startsMs[this.acknowledged % window]!
        if (startMs !== 0 && phase === PHASE_MEASURE) this.latency.record(microsSince(startMs))
      }
      control.storeCount(this.task.index, this.acknowledged)
    }
    producer.flushSync()
  }
}
