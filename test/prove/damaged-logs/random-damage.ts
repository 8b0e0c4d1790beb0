import fc from 'fast-check'
import type { BaseLog } from './base-logs.ts'
import { type Damage, type Patch, SECTOR_BYTES } from './damage.ts'

const BLOCK = 4096

/** A place in a log: file and offset, as fractions, so that it fits any log. */
interface Place {
  file: number
  at: number
}

type Blow =
  | { kind: 'bytes'; place: Place; bytes: Uint8Array }
  | { kind: 'garbage'; place: Place; length: number; seed: number }
  | { kind: 'zeros'; place: Place; length: number }
  | { kind: 'truncate'; place: Place }
  | { kind: 'copy' | 'swap'; place: Place; other: Place; unit: number; count: number }
  | { kind: 'stale'; place: Place; unit: number; count: number }

const place: fc.Arbitrary<Place> = fc.record({ file: fc.nat(0xffff), at: fc.nat(0xffffff) })
const unit = fc.constantFrom(SECTOR_BYTES, SECTOR_BYTES, BLOCK)

const blow: fc.Arbitrary<Blow> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('bytes'),
      place,
      bytes: fc.uint8Array({ minLength: 1, maxLength: 24 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('garbage'),
      place,
      length: fc.integer({ min: 1, max: 6000 }),
      seed: fc.nat(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('zeros'), place, length: fc.integer({ min: 1, max: 9000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate'), place }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('copy', 'swap'),
      place,
      other: place,
      unit,
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('stale'), place, unit, count: fc.integer({ min: 1, max: 8 }) }),
  },
) as fc.Arbitrary<Blow>

/** One of so many logs, and what happens to it. */
export function randomDamage(logCount: number): fc.Arbitrary<[log: number, blows: Blow[]]> {
  return fc.tuple(fc.nat(logCount - 1), fc.array(blow, { minLength: 1, maxLength: 4 }))
}

/** Does it to copies of the files, one blow after the other, since each finds what those before have left. */
export function strike({ files, stale }: BaseLog, blows: readonly Blow[]): Damage {
  const state = new Map(files)
  const patches: Patch[] = []
  for (const one of blows) {
    for (const patch of patchesOf(one, state, stale)) {
      const before = state.get(patch.file) as Uint8Array
      const after = patch.bytes === undefined ? before.slice(0, patch.at) : before.slice()
      if (patch.bytes !== undefined) after.set(patch.bytes, patch.at)
      state.set(patch.file, after)
      patches.push(patch)
    }
  }
  return patches
}

function patchesOf(
  one: Blow,
  files: ReadonlyMap<string, Uint8Array>,
  stale: ReadonlyMap<string, Uint8Array>,
): Patch[] {
  const unitBytes = 'unit' in one ? one.unit : 1
  const { file, at } = placeIn(files, one.place, unitBytes)
  const bytes = files.get(file) as Uint8Array
  const room = bytes.length - at
  if (one.kind === 'truncate') return [{ file, at, bytes: undefined }]
  if (one.kind === 'bytes') return [{ file, at, bytes: one.bytes.subarray(0, room) }]
  if (one.kind === 'zeros') return [{ file, at, bytes: new Uint8Array(Math.min(one.length, room)) }]
  if (one.kind === 'garbage') return [{ file, at, bytes: garbage(Math.min(one.length, room), one.seed) }]
  const length = one.count * one.unit
  if (one.kind === 'stale') {
    const old = (stale.get(file) as Uint8Array).slice(at, at + Math.min(length, room))
    return [{ file, at, bytes: old }]
  }
  const other = placeIn(files, one.other, unitBytes)
  const otherBytes = files.get(other.file) as Uint8Array
  const count = Math.min(length, room, otherBytes.length - other.at)
  const copied = { file, at, bytes: otherBytes.slice(other.at, other.at + count) }
  if (one.kind === 'copy') return [copied]
  return [copied, { ...other, bytes: bytes.slice(at, at + count) }]
}

function placeIn(
  files: ReadonlyMap<string, Uint8Array>,
  { file, at }: Place,
  unitBytes: number,
): { file: string; at: number } {
  const names = [...files.keys()]
  const name = names[file % names.length]
  const { length } = files.get(name) as Uint8Array
  // Half of all places are near the beginning of a block, where there is something to hit.
  const offset = length === 0 ? 0 : at % length
  const near = (at & 0x800000) === 0 ? offset : offset - (offset % BLOCK) + (offset % 320)
  const chosen = Math.min(near, Math.max(0, length - 1))
  return { file: name, at: chosen - (chosen % unitBytes) }
}

function garbage(length: number, seed: number): Uint8Array {
  let state = seed | 1
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 0x5bd1e995) + 0x6d2b79f5) | 0
    return state >>> 24
  })
}
