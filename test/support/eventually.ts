const LIMIT_MS = 15_000

/** Resolves when the condition holds: looks at it again and again, and gives up with an error that says `what`. */
export async function eventually(what: string, condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + LIMIT_MS
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`did not happen within ${LIMIT_MS} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}
