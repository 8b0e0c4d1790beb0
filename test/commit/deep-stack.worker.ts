// Commits again and again, each time with a little more of the stack left.

import { parentPort, workerData } from 'node:worker_threads'
import { connect } from '../../src/index.ts'

const LEVELS = 2000
/** After so many that succeed there is stack enough. */
const SUCCESSES = 100

const producer = connect(workerData.handle)
const acknowledged: [number, string][] = []
let overflows = 0
let failure: unknown

// Once with a whole stack, so that nothing is done for the first time down there.
commit('first')
sink()
if (failure !== undefined) throw failure
commit('last')
producer.close()
parentPort!.postMessage({ acknowledged, overflows })

/** Goes down to the end of the stack, and commits on each of the first levels on its way back. */
function sink(): number {
  let levelsLeft: number
  try {
    levelsLeft = sink()
  } catch {
    levelsLeft = LEVELS
  }
  try {
    if (levelsLeft > 0 && acknowledged.length < SUCCESSES) commit(`${levelsLeft}`)
  } catch (error) {
    overflows++
    if (!(error instanceof RangeError)) failure = error
  }
  return levelsLeft - 1
}

function commit(payload: string): void {
  const { lsn } = producer.commitSync({ payload })
  acknowledged.push([lsn, payload])
}
