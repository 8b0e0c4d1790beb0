/**
 * Runs, then cleans up whatever came of it. Where both fail, the first failure is thrown: the second one often only
 * follows from it.
 */
export async function thenCleanUp<T>(run: () => Promise<T>, cleanUp: () => void | Promise<void>): Promise<T> {
  let result: T
  try {
    result = await run()
  } catch (error) {
    try {
      await cleanUp()
    } catch {
      // Told of would be the consequence, not the cause.
    }
    throw error
  }
  await cleanUp()
  return result
}
