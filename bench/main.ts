// Measures groupwal, its limits and its peers: `npm run bench -- [--quick] [--only scaling,pending]`, see --help.
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { chooseSyncMethod } from '../src/storage/choose-sync-method.ts'
import { inspectEnvironment } from '../src/storage/environment.ts'
import { createNodeFileSystem } from '../src/storage/node-file-system.ts'
import { SYNC_METHODS } from '../src/storage/sync-method.ts'
import { compareResults, mergeResults } from './compare.ts'
import { describeCommit, describeMachine } from './machine.ts'
import { measurePoint, type Settings } from './measure.ts'
import { PEERS } from './peer-list.ts'
import { formatPoint } from './table.ts'
import type { Results, SyncMethodName } from './types.ts'
import { verifyPeers } from './verify-peers.ts'
import { WORKLOADS } from './workloads.ts'

const HELP = `usage: npm run bench -- [options]

  --quick              fewer points, 2 short runs each, two peers: under 3 minutes
  --only A,B           only these workloads (below)
  --point TEXT         only points whose name contains this
  --peers A,B          only these peers, or: all, none
  --directory DIR      where to write; it must be on the disk that is to be measured
  --sync METHOD        ${SYNC_METHODS.join(', ')} or auto (default)
  --slots N            staging slots of groupwal: 1, 2, 4 or 8
  --runs N, --seconds S  runs of each point, and the length of each
  --compile-ms N       before its first run each contender works 4 + threads times so long: for the compiler
  --into FILE          puts the points into these results, made with the same settings, in place of those they repeat
  --output FILE        where the results go (default .cache/bench/results.json); what is there is kept as FILE.previous
  --compare A B        compares two such files, measures nothing

workloads:
${WORKLOADS.map(({ name, about }) => `  ${name.padEnd(12)} ${about}`).join('\n')}
peers:
${PEERS.map(({ subject, note }) => `  ${subject.padEnd(16)} ${note}`).join('\n')}
`

const { values: args, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    point: { type: 'string', default: '' },
    peers: { type: 'string' },
    directory: { type: 'string', default: join('.cache', 'bench', 'data') },
    sync: { type: 'string', default: 'auto' },
    slots: { type: 'string', default: '1' },
    runs: { type: 'string' },
    seconds: { type: 'string' },
    'compile-ms': { type: 'string' },
    into: { type: 'string' },
    output: { type: 'string', default: join('.cache', 'bench', 'results.json') },
    compare: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (args.help) {
  console.log(HELP)
} else if (args.compare) {
  if (positionals.length !== 2) throw new TypeError('--compare needs two files')
  const [before, after] = positionals.map((path) => JSON.parse(readFileSync(path, 'utf8')) as Results)
  console.log(compareResults(before!, after!))
} else {
  await measureAll()
}

async function measureAll(): Promise<void> {
  const startedMs = performance.now()
  const workloads = chosen('workload', args.only, WORKLOADS, ({ name }) => name)
  const settings = makeSettings()
  const peers = await verifyPeers(settings.directory, settings.peers)
  for (const [name, { version, durable, note }] of Object.entries(peers)) {
    console.log(`peer ${name} ${version}: ${durable ? 'durable' : 'NOT COMPARED'}, ${note}`)
  }
  const notDurable = Object.keys(peers).filter(
    (name) => !peers[name]!.durable && peers[name]!.note !== 'not installed',
  )
  const results: Results = {
    schema: 1,
    date: new Date().toISOString(),
    commit: describeCommit(),
    machine: describeMachine(settings.directory),
    settings: {
      quick: settings.quick,
      runs: settings.runs,
      runMs: settings.runMs,
      warmUpMs: settings.warmUpMs,
      compileMs: settings.compileMs,
      syncMethod: settings.syncMethod,
      stagingSlots: settings.stagingSlots,
    },
    peers,
    points: [],
  }
  const earlier = args.into === undefined ? undefined : readEarlier(args.into, results)
  // An hour's results are not lost to a short run behind it, and --compare has both.
  if (existsSync(args.output)) copyFileSync(args.output, `${args.output}.previous`)
  for (const workload of workloads) {
    console.log(`\n## ${workload.name}: ${workload.about}`)
    for (const point of workload.points({ quick: args.quick })) {
      if (!point.key.includes(args.point)) continue
      const result = await measurePoint(workload.name, point, { ...settings, notDurable })
      console.log(`\n${formatPoint(result)}`)
      results.points.push(result)
      // What is measured stays, whatever becomes of the rest.
      writeResults(earlier === undefined ? results : mergeResults(earlier, results))
    }
  }
  rmSync(settings.directory, { recursive: true, force: true })
  console.log(
    `\n${results.points.length} points, ${Math.round((performance.now() - startedMs) / 1000)} s: ${args.output}`,
  )
}

function readEarlier(path: string, { settings }: Results): Results {
  const earlier = JSON.parse(readFileSync(path, 'utf8')) as Results
  if (JSON.stringify(earlier.settings) !== JSON.stringify(settings)) {
    throw new TypeError(
      `--into: ${path} was measured with other settings: ${JSON.stringify(earlier.settings)}`,
    )
  }
  return earlier
}

function makeSettings(): Settings {
  const base = resolve(args.directory)
  mkdirSync(base, { recursive: true })
  // A directory of its own, which may be removed: the given one may hold other things.
  const directory = join(base, `run-${process.pid}`)
  mkdirSync(directory)
  const peerNames = PEERS.map(({ subject }) => subject)
  const peers = args.peers ?? (args.quick ? 'file-per-worker,batcher' : 'all')
  return {
    directory,
    syncMethod: chooseMethod(directory),
    quick: args.quick,
    runs: numberOf('runs', args.runs, args.quick ? 2 : 5),
    runMs: 1000 * numberOf('seconds', args.seconds, args.quick ? 0.15 : 0.6),
    warmUpMs: args.quick ? 50 : 150,
    compileMs: numberOf('compile-ms', args['compile-ms'], args.quick ? 20 : 500),
    stagingSlots: numberOf('slots', args.slots, 1),
    peers:
      peers === 'none' ? [] : peers === 'all' ? peerNames : chosen('peer', peers, peerNames, (name) => name),
    notDurable: [],
  }
}

/** One choice for the whole measurement: everything that is compared syncs alike. */
function chooseMethod(directory: string): SyncMethodName {
  const requested = args.sync as SyncMethodName | 'auto'
  const { blockBytes, warnings } = inspectEnvironment(directory)
  const choice = chooseSyncMethod(createNodeFileSystem(), directory, requested, blockBytes)
  console.log(`sync method ${choice.method}: ${choice.reason}`)
  for (const warning of [...warnings, ...choice.warnings]) console.log(`WARNING: ${warning}`)
  return choice.method
}

function chosen<T>(
  kind: string,
  list: string | undefined,
  all: readonly T[],
  nameOf: (item: T) => string,
): T[] {
  if (list === undefined) return [...all]
  return list.split(',').map((name) => {
    const found = all.find((item) => nameOf(item) === name)
    if (found === undefined)
      throw new RangeError(`no ${kind} ${name}; there are ${all.map(nameOf).join(', ')}`)
    return found
  })
}

function numberOf(name: string, text: string | undefined, byDefault: number): number {
  const value = text === undefined ? byDefault : Number(text)
  if (!(value > 0)) throw new RangeError(`--${name} must be a number above 0, got ${text}`)
  return value
}

function writeResults(results: Results): void {
  const path = resolve(args.output)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, `${JSON.stringify(results)}\n`)
}
