// Real write-back errors: a log on a disk that runs out of blocks which it had promised.
// `node scripts/run.mjs test/prove/fsyncgate.ts [--full] [--rounds N] [--seed N] [--seconds N]`

import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { SyncMethod } from '../../src/index.ts'
import { createRandom } from '../support/random.ts'
import { whyNoMounts } from '../support/small-disk.ts'
import { CLAIMS, type Claim } from './fsyncgate/claims.ts'
import { type Story, type StorySpec, tellStory } from './fsyncgate/story.ts'
import { type DiskType, LEAST_IMAGE_BYTES } from './support/loop-mount.ts'
import { numberOf, readOptions } from './support/options.ts'
import { finish } from './support/report.ts'
import { Scratch } from './support/scratch.ts'

const TYPES: DiskType[] = ['ext4', 'xfs']
const METHODS: SyncMethod[] = ['dsync', 'direct', 'fdatasync', 'fsync']
/** Fewer than the part of the segment from which on the next one is made. */
const MOST_BACKED_BLOCKS = 60
const MOST_PAYLOAD_BYTES = 3000

const { full, seconds, seed, own } = readOptions({ ci: 150, full: 600 }, ['rounds'])
const rounds = numberOf('rounds', own.rounds) ?? (full ? 5 : 1)

const random = createRandom(seed)
const specs = Array.from({ length: rounds }, () => specsOfRound()).flat()
const skipped =
  ['filefrag', 'fallocate', 'xfs_io'].map(whyNoTool).find((why) => why !== undefined) ??
  whyNoMounts({ type: 'ext4', bytes: LEAST_IMAGE_BYTES.ext4 }) ??
  whyNoMounts({ type: 'xfs', bytes: LEAST_IMAGE_BYTES.xfs })
report(skipped === undefined ? await tellAll() : [])

function whyNoTool(name: string): string | undefined {
  return spawnSync('sh', ['-c', `command -v ${name}`]).status === 0 ? undefined : `there is no ${name}`
}

function specsOfRound(): StorySpec[] {
  const plain = TYPES.flatMap((type) =>
    METHODS.flatMap((method) =>
      [1, 2].flatMap((stagingSlots) =>
        (['resume', 'reopen'] as const).map((ending) => specOf({ type, method, stagingSlots, ending })),
      ),
    ),
  )
  // One slot: a disk tells of a failed flush only him who asked for it, so the other one's sync may be told OK.
  const cached = METHODS.map((method) =>
    specOf({ type: 'ext4', isCached: true, method, stagingSlots: 1, ending: 'reopen' }),
  )
  return [...plain, ...cached]
}

function specOf(
  spec: Pick<StorySpec, 'type' | 'method' | 'stagingSlots' | 'ending'> & { isCached?: boolean },
): StorySpec {
  return {
    isCached: false,
    ...spec,
    backedBytes: 4096 * (4 + random.int(MOST_BACKED_BLOCKS - 4)),
    payloadBytes: 100 + random.int(MOST_PAYLOAD_BYTES),
  }
}

async function tellAll(): Promise<Story[]> {
  console.log(`fsyncgate: --seed ${seed}`)
  const deadlineMs = performance.now() + seconds * 1000
  const scratch = new Scratch('fsyncgate')
  const stories: Story[] = []
  try {
    for (const [index, spec] of specs.entries()) {
      if (performance.now() > deadlineMs) break
      const base = join(scratch.path, `${index}`)
      mkdirSync(base)
      const story = await tellStory(base, spec)
      stories.push(story)
      for (const { claim, reason } of story.broken) {
        console.log(`broken: ${CLAIMS[claim]}: ${reason}\n  in story ${index}: ${JSON.stringify(spec)}`)
      }
      if ((index + 1) % 8 === 0) console.log(`${index + 1} of ${specs.length} failures of a disk`)
    }
  } finally {
    scratch.remove()
  }
  return stories
}

function hasUnwritten({ failures, indeterminate }: Story): boolean {
  return failures > indeterminate
}

/** What this kernel calls it, by file system and method; the naive retry's is that of its first sync. */
function printCodes(stories: Story[]): void {
  const list = (codes: (string | undefined)[]) =>
    [...new Set(codes)].map((code) => `${code} (${codes.filter((one) => one === code).length})`).join(', ')
  for (const name of new Set(stories.map(({ spec }) => nameOf(spec)))) {
    const ofDisk = stories.filter(({ spec }) => nameOf(spec) === name)
    for (const method of METHODS) {
      const told = ofDisk.flatMap(({ spec, causes }) => (spec.method === method ? causes : []))
      if (told.length > 0) console.log(`${name}, ${method}: waiters were told ${list(told)}`)
    }
    const naive = ofDisk.flatMap(({ naiveCodes }) => naiveCodes)
    console.log(`${name}, naive: the first sync ended with ${list(naive)}`)
  }
}

function nameOf({ type, isCached }: StorySpec): string {
  return isCached ? `${type} on a disk with a cache` : type
}

function report(stories: Story[]): void {
  const sum = (numberOf: (story: Story) => number) =>
    stories.reduce((total, story) => total + numberOf(story), 0)
  const isBroken = (claim: Claim) => stories.some(({ broken }) => broken.some((one) => one.claim === claim))
  // Of a machine that is slow, or busy with something else.
  const left =
    stories.length < specs.length ? `the time ran out, ${specs.length - stories.length} left` : undefined
  printCodes(stories)
  const codes = (of: (story: Story) => (string | undefined)[]) => {
    const all = stories.flatMap(of)
    return [...new Set(all)].sort().map((code) => ({ code, count: all.filter((one) => one === code).length }))
  }
  finish({
    part: 'fsyncgate',
    title:
      'a disk runs out of blocks under the log: the kernel reports it once, and says OK to whoever asks again',
    promises: ['P1', 'P3', 'P5', 'P6'],
    counts: [
      { label: 'failures of a disk', value: stories.length, of: specs.length },
      { label: 'writes and syncs of the log that failed', value: sum(({ failedCalls }) => failedCalls) },
      { label: 'waiters that were told of it', value: sum(({ failures }) => failures) },
      { label: 'of them indeterminate', value: sum(({ indeterminate }) => indeterminate) },
      { label: 'told of a record of which another waiter was told, too', value: sum(({ shared }) => shared) },
      ...codes(({ causes }) => causes).map(({ code, count }) => ({ label: `told ${code}`, value: count })),
      { label: 'records acknowledged', value: sum(({ acknowledged }) => acknowledged) },
      ...codes(({ naiveCodes }) => naiveCodes).map(({ code, count }) => ({
        label: `naive retries told ${code}, then OK`,
        value: count,
      })),
    ],
    checks: [
      {
        name: `${specs.length} failures of a disk were made`,
        passed: left === undefined,
        ...(left === undefined ? {} : { skipped: skipped ?? left }),
      },
      {
        name: 'some records are indeterminate, and some were not written',
        passed: stories.some(({ indeterminate }) => indeterminate > 0) && stories.some(hasUnwritten),
        ...(skipped === undefined ? {} : { skipped }),
      },
      {
        name: 'flushes and commits were told of the same records',
        passed: stories.some(({ shared }) => shared > 0),
        ...(skipped === undefined ? {} : { skipped }),
      },
      ...(Object.keys(CLAIMS) as Claim[]).map((claim) => ({
        name: CLAIMS[claim],
        passed: stories.length > 0 && !isBroken(claim),
        ...(skipped === undefined ? {} : { skipped }),
      })),
    ],
    seed: `node scripts/run.mjs test/prove/fsyncgate.ts --seed ${seed}${full ? ' --full' : ''}`,
  })
}
