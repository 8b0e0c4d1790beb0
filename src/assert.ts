/** Thrown when groupwal finds itself in a state that its own protocol excludes: always a bug of groupwal. */
export class AssertionError extends Error {
  override name = 'AssertionError'
}

/** Checks an invariant of our own code. What the world or the caller may get wrong has typed errors instead. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(`groupwal invariant broken: ${message}`)
}
