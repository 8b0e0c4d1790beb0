import { mix } from './plan.ts'

/** Random numbers that follow from a seed. */
export class Chance {
  private readonly seed: number
  private count: number

  constructor(seed: number) {
    this.seed = seed
    this.count = 0
  }

  /** At least 0, less than `limit`. */
  int(limit: number): number {
    const upper = mix(this.seed, ++this.count, 1) / 2 ** 32
    return Math.floor(((upper + mix(this.seed, this.count, 2)) / 2 ** 32) * limit)
  }
}
