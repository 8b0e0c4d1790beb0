// The host application: opens the log, spawns its producers through the pool, measures, and then commits on until
// it is killed.

import { join } from 'node:path'
import { createHistogram } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { readCorpus } from './corpus.mjs'

const {
  home,
  files,
  producers,
  pending,
  seconds,
  library,
  pool: poolModule,
  firstAckFd,
} = JSON.parse(process.argv[2])
const { openLog } = await import(library)
const { createProducerPool } = await import(poolModule)

const corpus = readCorpus(files)
const log = await openLog(join(home, 'log'))
const { fsType, device, sync, warnings, blockBytes } = log.environment
print(`directory    ${log.directory}`)
print(`file system  ${fsType} on ${device}`)
print(`sync method  ${sync.method}: ${sync.reason}`)
for (const warning of [...warnings, ...sync.warnings]) print(`WARNING      ${warning}`)
print(`input        ${count(corpus.ends.length)} lines of ${files.length} files, over and over\n`)

const pool = createProducerPool(log, {
  filename: new URL('./producer.mjs', import.meta.url),
  maxThreads: producers,
  workerData: { corpus, producers, library },
})
const onAll = (task, name) =>
  Promise.all(Array.from({ length: producers }, (_, index) => pool.run(task(index), { name })))
await onAll(() => undefined, 'warmUp')

const committed = new Array(producers).fill(0)
const rows = [['', 'commits/s', 'commits/sync', 'p50 us', 'p99 us']]
const bare = await pool.run(
  { path: join(home, 'bare'), method: sync.method, blockBytes, seconds: seconds / 4 },
  { name: 'bare' },
)
rows.push(rowOf('bare loop: write, sync, again', bare.count / bare.seconds, 1, bare.latency))
await measure(`commitSync, ${producers} threads`, 0)
await measure(`await commit(), ${producers} threads x ${pending} pending`, pending)
print(table(rows))
process.send({ measured: committed })

// And now until the end: half of the threads block, the others keep promises pending. Each acknowledgement goes to
// the parent process at once.
const forever = new Int32Array(new SharedArrayBuffer(4))
onAll(
  (index) => ({
    index,
    from: committed[index],
    pending: index % 2 === 0 ? 0 : pending,
    stop: forever,
    ackFd: firstAckFd + index,
  }),
  'commit',
).catch((error) => {
  console.error(error)
  process.exit(1)
})

async function measure(name, pendingEach) {
  const stop = new Int32Array(new SharedArrayBuffer(4))
  const before = log.stats()
  const runs = onAll((index) => ({ index, from: committed[index], pending: pendingEach, stop }), 'commit')
  await Promise.race([showProgress(name, before), runs])
  Atomics.store(stop, 0, 1)
  const results = await runs
  const syncs = log.stats().syncs - before.syncs
  const latency = createHistogram()
  let commits = 0
  let rate = 0
  for (const [index, result] of results.entries()) {
    committed[index] += result.count
    commits += result.count
    rate += result.count / result.seconds
    if (result.latency.count > 0) latency.add(result.latency)
  }
  rows.push(rowOf(name, rate, commits / syncs, latency))
}

async function showProgress(name, before) {
  const startMs = performance.now()
  for (let elapsed = 0; elapsed < seconds; elapsed = (performance.now() - startMs) / 1000) {
    if (process.stdout.isTTY) {
      const records = log.stats().records - before.records
      const rate = elapsed === 0 ? 0 : records / elapsed
      process.stdout.write(
        `\r\x1b[K${name}: ${elapsed.toFixed(1)} of ${seconds} s, ${count(records)} durable, ${count(rate)}/s`,
      )
    }
    await delay(Math.min(100, Math.max(1, (seconds - elapsed) * 1000)))
  }
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[K')
}

function rowOf(name, rate, perSync, latency) {
  return [name, count(rate), perSync.toFixed(1), count(latency.percentile(50)), count(latency.percentile(99))]
}

function table(lines) {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)))
  return lines
    .map((line) =>
      line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '),
    )
    .join('\n')
}

function count(value) {
  return Math.round(value).toLocaleString('en-US')
}

function print(line) {
  process.stdout.write(`${line}\n`)
}
