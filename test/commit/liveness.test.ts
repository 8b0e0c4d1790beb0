import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ProcLiveness, THREAD_GONE, THREAD_POLLING, THREAD_RUNNING } from '../../src/commit/liveness.ts'
import { eventually } from '../support/eventually.ts'
import { skipUnless } from '../support/skip.ts'

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
  assert.is(liveness.threadState(thread, startTicks), THREAD_GONE)
})

test('where there is no /proc a thread counts as running', () => {
  assert.is(liveness.threadState(-5, 0), THREAD_RUNNING)
})

test.run()
