import { parseArgs } from 'node:util'
import { newSeed } from '../../support/random.ts'

/** What every part of the proof is told, and with `Own` what this one is told besides. */
export interface PartOptions<Own extends string> {
  full: boolean
  seed: number
  /** In which it has to come to its end. */
  seconds: number
  own: Partial<Record<Own, string>>
}

/**
 * Reads `[--full] [--seed N] [--seconds N]`, and options of the part's own, each with a value.
 *
 * @param seconds unless told otherwise
 */
export function readOptions<Own extends string = never>(
  seconds: { ci: number; full: number },
  names: readonly Own[] = [],
): PartOptions<Own> {
  const { values } = parseArgs({
    options: {
      full: { type: 'boolean', default: false },
      seed: { type: 'string' },
      seconds: { type: 'string' },
      ...Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
    },
  })
  const { full, seed, seconds: told, ...own } = values
  const isFull = full === true
  return {
    full: isFull,
    seed: numberOf('seed', seed) ?? newSeed(),
    seconds: numberOf('seconds', told) ?? (isFull ? seconds.full : seconds.ci),
    own: own as Partial<Record<Own, string>>,
  }
}

/** A whole number that an option gives; undefined without it. */
export function numberOf(name: string, text: unknown): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (text === '' || !Number.isInteger(value) || value < 0) {
    throw new Error(`--${name} ${String(text)}: a whole number is wanted, 0 or more`)
  }
  return value
}
