import * as assert from 'uvu/assert'

/**
 * A machine so busy that it stalls a thread for 20 ms, between deciding a frame and waking its followers, leads to one
 * now and then. Of wake-ups that are lost there would be as many as writes. (The explorer demands none at all.)
 */
const MOST_RESCUES = 2

/** Asserts that no sleeper was left to its timed re-check. @param recheckRescues of `log.stats()` */
export function checkRescues(recheckRescues: number): void {
  assert.ok(recheckRescues <= MOST_RESCUES, `${recheckRescues} sleepers were left to their re-check`)
}
