/** Repeatable random numbers for tests. */
export interface Random {
  /** At least 0, less than `limit`. */
  int(limit: number): number
  /** True with this probability. */
  chance(probability: number): boolean
  bytes(count: number): Uint8Array
}

/** mulberry32: small, quick, and good enough to choose crash states with. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  return {
    int: (limit) => next() % limit,
    chance: (probability) => next() < probability * 2 ** 32,
    bytes: (count) => Uint8Array.from({ length: count }, () => next() & 0xff),
  }
}

/** SEED from the environment, else a new one. Small enough that a few more can be counted from it. */
export function newSeed(): number {
  return Number(process.env.SEED ?? Math.trunc(Math.random() * 2 ** 30))
}

/** The seed of a random test. It is printed, so that a failure can be repeated. */
export function chooseSeed(testName: string): number {
  const seed = newSeed()
  process.stdout.write(`\n${testName}: SEED=${seed}\n`)
  return seed
}
