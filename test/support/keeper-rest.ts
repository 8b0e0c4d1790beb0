import type { Log } from '../../src/index.ts'
import { eventually } from './eventually.ts'

/**
 * Resolves when the next segment of a log is made, whose current one is used far enough for that: from then on the
 * segment-keeper changes no file until another segment is begun, or some are dropped. Before that it may give a file
 * another name at any time, and takes a spare as soon as there is one. The idle seal, if nothing else, has it look.
 */
export function untilNextSegmentReady(log: Log): Promise<void> {
  return eventually('the next segment is made', () => log.stats().nextSegmentReady)
}
