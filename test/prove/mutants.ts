// Makes each mutant of test/mutants, and sees it killed by what it names:
// `node scripts/run.mjs test/prove/mutants.ts [--only TEXT] [--seconds N]`

import { baselineReason, staleReason, surviveReason } from '../mutants/kill.ts'
import type { Mutant } from '../mutants/mutant.ts'
import { MUTANTS } from '../mutants/mutants.ts'
import { readOptions } from './support/options.ts'
import { type Check, finish } from './support/report.ts'

// Nothing here is random. `--only`: a part of the name, or of the file in which it is.
const { seconds, own } = readOptions({ ci: Number.POSITIVE_INFINITY, full: Number.POSITIVE_INFINITY }, [
  'only',
])

/** Test runs at the same time. */
const PROCESSES = 2

const chosen = MUTANTS.filter(({ name, edits }) =>
  [name, ...edits.map(({ file }) => file)].some((text) => text.includes(own.only ?? '')),
)
const checks: Check[] = []
// Those that are waited for until they are late come first: the time runs out among short ones.
const left = [...chosen].sort((one, other) => Number(mayHang(other)) - Number(mayHang(one)))
const deadlineMs = performance.now() + seconds * 1000
const baseline = await baselineReason(chosen)
console.log(baseline ?? 'without a mutant the tests pass')
await Promise.all(
  Array.from({ length: PROCESSES }, async () => {
    for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) await kill(mutant)
  }),
)
// In the order of the table.
const sorted = chosen.map(({ name }) => checks.find((check) => check.name === name)!)
sorted.push({ name: 'without a mutant the tests pass', passed: baseline === undefined })
finish({
  part: 'mutants',
  title: 'defects made on purpose, each noticed by the test that is named for it',
  promises: [...new Set(chosen.map(({ promise }) => promise))].sort(
    (a, b) => Number(a.slice(1)) - Number(b.slice(1)),
  ),
  counts: [
    { label: 'mutants killed', value: checks.filter(({ passed }) => passed).length, of: chosen.length },
  ],
  checks: sorted,
})

function mayHang({ killedBy }: Mutant): boolean {
  return 'endsFile' in killedBy
}

async function kill(mutant: Mutant): Promise<void> {
  const startMs = performance.now()
  if (startMs > deadlineMs) {
    checks.push({ name: mutant.name, passed: false, skipped: 'no time was left for it' })
    return
  }
  const reason = staleReason(mutant) ?? (await surviveReason(mutant))
  const took = ((performance.now() - startMs) / 1000).toFixed(1)
  console.log(`${reason === undefined ? 'killed  ' : 'SURVIVED'} ${took.padStart(5)} s  ${mutant.name}`)
  if (reason !== undefined) console.log(reason.replace(/^/gm, '     '))
  checks.push({ name: mutant.name, passed: reason === undefined })
}
