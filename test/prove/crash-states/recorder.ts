import { createRequire } from 'node:module'
import { join } from 'node:path'
import type * as Recorder from './recording-file-system.cjs'

/** Not part of any bundle: every thread of a log loads it from the source tree. */
export const RECORDER_MODULE: string = join(
  process.cwd(),
  'test',
  'prove',
  'crash-states',
  'recording-file-system.cjs',
)

const recorder = createRequire(RECORDER_MODULE)(RECORDER_MODULE) as typeof Recorder

export const { EVENTS, WORDS, FAIL, appendEvent, readEvents }: typeof Recorder = recorder
export type { SharedTrace } from './recording-file-system.cjs'
