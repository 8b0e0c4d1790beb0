// Stands in for src/recovery/fence.ts in the explored build: the model's disk (disk.ts) has the production code make
// the new segment, or fails. For the threads it is one operation. That a real fence holds whatever crash comes in
// the midst of it is shown by test/recovery.

import { GroupWalError } from '../../src/errors.ts'
import type { FenceResult, FenceSpec } from '../../src/recovery/fence.ts'
import type { ModelDisk } from './disk.ts'

export function fence(fs: unknown, _directory: string, spec: FenceSpec): FenceResult {
  const made = (fs as { disk: ModelDisk }).disk.fence(spec)
  if (made === undefined) throw new GroupWalError('GROUPWAL_RESUME_REFUSED', 'the disk of the model refused')
  return made
}
