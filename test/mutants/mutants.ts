import type { Mutant } from './mutant.ts'
import { MUTANTS_OF_CALLS } from './of-calls.ts'
import { MUTANTS_OF_FILES } from './of-files.ts'
import { MUTANTS_OF_PROMISES } from './of-promises.ts'
import { DEFECTS_OF_THE_ORIGINAL } from './of-the-original.ts'
import { MUTANTS_OF_THE_PROTOCOL } from './of-the-protocol.ts'
import { MUTANTS_OF_THREADS } from './of-threads.ts'

/** All of them. `npm run mutants` makes each, and sees it killed. */
export const MUTANTS: readonly Mutant[] = [
  ...DEFECTS_OF_THE_ORIGINAL,
  ...MUTANTS_OF_THE_PROTOCOL,
  ...MUTANTS_OF_PROMISES,
  ...MUTANTS_OF_FILES,
  ...MUTANTS_OF_THREADS,
  ...MUTANTS_OF_CALLS,
]
