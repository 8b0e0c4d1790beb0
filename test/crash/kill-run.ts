import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { openLog } from '../../src/index.ts'
import childUrl from './kill.child.ts?url'
import { ACK_FD, type KillRun, nameOf, payloadOf, type RecordName } from './kill-records.ts'

/** A producer is never further ahead of its acknowledgements: a window of promises is the most. */
const MOST_UNACKNOWLEDGED = 16

/** Runs a host until it has told of so many acknowledgements, and kills it. */
export async function killAfter(life: number, run: KillRun, ledger: KillLedger): Promise<void> {
  const stdio = ['ignore', 'inherit', 'inherit', 'pipe'] as const
  const child = spawn(process.execPath, [fileURLToPath(childUrl), JSON.stringify(run)], { stdio: [...stdio] })
  const closed = once(child, 'close')
  // It would go on for ever.
  const end = (): boolean => child.kill('SIGKILL')
  process.once('exit', end)
  let lines = -1
  let rest = ''
  let failure: unknown
  const pipe = child.stdio[ACK_FD] as Readable
  pipe.setEncoding('utf8').on('data', (text: string) => {
    const whole = (rest + text).split('\n')
    rest = whole.pop()!
    for (const line of whole) {
      try {
        if (lines >= 0) ledger.acknowledge(run.run, line)
      } catch (error) {
        failure ??= error
      }
      lines++
    }
    // What is in the pipe by now was acknowledged, and is still read.
    if (lines >= life) child.kill('SIGKILL')
  })
  await closed
  process.removeListener('exit', end)
  if (failure !== undefined) throw failure
  assert.is(exitOf(child), 'SIGKILL', 'the host did not end by itself')
}

function exitOf(child: ChildProcess): string | number | null {
  return child.signalCode ?? child.exitCode
}

/** What was acknowledged by all hosts of one log so far. */
export class KillLedger {
  readonly #names = new Map<number, string>()
  readonly #lastIndex = new Map<string, number>()
  recoveredCount = 0

  get acknowledgedCount(): number {
    return this.#names.size
  }

  acknowledge(run: number, line: string): void {
    const [producer, index, count, firstLsn] = line.split(' ').map(Number)
    for (let offset = 0; offset < count; offset++) {
      const lsn = firstLsn + offset
      assert.not(this.#names.has(lsn), `LSN ${lsn} is handed out once`)
      this.#names.set(lsn, `${run}:${producer}:${index + offset}`)
    }
    const key = `${run}:${producer}`
    this.#lastIndex.set(key, Math.max(this.#lastIndex.get(key) ?? -1, index + count - 1))
  }

  /** Compares with what the log holds. */
  async check(directory: string): Promise<void> {
    const log = await openLog(directory)
    const next = new Map<string, number>()
    let lastLsn = 0
    let found = 0
    this.recoveredCount = 0
    for (const { lsn, payload } of log.read()) {
      assert.ok(lsn > lastLsn, `LSN ${lsn} after ${lastLsn}`)
      lastLsn = lsn
      this.recoveredCount++
      const text = Buffer.from(payload).toString()
      const name = nameOf(text)
      if (name === undefined || payloadOf(name) !== text)
        throw new Error(`record ${lsn} was never written: ${text}`)
      this.#checkPlace(name, next)
      const acknowledged = this.#names.get(lsn)
      if (acknowledged === undefined) continue
      assert.is(acknowledged, `${name.run}:${name.producer}:${name.index}`, `LSN ${lsn}`)
      found++
    }
    await log.close()
    for (const key of this.#lastIndex.keys()) {
      assert.is(next.get(key), next.get(`${key} batch`), `the last batch of ${key} is whole`)
    }
    assert.is(found, this.#names.size, 'every acknowledged record is there')
  }

  /** In the order of its producer's calls, without holes or repetitions, in a whole batch, and not invented. */
  #checkPlace(name: RecordName, next: Map<string, number>): void {
    const { run, producer, index, batchFirst, batchCount } = name
    const key = `${run}:${producer}`
    const expected = next.get(key) ?? 0
    assert.is(index, expected, `the records of producer ${key}`)
    next.set(key, index + 1)
    assert.ok(index <= (this.#lastIndex.get(key) ?? -1) + MOST_UNACKNOWLEDGED, `record ${index} of ${key}`)
    const open = `${key} batch`
    if (index === batchFirst)
      assert.is(next.get(open) ?? index, index, `the batch before ${index} of ${key} is whole`)
    next.set(open, batchFirst + batchCount)
  }
}
