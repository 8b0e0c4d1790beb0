/**
 * What readers and recovery make of damaged logs: never a wrong record, never a crash or hang, and a torn tail told
 * apart from lost acknowledged data as docs/format.md says.
 *
 *   node scripts/run.mjs test/prove/damaged-logs.ts [--full] [--seed N [--path P]] [--seconds N] [--images N]
 */
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { type BaseLog, baseLogs } from './damaged-logs/base-logs.ts'
import type { DamageAnswer, DamageWorkerData } from './damaged-logs/damage.worker.ts'
import damageUrl from './damaged-logs/damage.worker.ts?url'
import { engineLogs } from './damaged-logs/engine-logs.ts'
import { type Job, randomJob, SWEEP_TITLES, type Sweep, sweepJobs } from './damaged-logs/jobs.ts'
import { Judge } from './damaged-logs/judge.ts'
import { randomDamage, strike } from './damaged-logs/random-damage.ts'
import { Crew } from './support/crew.ts'
import { numberOf, readOptions } from './support/options.ts'
import { type Count, finish } from './support/report.ts'

const THREADS = 2
const PROGRESS_MS = 10_000
/** A reader that is busy with one image for so long hangs. */
const HANG_MS = 20_000
/** One job in so many is random while there are sweeps left, so that it has its turn on a slow machine, too. */
const RANDOM_TURN = 6
/** The logs are the same for all seeds. */
const LOG_SEED = 1

const { full, seconds, seed, own } = readOptions({ ci: 120, full: 1000 }, ['path', 'images'])
const target = numberOf('images', own.images) ?? (full ? 4_000_000 : 1_000_000)

if (own.path !== undefined) replay(own.path)
else await damageAll([...baseLogs(), ...(await engineLogs(LOG_SEED))])

async function damageAll(logs: BaseLog[]): Promise<void> {
  console.log(`damaged-logs: --seed ${seed}, ${target.toLocaleString('en')} images in at most ${seconds} s`)
  const startedMs = Date.now()
  const startedUsage = process.cpuUsage()
  const deadlineMs = startedMs + seconds * 1000
  const answers: DamageAnswer[] = []
  const imageCount = (): number => answers.reduce((sum, { images }) => sum + images, 0)
  const failures: string[] = []
  const progress = Array.from({ length: THREADS }, () => new SharedArrayBuffer(4))
  const crew = new Crew<Job, DamageAnswer>(THREADS, (index) => {
    const workerData: DamageWorkerData = { logs, progress: progress[index], deadlineMs }
    return new Worker(damageUrl, { workerData })
  })
  const watch = watchThreads(progress, crew)
  const timer = setInterval(() => {
    const elapsed = (Date.now() - startedMs) / 1000
    console.log(`${Math.round(elapsed)} s: ${imageCount()} images, ${Math.round(imageCount() / elapsed)}/s`)
  }, PROGRESS_MS)
  const sweeps = sweepJobs(logs, full)
  try {
    for (let number = 0, swept = 0; failures.length === 0 && Date.now() < deadlineMs; number++) {
      const isSweep = swept < sweeps.length && number % RANDOM_TURN > 0
      if (swept === sweeps.length && imageCount() >= target) break
      const job = isSweep ? sweeps[swept++] : randomJob(seed + number)
      await crew.take(job, (answer) => {
        answers.push(answer)
        if (answer.failure !== undefined) failures.push(answer.failure)
      })
    }
    await crew.whenIdle()
  } catch (error) {
    failures.push(String((error as Error).stack))
  } finally {
    clearInterval(timer)
    clearInterval(watch)
    await crew.end()
  }
  const { user, system } = process.cpuUsage(startedUsage)
  const processors = (user + system) / 1000 / (Date.now() - startedMs)
  for (const failure of failures) console.log(failure)
  const done = answers.filter(({ job, isCutShort }) => job.kind === 'sweep' && !isCutShort)
  report(logs, answers, failures, whatIsLeft(sweeps.length - done.length, imageCount(), processors))
}

/** A thread that does not move on hangs in a reader. */
function watchThreads(progress: readonly SharedArrayBuffer[], crew: Crew<Job, DamageAnswer>): NodeJS.Timeout {
  let last = ''
  let sinceMs = Date.now()
  return setInterval(() => {
    const now = progress.map((words) => Atomics.load(new Int32Array(words), 0)).join()
    if (now !== last || crew.runningCount === 0) sinceMs = Date.now()
    last = now
    if (Date.now() - sinceMs > HANG_MS)
      crew.fail(new Error(`no image was done with in ${HANG_MS} ms: a reader hangs`))
  }, 1000)
}

/** What a machine that is slow, or busy with something else, did not get to; undefined when it did all. */
function whatIsLeft(sweepsLeft: number, images: number, processors: number): string | undefined {
  if (sweepsLeft === 0 && images >= target) return undefined
  const share = `it had ${processors.toFixed(1)} processors for ${THREADS} threads`
  return `the time ran out, ${sweepsLeft} parts of sweeps and ${Math.max(0, target - images)} images left; ${share}`
}

function report(
  logs: readonly BaseLog[],
  answers: readonly DamageAnswer[],
  failures: readonly string[],
  left: string | undefined,
): void {
  const sum = (of: (answer: DamageAnswer) => number): number =>
    answers.reduce((total, answer) => total + of(answer), 0)
  const counts: Count[] = [
    { label: 'images read and opened', value: sum(({ images }) => images), of: target },
  ]
  for (const sweep of Object.keys(SWEEP_TITLES) as Sweep[]) {
    const isOf = ({ job }: DamageAnswer): boolean => job.kind === 'sweep' && job.sweep === sweep
    const names = new Set(answers.filter(isOf).map(({ job }) => (job as Extract<Job, { kind: 'sweep' }>).log))
    counts.push({
      label: `${SWEEP_TITLES[sweep]}, of ${names.size} of ${logs.length} logs`,
      value: sum((answer) => (isOf(answer) ? answer.images : 0)),
    })
  }
  counts.push(
    {
      label: 'random damage (fast-check)',
      value: sum(({ job, images }) => (job.kind === 'random' ? images : 0)),
    },
    { label: 'images that lost nothing', value: sum(({ seen }) => seen.whole) },
    { label: 'images that lost what nothing proved, and no error', value: sum(({ seen }) => seen.cut) },
    { label: 'images refused, as what was acknowledged is damaged', value: sum(({ seen }) => seen.damage) },
    {
      label: "images with another segment's header in place: spares by the page",
      value: sum(({ seen }) => seen['other header']),
    },
  )
  finish({
    part: 'damaged-logs',
    title: 'damaged logs, read and opened by the production code',
    promises: ['P2', 'P3', 'P12'],
    counts,
    checks: [
      {
        name: 'no wrong record, no crash, no hang; torn tails and damage told apart as docs/format.md says',
        passed: failures.length === 0,
      },
      {
        name: `the sweeps were gone through, and ${target.toLocaleString('en')} images looked at`,
        passed: left === undefined,
        ...(left === undefined ? {} : { skipped: failures.length > 0 ? 'something was wrong before' : left }),
      },
    ],
    seed: `--seed ${seed}`,
  })
}

/** One random damage again, as fast-check shrank it. */
async function replay(path: string): Promise<void> {
  const logs = [...baseLogs(), ...(await engineLogs(LOG_SEED))]
  const judges = logs.map((log) => new Judge(log))
  const property = fc.property(randomDamage(logs.length), ([log, blows]) => {
    judges[log].judge(strike(logs[log], blows))
  })
  fc.assert(property, { seed, path, endOnFailure: true })
  console.log('nothing is wrong any more')
}
