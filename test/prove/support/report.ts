/**
 * What a part of the proof says at its end, as JSON in the file that PROVE_RESULT names.
 *
 * scripts/prove.mjs starts the parts, adds up their checks and writes their counts into docs/verification.md.
 */
import { writeFileSync } from 'node:fs'

/** A number that the run counted, such as schedules explored. `of` is the whole, where that is known. */
export interface Count {
  label: string
  value: number
  of?: number
}

/** One thing that held or did not. A reason under `skipped` means that it was not tried. */
export interface Check {
  name: string
  passed: boolean
  skipped?: string
}

export interface PartReport {
  /** The name of the part's file, such as `power-cuts`. */
  part: string
  /** One line for people. */
  title: string
  /** The promises that this part would see broken: `P1` to `P12`. */
  promises: string[]
  counts: Count[]
  checks: Check[]
  /** What a stranger types to have this part run again with the same random choices. */
  seed?: string
}

/** Prints the report and hands it to scripts/prove.mjs; the process ends with 1 if a check failed. */
export function finish(report: PartReport): void {
  for (const { label, value, of } of report.counts) {
    console.log(
      `${label}: ${value.toLocaleString('en')}${of === undefined ? '' : ` of ${of.toLocaleString('en')}`}`,
    )
  }
  for (const { name, passed, skipped } of report.checks) {
    if (skipped !== undefined) console.log(`skipped: ${name} (${skipped})`)
    else if (!passed) console.log(`FAILED: ${name}`)
  }
  if (process.env.PROVE_RESULT) writeFileSync(process.env.PROVE_RESULT, JSON.stringify(report))
  if (report.checks.some(({ passed, skipped }) => !passed && skipped === undefined)) process.exitCode = 1
}
