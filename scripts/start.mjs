// The main job: `npm start [FILE…]`
//
// Starts a host application in a process of its own (scripts/start/host.mjs), which commits real lines from a pool of
// producer threads; kills it with SIGKILL in mid-run; opens the log again; and compares every record that had been
// acknowledged, by LSN and content, with what the log returns. Exit code 0 only when none is lost, altered or doubled.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { AckReader } from './start/acks.mjs'
import { findTextFiles, readCorpus } from './start/corpus.mjs'
import { Ledger } from './start/ledger.mjs'

const projectDir = fileURLToPath(new URL('..', import.meta.url))
const FIRST_ACK_FD = 4

const { values: args, positionals } = readArguments()
const producers = Number(args.producers)
const library = pathToFileURL(join(resolve(args.dist), 'esm', 'index.js')).href
const pool = pathToFileURL(join(resolve(args.dist), 'esm', 'pool.js')).href
const files = (positionals.length > 0 ? positionals : findTextFiles(projectDir)).map((file) => resolve(file))

const madeDir = mkdirSync(resolve(args.dir), { recursive: true })
const home = mkdtempSync(join(resolve(args.dir), 'start-'))
let host
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
]) {
  process.once(signal, () => {
    host?.kill('SIGKILL')
    cleanUp()
    process.exit(code)
  })
}
try {
  const ledger = new Ledger(readCorpus(files), producers)
  await runAndKill(ledger)
  process.exitCode = await verify(ledger)
} catch (error) {
  console.error(`start: ${error.message}`)
  process.exitCode = 1
} finally {
  cleanUp()
}

function readArguments() {
  const options = {
    dir: { type: 'string', default: join(projectDir, 'data') },
    producers: { type: 'string', default: '8' },
    pending: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '3' },
    dist: { type: 'string', default: join(projectDir, 'dist') },
    help: { type: 'boolean', default: false },
  }
  try {
    const parsed = parseArgs({ options, allowPositionals: true })
    if (parsed.values.help) exitWithUsage(0)
    for (const name of ['producers', 'pending', 'seconds']) {
      if (!(Number(parsed.values[name]) > 0)) throw new TypeError(`--${name} must be a number above 0`)
    }
    return parsed
  } catch (error) {
    console.error(error.message)
    return exitWithUsage(2)
  }
}

function exitWithUsage(code) {
  const print = code === 0 ? console.log : console.error
  print('usage: npm start -- [--dir DIR] [--producers 8] [--pending 64] [--seconds 3] [FILE…]')
  process.exit(code)
}

/** Resolves when the host is dead, and all that it had acknowledged is in the ledger. */
async function runAndKill(ledger) {
  const settings = {
    home,
    files,
    producers,
    pending: Number(args.pending),
    seconds: Number(args.seconds),
    library,
    pool,
    firstAckFd: FIRST_ACK_FD,
  }
  const pipes = new Array(producers).fill('pipe')
  host = spawn(process.execPath, [join(projectDir, 'scripts/start/host.mjs'), JSON.stringify(settings)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...pipes],
  })
  const exited = once(host, 'exit')
  const ends = Array.from({ length: producers }, (_, index) => {
    const reader = new AckReader((lsn, hash) => ledger.noteAck(index, lsn, hash))
    const pipe = host.stdio[FIRST_ACK_FD + index].on('data', (piece) => reader.read(piece))
    return once(pipe, 'close')
  })
  const diedEarly = exited.then(([code, signal]) => {
    throw new Error(`the host ended by itself (${signal ?? `exit code ${code}`})`)
  })
  // Afterwards it is meant to.
  diedEarly.catch(() => {})
  const [{ measured }] = await Promise.race([once(host, 'message'), diedEarly])
  for (const [index, count] of measured.entries()) ledger.noteCount(index, count)
  const before = ledger.acknowledged
  while (ledger.acknowledged === before) await Promise.race([delay(10), diedEarly])
  await Promise.race([delay(200 + Math.random() * 1000), diedEarly])
  host.kill('SIGKILL')
  await exited
  await Promise.all(ends)
  console.log(`\nkilled the host (SIGKILL) while ${producers} threads were committing`)
}

async function verify(ledger) {
  const { openLog } = await import(library)
  const log = await openLog(join(home, 'log'))
  const { tornTail, salvagedRecords, gap } = log.recovery
  const tail =
    tornTail === undefined ? 'no torn tail' : `a torn tail cut at ${tornTail.segment}:${tornTail.offset}`
  const skipped = gap === undefined ? '' : `, LSN ${gap.first} to ${gap.last} left out`
  console.log(`reopened: ${tail}, ${salvagedRecords} records made durable anew${skipped}`)
  for (const record of log.read()) ledger.noteRecovered(record)
  await log.close()
  const { acknowledged, recovered, lost, more, faults } = ledger
  console.log(`acknowledged ${acknowledged}, recovered ${recovered}, lost ${lost}`)
  console.log(`(each compared by content; ${more} more were under way and came through)`)
  for (const fault of faults.slice(0, 10)) console.error(`FAULT: ${fault}`)
  if (faults.length > 10) console.error(`and ${faults.length - 10} more`)
  return lost === 0 && faults.length === 0 && acknowledged > 0 ? 0 : 1
}

function cleanUp() {
  rmSync(home, { recursive: true, force: true })
  // Only what was not there before.
  if (madeDir !== undefined) rmSync(madeDir, { recursive: true, force: true })
}
