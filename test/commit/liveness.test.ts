import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ProcLiveness, THREAD_GONE, THREAD_POLLING, THREAD_RUNNING } from '../../src/commit/liveness.ts'
import { eventually } from '../support/eventually.ts'
import { skipUnless } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const liveness = new ProcLiveness()
const noProc = existsSync('/proc/self/task') ? undefined : 'no /proc'

/** Tells its thread and when it began, then waits for messages. */
const IDLE = `
const { readFileSync, readlinkSync } = require('node:fs')
const { parentPort } = require('node:worker_threads')
const thread = Number(readlinkSync('/proc/thread-self').split('/')[2])
const stat = readFileSync('/proc/self/task/' + thread + '/stat', 'latin1')
parentPort.on('message', () => {})
parentPort.postMessage([thread, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) | 0])
`

/** Began at tick 42. */
const STAT = `5 (a (odd) name) S ${'0 '.repeat(18)}42 0 0`

/** A directory that looks like a /proc with these files. */
function makeProc(files: Record<string, string>): string {
  const proc = temporaryDirectory()
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(proc, name)), { recursive: true })
    writeFileSync(join(proc, name), text)
  }
  return proc
}

skipUnless(test, noProc, 'a thread that runs, here the one that asks, is running', () => {
  const { thread, startTicks } = liveness.identity()
  assert.is(liveness.threadState(thread, startTicks), THREAD_RUNNING)
})

skipUnless(test, noProc, 'a number that a new thread has got is not the thread that had it before', () => {
  const { thread, startTicks } = liveness.identity()
  assert.is(liveness.threadState(thread, startTicks - 1), THREAD_GONE)
})

skipUnless(test, noProc, 'a thread in its event loop is polling, and one that ended is gone', async () => {
  const worker = new Worker(IDLE, { eval: true })
  const [[thread, startTicks]] = await once(worker, 'message')
  await eventually('it polls', () => liveness.threadState(thread, startTicks) === THREAD_POLLING)
  await worker.terminate()
  // The system lets those who wait for its end go on just before it takes it out of /proc.
  await eventually('it is gone', () => liveness.threadState(thread, startTicks) === THREAD_GONE)
})

test('where the call that a thread is in is not told, as in gVisor, a thread that lives is running', () => {
  const proc = makeProc({ 'thread-self/stat': STAT, 'self/task/5/stat': STAT })
  assert.is(new ProcLiveness(proc).threadState(5, 42), THREAD_RUNNING)
  assert.is(new ProcLiveness(proc).threadState(5, 41), THREAD_GONE)
  assert.is(new ProcLiveness(proc).threadState(6, 42), THREAD_GONE)
})

test('where /proc has vanished since the threads joined, none of them is taken for gone', () => {
  assert.is(new ProcLiveness(makeProc({})).threadState(5, 42), THREAD_RUNNING)
})

test('where there is no /proc a thread counts as running', () => {
  assert.is(liveness.threadState(-5, 0), THREAD_RUNNING)
})

test.run()
