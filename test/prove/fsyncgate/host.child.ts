// A host whose disk is about to fail. It is led through its life by lines on stdin, and tells what it saw, a JSON value
// per line. See story.ts.

import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { openLog } from '../../../src/index.ts'
import { type Failure, failureOf } from '../../support/rejection.ts'
import { RemoteProducer } from '../../support/remote-producer.ts'
import type { FailedTale, HostTask, OpenedTale, ResumedTale } from './tales.ts'
import { Trace } from './trace.ts'
import { WAYS, Way, type WayName } from './way.ts'

const RECORDS_AFTERWARDS = 24
/** A log that has failed is watched for so long: nothing moves any more. */
const WATCH_MS = 120

const { directory, options, payloadBytes } = JSON.parse(process.argv[2]) as HostTask
const lines = createInterface({ input: process.stdin })
process.stdin.once('end', () => process.exit(1))
const trace = new Trace()
const log = await openLog(directory, { ...options, fileSystem: trace.fileSystem })
const own = log.connect()
let durableLsnAtFailure: number | undefined
const ways = await Promise.all(WAYS.map(makeWay))
tell<OpenedTale>({ openedLsn: log.durableLsn })

await told()
// Each way ends with an error of its own, or never.
await Promise.all(ways.map((way) => way.work()))
tell<FailedTale>(await tellOfFailure())

await told()
await log.resume()
const before = ways.map((way) => way.acknowledged.length)
for (const way of ways) way.failures.length = 0
await Promise.all(ways.map((way) => way.work(RECORDS_AFTERWARDS)))
tell<ResumedTale>({
  acknowledged: ways.flatMap((way, index) => way.acknowledged.slice(before[index])),
  submitted: ways.flatMap((way) => way.submitted),
  failures: ways.flatMap((way) => way.failures),
  trace: trace.summary(),
})

await told()
own.close()
await log.close()
process.exit(0)

async function makeWay(name: WayName): Promise<Way> {
  const remote = name.endsWith('Sync') ? await RemoteProducer.connect(log.handle) : undefined
  const textOf = (way: WayName, index: number) => `${way} ${index} `.padEnd(payloadBytes, way)
  return new Way(name, { remote, own }, textOf, () => {
    durableLsnAtFailure ??= log.durableLsn
  })
}

async function tellOfFailure(): Promise<FailedTale> {
  const failures = ways.flatMap((way) => way.failures)
  const acknowledged = ways.flatMap((way) => way.acknowledged)
  // Whoever comes now is refused at once, in every way; and the disk is still full.
  for (const way of ways) {
    way.failures.length = 0
    await way.round()
  }
  const resume: Failure = await failureOf(log.resume())
  await new Promise((resolve) => setTimeout(resolve, WATCH_MS))
  return {
    acknowledged,
    failures,
    refusals: ways.flatMap((way) => way.failures),
    acknowledgedAfter: ways.flatMap((way) => way.acknowledged).length - acknowledged.length,
    submitted: ways.flatMap((way) => way.submitted),
    durableLsnAtFailure: durableLsnAtFailure!,
    durableLsnAfter: log.durableLsn,
    lastCommitFailed: log.lastCommitFailed,
    resumeCode: resume.code,
    trace: trace.summary(),
  }
}

async function told(): Promise<void> {
  await once(lines, 'line')
}

function tell<Tale>(tale: Tale): void {
  process.stdout.write(`${JSON.stringify(tale)}\n`)
}
