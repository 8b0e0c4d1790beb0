import type { Mutant } from '../../mutants/mutant.ts'
import { MUTANTS } from '../../mutants/mutants.ts'
import { PROMISES, type PromiseRow } from '../promises.ts'
import type { Check, Count, PartReport } from './report.ts'

/** A part with more counts than that shows only the first of them at once. */
const MOST_COUNTS = 40
const FIRST_COUNTS = 20

/** What a run of a part left behind: its report, and where it was run (scripts/lib/prove-results.mjs). */
export interface PartResult extends PartReport {
  /** Of the run: the small one for every change, or the large one. */
  size: 'ci' | 'full'
  seconds: number
  machine: {
    date: string
    commit: string
    isModified: boolean
    node: string
    kernel: string
    processors: string
    fileSystem: string
  }
}

/** docs/verification.json */
export interface VerificationData {
  parts: PartResult[]
}

const HEAD = `# Verification

<!-- Made by test/prove/support/page.ts from docs/verification.json, test/prove/promises.ts and test/mutants: do not edit. -->

What the log promises, what would notice if a promise were broken, and what was counted when all of it was last run. In
every part below it is the production code that runs: only the file system beneath it, the scheduler of its threads, or the
machine around it is another one.

\`\`\`sh
npm test              # the tests
npm run prove:ci      # every part but the mutants, in its small size: 15 minutes at most on two processors, for every change
npm run prove         # every part in its large size: 90 minutes at most
npm run mutants       # the seeded defects, each with the test that kills it
npm run prove:ci -- --only power-cuts     # one part; each prints its seed and takes --seed
\`\`\`

Some parts need root, loop devices or a C compiler; where these are missing the part is skipped, and the summary says so.
`

const ANCHORS = `## For scale

What others publish of their own tests. The units differ (a schedule is not a workload, nor a crash state a test instance),
so these are no ranks: they say which order of magnitude is usual.

| | published |
|---|---|
| SQLite, TH3 | 2.4 million test instances of full coverage tests |
| CrashMonkey (OSDI '18) | 3.37 million workloads, crash states without reordering |
| RocksDB, crash test | about 50 kills a run |
| hashicorp/raft-wal | 4 ALICE workloads |
`

/** docs/verification.md */
export function renderPage(data: VerificationData): string {
  const promises = PROMISES.map((promise) => renderPromise(promise, data.parts)).join('\n')
  return [
    HEAD,
    `## The promises\n\n${promises}`,
    `## Counts of the last run\n\n${renderRuns(data.parts)}`,
    ANCHORS,
    `## Mutants\n\n${renderMutants(data.parts)}`,
  ].join('\n')
}

function renderPromise({ id, says, keptIn, tests }: PromiseRow, parts: readonly PartResult[]): string {
  const seeing = parts
    .filter(({ promises }) => promises.includes(id))
    .map(({ part }) => link(partFile(part), part))
  const mutants = MUTANTS.filter(({ promise }) => promise === id).length
  const files = new Map<string, string[]>()
  for (const [file, test] of tests) files.set(file, [...(files.get(file) ?? []), test])
  return [
    `### ${id}`,
    '',
    says,
    '',
    `- kept in ${keptIn.map((file) => link(file)).join(', ')}`,
    `- seen broken by the parts ${seeing.length === 0 ? '(no run yet)' : seeing.join(', ')}`,
    `- and by the tests`,
    ...Array.from(
      files,
      ([file, names]) => `  - ${link(file)}: ${names.map((name) => `“${name}”`).join(', ')}`,
    ),
    `- broken by ${mutants} of the mutants below`,
    '',
  ].join('\n')
}

function renderRuns(parts: readonly PartResult[]): string {
  if (parts.length === 0) return 'No run yet.\n'
  const overview = parts.map(({ part, title, size, seconds, checks }) => {
    const skipped = checks.filter((check) => check.skipped !== undefined).length
    const passed = `${checks.length - skipped}${skipped === 0 ? '' : `, ${skipped} skipped`}`
    return `| [${part}](#${part}) | ${title} | ${passed} | ${size} | ${seconds} |`
  })
  return [
    `| part | | checks passed | size | seconds |\n|---|---|---|---|---:|\n${overview.join('\n')}\n`,
    renderMachines(parts),
    ...parts.map(renderRun),
  ].join('\n')
}

function renderRun({ part, counts, checks, seed }: PartResult): string {
  const skipped = checks.flatMap(({ name, skipped: reason }) =>
    reason === undefined ? [] : [`- skipped: ${name} (${reason})`],
  )
  const left = counts.length > MOST_COUNTS ? counts.slice(FIRST_COUNTS) : []
  const shownCounts = counts.slice(0, counts.length - left.length)
  return [
    `### ${part}\n`,
    `${link(partFile(part))}${seed === undefined ? '' : `, seed \`${seed}\``}\n`,
    ...(skipped.length > 0 ? [`${skipped.join('\n')}\n`] : []),
    renderCounts(shownCounts),
    ...(left.length > 0
      ? [`<details><summary>${left.length} more</summary>\n\n${renderCounts(left)}\n</details>\n`]
      : []),
  ].join('\n')
}

function renderCounts(counts: readonly Count[]): string {
  const rows = counts.map(
    ({ label, value, of }) => `| ${label} | ${shown(value)} | ${of === undefined ? '' : shown(of)} |`,
  )
  return `| counted | | of |\n|---|---:|---:|\n${rows.join('\n')}\n`
}

function renderMachines(parts: readonly PartResult[]): string {
  const machines = new Map<string, string[]>()
  for (const { part, machine } of parts) {
    const { date, commit, isModified, node, kernel, processors, fileSystem } = machine
    const text = `${date}, commit ${commit}${isModified ? ' with changes' : ''}, Node ${node}, ${kernel}, ${processors}, ${fileSystem}`
    machines.set(text, [...(machines.get(text) ?? []), part])
  }
  const lines = Array.from(
    machines,
    ([text, names]) => `- ${text}: ${machines.size === 1 ? 'all parts' : names.join(', ')}`,
  )
  return `Run on:\n\n${lines.join('\n')}\n`
}

function renderMutants(parts: readonly PartResult[]): string {
  const checks = new Map(
    parts.find(({ part }) => part === 'mutants')?.checks.map((check) => [check.name, check]),
  )
  const rows = MUTANTS.map((mutant) => {
    const check = checks.get(mutant.name)
    return `| ${mutant.name} | ${mutant.promise} | ${killerOf(mutant)} | ${resultOf(check)} |`
  })
  return (
    'Each is a change of the production code, made in a copy of it, and must be noticed by the test that is named beside it, or\n' +
    `that test says less than it seems to. ${MUTANTS.length} mutants:\n\n` +
    `| what it breaks | promise | killed by | result |\n|---|---|---|---|\n${rows.join('\n')}\n`
  )
}

function resultOf(check: Check | undefined): string {
  if (check === undefined) return 'not run yet'
  if (check.skipped !== undefined) return `not run: ${check.skipped}`
  return check.passed ? 'killed' : 'survived'
}

function killerOf({ killedBy }: Mutant): string {
  if ('exploration' in killedBy) {
    return `${link('test/model/configurations.ts', 'schedules')}: “${killedBy.exploration}”`
  }
  return `${link(killedBy.file)}: “${killedBy.test}”`
}

function partFile(part: string): string {
  return part === 'mutants' ? 'test/mutants/mutants.ts' : `test/prove/${part}.ts`
}

function link(file: string, text: string = file.replace(/^(src|test)\//, '')): string {
  return `[${text}](../${file})`
}

function shown(value: number): string {
  return value.toLocaleString('en-US')
}
