import type { Change } from '../support/mutate.ts'

/** A defect of the production code, made on purpose, that has to be noticed. */
export interface Mutant {
  /** What it breaks, as a sentence. */
  name: string
  /** The promise that it breaks: `P1` to `P12`. */
  promise: string
  edits: readonly Change[]
  killedBy: Killer
}

/** What notices it. */
export type Killer = TestKiller | ExplorationKiller

/** A test of `npm test`. */
export interface TestKiller {
  file: string
  /** A part of its name. */
  test: string
  /** The mutant makes the file end early, or wait for ever, before it can say which test failed: that is enough. */
  endsFile?: true
}

/** The explorer of schedules, in this configuration of test/model/configurations.ts. */
export interface ExplorationKiller {
  exploration: string
}
