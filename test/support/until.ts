const DEADLINE_MS = 30_000

/** Resolves as soon as `condition` holds; looks once per turn of the event loop. For what no event tells. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const startedMs = performance.now()
  while (!condition()) {
    if (performance.now() - startedMs > DEADLINE_MS) throw new Error(`waited in vain until ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
