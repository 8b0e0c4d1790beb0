import { join } from 'node:path'
import { createRandom } from '../../support/random.ts'
import { keepAll, type SimulatedDisk } from '../../support/simulated-disk.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import { type RunSpec, recordRun } from '../crash-states/recorded-run.ts'
import { Replay } from '../crash-states/replay.ts'
import { filesOf } from '../crash-states/runs.ts'
import { BLOCK_BYTES } from '../crash-states/tiny-log.ts'
import { type BaseLog, withOlderLife } from './base-logs.ts'

const STEPS: RunSpec['steps'] = [
  'commits',
  'commits',
  'truncate',
  'sync',
  'commits',
  'idle',
  'reopen',
  'commits',
]

/** Logs that the engine itself has written: one that was closed, and one whose machine stopped. */
export async function engineLogs(seed: number): Promise<BaseLog[]> {
  const logs: BaseLog[] = []
  for (const slots of [1, 2]) {
    const spec = {
      name: '',
      method: 'fdatasync',
      slots,
      segmentBytes: 8 * BLOCK_BYTES,
      steps: STEPS,
    } as const
    const run = await recordRun(spec, join(temporaryDirectory(), 'log'), createRandom(seed + slots))
    const disks: SimulatedDisk[] = []
    new Replay(run.numbers).forEachPoint(({ disk }) => disks.push(disk))
    // With two slots: two thirds through the run, with everything on the disk that was written.
    const disk = slots === 1 ? disks.at(-1) : disks[Math.floor((disks.length * 2) / 3)]
    const files = filesOf((disk as SimulatedDisk).powerCut(keepAll)) as Map<string, Uint8Array>
    const how = slots === 1 ? 'closed' : 'stopped'
    logs.push(withOlderLife(`of the engine itself, D = ${slots}, ${how}`, files, false))
  }
  return logs
}
