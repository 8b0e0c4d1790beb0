// @timeout 60
// Random lives of a log, one crash after the other on the same disk: also in the middle of recovering from the one
// before. RUNS=2000 for a long run.

import { test } from 'uvu'
import { crashStates, withHistory } from '../support/crash-explorer.ts'
import { modelOptions } from '../support/model-log.ts'
import { ModelWorld } from '../support/model-world.ts'
import type { ModelOptions, ModelWriter } from '../support/model-writer.ts'
import { chooseSeed, createRandom, type Random } from '../support/random.ts'
import { type Fault, randomChoice, SimulatedCrash } from '../support/simulated-disk.ts'

const seed = chooseSeed('random-lives')
const runCount = Number(process.env.RUNS ?? 60)
const CRASHES_PER_RUN = 25

test('nothing acknowledged is lost and no LSN is reused, whatever crashes and fails', () => {
  for (let run = 0; run < runCount; run++) {
    const random = createRandom(seed + run)
    let world = new ModelWorld(randomOptions(random))
    for (let crash = 0; crash <= CRASHES_PER_RUN; crash++) {
      const history = `SEED=${seed + run} RUNS=1, crash ${crash}`
      const isLast = crash === CRASHES_PER_RUN
      world.disk.crashAtCall =
        !isLast && random.chance(0.8) ? 1 + random.int(random.chance(0.5) ? 12 : 80) : undefined
      try {
        live(world, random)
      } catch (error) {
        if (!(error instanceof SimulatedCrash)) throw withHistory(error, history)
      }
      const states = crashStates({ disk: world.disk, ledger: world.ledger, history }, random, 3)
      world = new ModelWorld(randomOptions(random), states[random.int(states.length)]!.disk, world.ledger)
    }
  }
})

function randomOptions(random: Random): ModelOptions {
  return modelOptions(random, {
    method: random.chance(0.5) ? 'dsync' : 'fdatasync',
    segmentBytes: 4096 * (4 + random.int(6)),
    maxOutstandingRecords: 6 + random.int(8),
  })
}

/** One process, from opening the log to its death. */
function live(world: ModelWorld, random: Random): void {
  const writer = world.open()
  const stepCount = random.int(14)
  for (let step = 0; step < stepCount; step++) takeStep(world, writer, random)
  const end = random.int(4)
  if (end === 0) writer.close()
  else if (end === 1 && writer.hasRoom(2)) writer.writeUnsynced(1 + random.int(3))
  else if (end === 2) writer.handOutOnly(1 + random.int(world.options.maxOutstandingRecords))
}

function takeStep(world: ModelWorld, writer: ModelWriter, random: Random): void {
  // A close seal must always fit behind the last frame.
  if (!writer.hasRoom(4)) writer.rotate()
  const step = random.int(12)
  if (step < 6) writer.commit(...randomFrames(random))
  else if (step < 7) writer.seal()
  else if (step < 8) writer.prepareAhead(4096 * random.int(9))
  else if (step < 9) writer.rotate()
  else if (step < 10) world.dropBefore(writer, 1 + random.int(writer.durableLsn + 1), random.int(3))
  else failAndResume(world, writer, random)
}

function randomFrames(random: Random): [number[], number[]] {
  const counts = Array.from({ length: 1 + random.int(2) }, () => 1 + random.int(3))
  return [counts, counts.length === 2 && random.chance(0.5) ? [1, 0] : counts.map((_, index) => index)]
}

function failAndResume(world: ModelWorld, writer: ModelWriter, random: Random): void {
  const isSync = world.options.method === 'fdatasync' && random.chance(0.5)
  const fault: Fault = { method: isSync ? 'dataSync' : 'write', call: 1, code: 'EIO' }
  if (random.chance(0.7)) fault.written = randomChoice(random)
  else if (random.chance(0.3)) fault.writtenBytes = 512 * (1 + random.int(7))
  world.failCommit(writer, fault, randomFrames(random)[0])
  writer.resume()
}

test.run()
