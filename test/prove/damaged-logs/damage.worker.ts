// Damages logs, has them read and opened, and tells what was seen.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import fc from 'fast-check'
import { makeThreadCheap } from '../support/shared-buffers.ts'
import type { BaseLog } from './base-logs.ts'
import { damagesOf, type Job } from './jobs.ts'
import { Judge, type Seen } from './judge.ts'
import { randomDamage, strike } from './random-damage.ts'

export interface DamageWorkerData {
  logs: BaseLog[]
  /** One word, counted up with each image: who does not move on hangs. */
  progress: SharedArrayBuffer
  /** No image is begun later. */
  deadlineMs: number
}

export interface DamageAnswer {
  job: Job
  images: number
  seen: Record<Seen, number>
  /** The time ran out. */
  isCutShort: boolean
  /** What was wrong, with the stack, since it may be a crash of the reader; and how to have it again. */
  failure: string | undefined
}

makeThreadCheap()
const { logs, progress, deadlineMs } = workerData as DamageWorkerData
const judges = logs.map((log) => new Judge(log))
const words = new Int32Array(progress)
const port = parentPort as MessagePort
port.on('message', (job: Job) => port.postMessage(run(job)))

function run(job: Job): DamageAnswer {
  const seen: Record<Seen, number> = { whole: 0, cut: 0, damage: 0, 'other header': 0 }
  const answer: DamageAnswer = { job, images: 0, seen, isCutShort: false, failure: undefined }
  if (job.kind === 'sweep') sweep(job, answer)
  else strikeAtRandom(job, answer)
  return answer
}

function count(answer: DamageAnswer, what: Seen | undefined): void {
  Atomics.add(words, 0, 1)
  if (what === undefined) return
  answer.seen[what]++
  answer.images++
}

function sweep({ sweep, log, part, parts }: Extract<Job, { kind: 'sweep' }>, answer: DamageAnswer): void {
  let index = 0
  for (const damage of damagesOf(sweep, logs[log], judges[log].oracle.shape)) {
    if (index++ % parts !== part) continue
    if (Date.now() > deadlineMs) {
      answer.isCutShort = true
      return
    }
    try {
      count(answer, judges[log].judge(damage))
    } catch (error) {
      const places = damage.map(({ file, at, bytes }) => `${file} at ${at}, ${bytes?.length ?? 'cut'}`)
      answer.failure = `${logs[log].name}, ${sweep}: ${places.join('; ')}: ${(error as Error).stack}`
      return
    }
  }
}

function strikeAtRandom({ seed, runs }: Extract<Job, { kind: 'random' }>, answer: DamageAnswer): void {
  const met = logs.map(() => new Set<number>())
  const property = fc.property(randomDamage(logs.length), ([log, blows]) => {
    count(answer, judges[log].judge(strike(logs[log], blows), met[log]))
  })
  const details = fc.check(property, {
    seed,
    numRuns: runs,
    interruptAfterTimeLimit: Math.max(0, deadlineMs - Date.now()),
  })
  const { interrupted, counterexample, counterexamplePath, errorInstance } = details
  answer.isCutShort = interrupted
  // Not `failed`: a check that is interrupted before its first run has failed, too.
  if (counterexample === null) return
  const [log, blows] = counterexample[0]
  answer.failure =
    `${logs[log].name}, ${JSON.stringify(blows)}: ${(errorInstance as Error).stack}\n` +
    `  again: --seed ${seed} --path ${counterexamplePath}`
}
