import type { BaseLog } from './base-logs.ts'
import { FRAME_HEADER_BYTES, type LogShape, SEGMENT_HEADER_BYTES } from './log-shape.ts'

export const SECTOR_BYTES = 512

/** A part of a file that is overwritten; or its new end, when `bytes` is undefined. */
export interface Patch {
  file: string
  at: number
  bytes: Uint8Array | undefined
}

/** What happens to a log: patches one after the other. */
export type Damage = readonly Patch[]

/** Every bit of these parts of the files, flipped. */
export function* flippedBits({ files }: BaseLog, shape: LogShape | undefined): Generator<Damage> {
  for (const [file, bytes] of files) {
    for (const [from, to] of shape === undefined ? [[0, bytes.length]] : meaningfulRanges(shape, file)) {
      for (let at = from; at < to; at++) {
        for (let bit = 0; bit < 8; bit++) yield [{ file, at, bytes: Uint8Array.of(bytes[at] ^ (1 << bit)) }]
      }
    }
  }
}

/** Every file cut short at every byte. */
export function* truncations({ files }: BaseLog): Generator<Damage> {
  for (const [file, bytes] of files) {
    for (let at = 0; at < bytes.length; at++) yield [{ file, at, bytes: undefined }]
  }
}

/** Every two sectors of the log that are not alike, swapped. */
export function* swappedSectors({ files }: BaseLog): Generator<Damage> {
  const sectors = sectorsOf(files)
  for (const [index, one] of sectors.entries()) {
    for (let later = index + 1; later < sectors.length; later++) {
      const other = sectors[later]
      if (Buffer.compare(one.bytes, other.bytes) === 0) continue
      yield [
        { ...one, bytes: other.bytes },
        { ...other, bytes: one.bytes },
      ]
    }
  }
}

/** Sectors of an earlier life of the file that came back: every one, every two, every run. */
export function* staleSectors({ files, stale }: BaseLog): Generator<Damage> {
  const old = sectorsOf(stale)
  const changed = sectorsOf(files).flatMap(({ bytes }, index) =>
    Buffer.compare(bytes, old[index].bytes) === 0 ? [] : [old[index]],
  )
  for (const [index, one] of changed.entries()) {
    yield [one]
    for (let later = index + 1; later < changed.length; later++) {
      yield [one, changed[later]]
      if (later > index + 1) yield changed.slice(index, later + 1)
    }
  }
}

function sectorsOf(
  files: ReadonlyMap<string, Uint8Array>,
): { file: string; at: number; bytes: Uint8Array }[] {
  const sectors: { file: string; at: number; bytes: Uint8Array }[] = []
  for (const [file, bytes] of files) {
    for (let at = 0; at < bytes.length; at += SECTOR_BYTES) {
      sectors.push({ file, at, bytes: bytes.slice(at, at + SECTOR_BYTES) })
    }
  }
  return sectors
}

/** Segment headers, and frames without their padding, void ones too. */
function meaningfulRanges({ segments, frames, laterFrames }: LogShape, file: string): [number, number][] {
  const ranges: [number, number][] = [[0, SEGMENT_HEADER_BYTES]]
  for (const { segment, offset, meaningfulBytes } of [...frames, ...laterFrames]) {
    if (segments[segment].name !== file) continue
    ranges.push([offset, offset + Math.max(FRAME_HEADER_BYTES, meaningfulBytes)])
  }
  return ranges
}
