import { randomFillSync } from 'node:crypto'
import { Recorder, type ThreadReport } from './recorder.ts'
import type { Load, Writer } from './types.ts'

/**
 * Where many commits are pending, one in so many is timed: at a million per second the clock would be a tenth of the
 * work. Odd, so that it is not always the same place in a batch.
 */
const SAMPLE_EVERY = 7
/** An open loop that has fallen behind so far is overloaded: it stops adding to the pile. */
const BACKLOG_LIMIT = 100_000

/** What one thread does from warm-up to stop. */
export async function runLoop(writer: Writer, load: Load, control: Int32Array): Promise<ThreadReport> {
  const recorder = new Recorder(control, load.mode === 'arrival')
  const payload = randomFillSync(new Uint8Array(load.payloadBytes))
  if (load.mode === 'promise') await commitPending(writer, payload, load.pending, recorder)
  else if (load.mode === 'window') appendInWindow(writer, payload, load.pending, recorder)
  else if (load.mode === 'batch') await commitBatches(writer, payload, load.batch, recorder)
  else if (load.mode === 'arrival') await commitOnArrival(writer, payload, load, recorder)
  else if (writer.commitSync) commitBlocking(writer.commitSync, payload, recorder)
  else await commitPending(writer, payload, 1, recorder)
  return recorder.report()
}

function commitBlocking(
  commitSync: (payload: Uint8Array) => void,
  payload: Uint8Array,
  recorder: Recorder,
): void {
  while (recorder.isRunning()) {
    const startedMs = performance.now()
    commitSync(payload)
    recorder.count(1)
    recorder.time(startedMs, performance.now())
  }
}

async function commitPending(
  writer: Writer,
  payload: Uint8Array,
  pending: number,
  recorder: Recorder,
): Promise<void> {
  let begun = 0
  const sampleEvery = pending > 64 ? SAMPLE_EVERY : 1
  const commitAgain = async (): Promise<void> => {
    while (recorder.isRunning()) {
      const isTimed = begun++ % sampleEvery === 0
      const startedMs = isTimed ? performance.now() : 0
      await writer.commit!(payload)
      recorder.count(1)
      if (isTimed) recorder.time(startedMs, performance.now())
    }
  }
  await Promise.all(Array.from({ length: pending }, commitAgain))
}

function appendInWindow(writer: Writer, payload: Uint8Array, window: number, recorder: Recorder): void {
  const positions = new Float64Array(window)
  const startsMs = new Float64Array(window)
  let begun = 0
  let done = 0
  while (recorder.isRunning()) {
    while (begun - done < window) {
      const at = begun % window
      startsMs[at] = begun % SAMPLE_EVERY === 0 ? performance.now() : 0
      positions[at] = writer.append!(payload)
      begun++
    }
    writer.flushSync!(positions[done % window]!)
    const durable = writer.durable!()
    const nowMs = performance.now()
    const before = done
    while (done < begun && positions[done % window]! <= durable) {
      const startedMs = startsMs[done % window]!
      if (startedMs !== 0) recorder.time(startedMs, nowMs)
      done++
    }
    recorder.count(done - before)
  }
  if (begun > done) writer.flushSync!(positions[(begun - 1) % window]!)
}

/** Counts records, times batches. */
async function commitBatches(
  writer: Writer,
  payload: Uint8Array,
  batch: number,
  recorder: Recorder,
): Promise<void> {
  const payloads = new Array<Uint8Array>(batch).fill(payload)
  while (recorder.isRunning()) {
    const startedMs = performance.now()
    await writer.commitBatch!(payloads)
    recorder.count(batch)
    recorder.time(startedMs, performance.now())
  }
}

/**
 * Commits that arrive at a fixed rate, like requests from outside: each is due at its own time, and its latency counts
 * from then, so a stall shows in all that were due while it lasted (no coordinated omission). While commits are
 * pending, arrivals are looked at when the event loop turns, as a server would; the time until then counts.
 */
async function commitOnArrival(
  writer: Writer,
  payload: Uint8Array,
  load: Load,
  recorder: Recorder,
): Promise<void> {
  const intervalMs = (1000 * load.threads) / load.ratePerSecond
  const sleeper = new Int32Array(new SharedArrayBuffer(4))
  let dueMs = performance.now() + intervalMs * Math.random()
  let pending = 0
  let turn: (() => void) | undefined
  const begin = async (due: number): Promise<void> => {
    pending++
    const startedMs = performance.now()
    await writer.commit!(payload)
    pending--
    const nowMs = performance.now()
    recorder.count(1)
    recorder.time(due, nowMs)
    recorder.timeService(startedMs, nowMs)
    turn?.()
  }
  const nextTurn = (): Promise<void> =>
    new Promise((resolve) => {
      turn = () => {
        turn = undefined
        setImmediate(resolve)
      }
    })
  while (recorder.isRunning()) {
    const nowMs = performance.now()
    while (dueMs <= nowMs && pending < BACKLOG_LIMIT) {
      void begin(dueMs)
      dueMs += intervalMs
    }
    // With nothing pending the thread may sleep to the very moment, which a timer cannot.
    if (pending === 0) Atomics.wait(sleeper, 0, 0, Math.max(0, dueMs - performance.now()))
    else await nextTurn()
  }
  while (pending > 0) await nextTurn()
}
