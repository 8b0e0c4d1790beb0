// One lane of the power-cut proof in a process of its own. Its result goes to the parent by IPC.

import { createRandom } from '../../support/random.ts'
import type { DiskType } from '../support/loop-mount.ts'
import { Scratch } from '../support/scratch.ts'
import { Lane, METHODS } from './lane.ts'

/** What a lane is told on its command line. */
export interface LaneSpec {
  type: DiskType
  cuts: number
  seed: number
  /** The host of a build without syncs, and how often it runs with each method. */
  unsyncedScript: string
  unsyncedRounds: number
  seconds: number
}

const PROGRESS_EVERY = 10

const spec = JSON.parse(process.argv[2]) as LaneSpec
process.on('disconnect', () => process.exit(1))
const deadlineMs = performance.now() + spec.seconds * 1000
const scratch = new Scratch(`power-cuts-${spec.type}`)
try {
  const lane = new Lane(scratch.path, spec.type, createRandom(spec.seed))
  const { result } = lane
  for (let round = 0; round < spec.unsyncedRounds; round++) {
    for (const method of METHODS) {
      await lane.cutUnsynced(spec.unsyncedScript, 'volatile', method)
      // The disk itself keeps what is written past the page cache.
      if (method === 'fdatasync' || method === 'fsync')
        await lane.cutUnsynced(spec.unsyncedScript, 'none', method)
    }
  }
  let told = 0
  for (let log = 0; result.cuts.length < spec.cuts && performance.now() < deadlineMs; log++) {
    await lane.cutLog(log % 2 === 0 ? 'volatile' : 'none', spec.cuts - result.cuts.length)
    if (result.cuts.length < told + PROGRESS_EVERY) continue
    told = result.cuts.length
    console.log(`${spec.type}: ${told} of ${spec.cuts} cuts, ${result.violations.length} violations`)
  }
  process.send!(result)
} finally {
  scratch.remove()
}
process.disconnect()
