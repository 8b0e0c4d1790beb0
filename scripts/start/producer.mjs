// The tasks of the pool's workers.

import { closeSync, constants, fdatasyncSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { createHistogram } from 'node:perf_hooks'
import { workerData } from 'node:worker_threads'
import { AckWriter } from './acks.mjs'
import { lineOf } from './corpus.mjs'

const { corpus, producers, library } = workerData
const { connect } = await import(library)

/** One in so many commits that do not block is timed. */
const SAMPLE_EVERY = 16
const BARE_FILE_BYTES = 32 * 1024 * 1024

/** So that the clock starts when all threads run. */
export function warmUp() {
  connect()
}

/** The bare loop: this thread writes one block, makes it durable, and again, in a file that is filled beforehand. */
export function bare({ path, method, blockBytes, seconds }) {
  const zeros = openSync(path, 'w', 0o600)
  for (let at = 0; at < BARE_FILE_BYTES; at += 1024 * 1024)
    writeSync(zeros, new Uint8Array(1024 * 1024), 0, 1024 * 1024, at)
  fsyncSync(zeros)
  closeSync(zeros)
  const { O_RDWR, O_DIRECT, O_DSYNC } = constants
  const flags = { dsync: O_DIRECT | O_DSYNC, direct: O_DIRECT, fdatasync: 0, fsync: 0 }[method]
  const sync = { dsync: () => {}, direct: fdatasyncSync, fdatasync: fdatasyncSync, fsync: fsyncSync }[method]
  const fd = openSync(path, O_RDWR | flags)
  // Memory of WebAssembly begins at a page, as O_DIRECT asks for.
  const block = new Uint8Array(new WebAssembly.Memory({ initial: 1 }).buffer, 0, blockBytes)
  const latency = createHistogram()
  let count = 0
  const beganMs = performance.now()
  let startMs = beganMs
  while (startMs - beganMs < seconds * 1000) {
    if (writeSync(fd, block, 0, blockBytes, (count * blockBytes) % BARE_FILE_BYTES) !== blockBytes)
      throw new Error('short write')
    sync(fd)
    latency.record(microsSince(startMs))
    count++
    startMs = performance.now()
  }
  closeSync(fd)
  return { count, seconds: (startMs - beganMs) / 1000, latency }
}

/**
 * Commits lines until `stop[0]` is set. With `ackFd` it tells the parent process of each acknowledgement.
 *
 * @returns how many there were, and how long they took
 */
export async function commit({ index, from, pending, stop, ackFd }) {
  const run = { producer: connect(), index, next: from, count: 0, stop, latency: createHistogram() }
  const acks = ackFd === undefined ? undefined : new AckWriter(ackFd)
  const beganMs = performance.now()
  if (pending === 0) commitBlocking(run, acks)
  else await Promise.all(Array.from({ length: pending }, () => commitOneByOne(run, acks)))
  return { count: run.count, seconds: (performance.now() - beganMs) / 1000, latency: run.latency }
}

function nextRecord(run) {
  const number = run.next++
  return { payload: lineOf(corpus, run.index, producers, number), vshardId: run.index, tenantId: number }
}

function commitBlocking(run, acks) {
  while (Atomics.load(run.stop, 0) === 0) {
    const record = nextRecord(run)
    const startMs = performance.now()
    const { lsn } = run.producer.commitSync(record)
    run.latency.record(microsSince(startMs))
    run.count++
    acks?.addNow(lsn, record.payload)
  }
}

async function commitOneByOne(run, acks) {
  while (Atomics.load(run.stop, 0) === 0) {
    const record = nextRecord(run)
    const isTimed = record.tenantId % SAMPLE_EVERY === 0
    const startMs = isTimed ? performance.now() : 0
    const { lsn } = await run.producer.commit(record)
    if (isTimed) run.latency.record(microsSince(startMs))
    run.count++
    acks?.addSoon(lsn, record.payload)
  }
}

function microsSince(startMs) {
  return Math.max(1, Math.round((performance.now() - startMs) * 1000))
}
