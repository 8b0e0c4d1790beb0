// The only ways to skip a test. Each prints a line that scripts/test.mjs counts and lists, so that nothing is
// left out in silence.

import type { Callback, Test } from 'uvu'

/**
 * Registers a test that needs something which may be missing here.
 *
 * @param reason why it cannot run, or undefined when it can
 */
export function skipUnless<Context>(
  suite: Test<Context>,
  reason: string | undefined,
  name: string,
  run: Callback<Context>,
): void {
  if (reason === undefined) {
    suite(name, run)
  } else {
    suite.skip(name, run)
    printSkip('SKIP', `${name} (${reason})`)
  }
}

/** From inside of a test that finds out on its way: `return skipNow('no loop device')`, at most once per test. */
export function skipNow(reason: string): void {
  printSkip('SKIP-INSIDE', reason)
}

function printSkip(word: string, text: string): void {
  // uvu prints its dots without a line end.
  process.stdout.write(`\n${word} ${text.replaceAll('\n', ' ')}\n`)
}
