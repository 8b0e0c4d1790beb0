import type { CrashChoice, SectorFate } from '../../support/crash-choice.ts'
import type { Random } from '../../support/random.ts'
import { SECTOR_BYTES } from '../../support/simulated-page.ts'

/** What became of an unsynced thing; the last two of a sector that was torn within. */
const LOST = 0
const KEPT = 1
const ZEROS = 2
const GARBAGE = 3

const ZERO_SECTOR: Uint8Array = new Uint8Array(SECTOR_BYTES)
const GARBAGE_SECTOR: Uint8Array = Uint8Array.from(
  { length: SECTOR_BYTES },
  (_, at) => (at * 167 + 89) & 0xff,
)
const FATES: readonly SectorFate[] = [false, true, ZERO_SECTOR, GARBAGE_SECTOR]

/** One choice for everything that a power cut asks, noted so that it can be made again. */
export abstract class Choice implements CrashChoice {
  /** The answers, one digit each. */
  readonly digits: number[] = []
  /** Sectors may be torn within, also where they were written with what stood there. */
  readonly tears: boolean

  constructor(tears: boolean) {
    this.tears = tears
  }

  sector(differs: boolean): SectorFate {
    if (this.tears) return FATES[this.#note(this.answerTorn(differs))]
    return differs && this.#note(this.answer()) === KEPT
  }

  fileSize(): boolean {
    return this.#note(this.answer()) === KEPT
  }

  directoryOperation(): boolean {
    return this.#note(this.answer()) === KEPT
  }

  protected abstract answer(): number
  protected abstract answerTorn(differs: boolean): number

  #note(digit: number): number {
    this.digits.push(digit)
    return digit
  }
}

/** Everything is lost, or kept, but for the n-th thing that is asked. */
export class UniformChoice extends Choice {
  readonly #usual: number
  readonly #exception: number

  constructor(isKept: boolean, exception: number) {
    super(false)
    this.#usual = isKept ? KEPT : LOST
    this.#exception = exception
  }

  protected answer(): number {
    return this.digits.length === this.#exception ? 1 - this.#usual : this.#usual
  }

  protected answerTorn(): number {
    return this.answer()
  }
}

/** Random, with a random leaning. */
export class RandomChoice extends Choice {
  readonly #random: Random
  readonly #leaning: number

  constructor(random: Random, tears: boolean) {
    super(tears)
    this.#random = random
    this.#leaning = [0.05, 0.3, 0.5, 0.7, 0.95][random.int(5)]
  }

  protected answer(): number {
    return this.#random.chance(this.#leaning) ? KEPT : LOST
  }

  protected answerTorn(differs: boolean): number {
    if (this.#random.chance(0.2)) return this.#random.chance(0.5) ? ZEROS : GARBAGE
    return differs ? this.answer() : LOST
  }
}

/** The answers that were noted before. */
export class GivenChoice extends Choice {
  readonly #given: readonly number[]

  constructor(given: readonly number[], tears: boolean) {
    super(tears)
    this.#given = given
  }

  protected answer(): number {
    return this.#given[this.digits.length] ?? LOST
  }

  protected answerTorn(): number {
    return this.answer()
  }
}

/**
 * The digits that come after these when all answers are gone through in order, undefined behind the last. What is
 * asked may depend on the answers before.
 */
export function nextDigits(digits: readonly number[]): number[] | undefined {
  const last = digits.lastIndexOf(LOST)
  return last === -1 ? undefined : [...digits.slice(0, last), KEPT]
}
