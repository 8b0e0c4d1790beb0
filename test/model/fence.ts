// Stands in for src/recovery/fence.ts in the explored build: the disk of the model makes the new segment. That a real
// fence holds whatever crash comes is shown by test/recovery.

import { GroupWalError } from '../../src/errors.ts'
import type { FenceResult, FenceSpec } from '../../src/recovery/fence.ts'
import type { ModelDisk } from './disk.ts'

export function fence(fs: unknown, _directory: string, spec: FenceSpec): FenceResult {
  const made = (fs as { disk: ModelDisk }).disk.fence(spec)
  if (made === undefined) throw new GroupWalError('GROUPWAL_RESUME_REFUSED', 'the disk of the model refused')
  return made
}
