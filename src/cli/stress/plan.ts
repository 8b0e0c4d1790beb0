import type { RecordInput } from '../../host/record-input.ts'
import type { LogRecord } from '../../read/reader.ts'
import { largestPayload } from '../payload-limit.ts'

/** How a producer of the stress commits. */
export const STRESS_MODES = ['sync', 'promise', 'batch', 'window'] as const
export type StressMode = (typeof STRESS_MODES)[number]

/** What decides on the content of every record. */
export interface PlanSpec {
  seed: number
  producers: number
  maxBatchBytes: number
}

/** A record's place: which life of which producer, and how many of its records come before. */
export interface RecordName {
  incarnation: number
  index: number
}

/** Bit 15: required. The rest of the type is the upper half of the incarnation. */
const TYPE_BASE = 0x8000
const UPPER_LIMIT = 0x7f00
const LARGEST_BATCH = 12
const TYPICAL_BYTES = 256
const MEDIUM_BYTES = 8192

/**
 * What every producer writes: sizes, content and batches follow from the seed, so that a record in the log can be
 * checked by anybody who knows the seed, whoever wrote it and whether or not anybody was told of it.
 *
 * A record's name stands in its header, not in its payload, which may be empty: the index is the tenant id, the
 * incarnation is the vshard id and the lower part of the record type.
 */
export class StressPlan {
  readonly maxPayloadBytes: number
  private readonly spec: PlanSpec
  private readonly maxBatchedBytes: number
  /** Every payload is a part of this. */
  private readonly content: Uint8Array

  constructor(spec: PlanSpec) {
    this.spec = spec
    this.maxPayloadBytes = largestPayload(spec.maxBatchBytes)
    this.maxBatchedBytes = largestPayload(spec.maxBatchBytes / LARGEST_BATCH)
    this.content = new Uint8Array(this.maxPayloadBytes + 65_536)
    const words = new Uint32Array(this.content.buffer, 0, this.content.length >> 2)
    for (let at = 0; at < words.length; at++) words[at] = mix(spec.seed, at, 1)
  }

  /** Incarnations are numbered so that a producer, and so its mode, can be told from the number. */
  modeOf(incarnation: number): StressMode {
    return STRESS_MODES[(incarnation % this.spec.producers) % STRESS_MODES.length]!
  }

  /** How many records stand or fall together with the one at `index`, which is the first of them. */
  batchLength(incarnation: number, index: number): number {
    const mode = this.modeOf(incarnation)
    if (mode !== 'batch' && mode !== 'promise') return 1
    const random = mix(this.spec.seed, incarnation, index * 4 + 2)
    // Promises are mostly single ones.
    if (mode === 'promise' && random % 16 !== 0) return 1
    return 1 + ((random >>> 8) % LARGEST_BATCH)
  }

  payloadOf({ incarnation, index }: RecordName): Uint8Array {
    const random = mix(this.spec.seed, incarnation, index * 4)
    const length = this.lengthOf(incarnation, random)
    const from = mix(random, length, 3) % (this.content.length - length)
    return this.content.subarray(from, from + length)
  }

  recordOf(name: RecordName): RecordInput {
    const { incarnation, index } = name
    return {
      payload: this.payloadOf(name),
      recordType: TYPE_BASE + (incarnation >>> 16),
      vshardId: incarnation & 0xffff,
      tenantId: index,
    }
  }

  /** Which record this is, or undefined when no producer writes such a one. */
  nameOf({ recordType, vshardId, tenantId, payload }: LogRecord): RecordName | undefined {
    const upper = recordType - TYPE_BASE
    if (upper < 0 || upper >= UPPER_LIMIT) return undefined
    const name = { incarnation: upper * 0x10000 + vshardId, index: tenantId }
    return Buffer.compare(payload, this.payloadOf(name)) === 0 ? name : undefined
  }

  /** Mostly small; some of several blocks, a few of any size, and now and then the largest or nothing at all. */
  private lengthOf(incarnation: number, random: number): number {
    const most =
      this.modeOf(incarnation) === 'batch' || this.modeOf(incarnation) === 'promise'
        ? this.maxBatchedBytes
        : this.maxPayloadBytes
    const choice = random % 1024
    const rest = random >>> 10
    if (choice === 0) return most
    if (choice < 8) return 0
    if (choice < 12) return rest % (most + 1)
    if (choice < 80) return rest % Math.min(MEDIUM_BYTES, most + 1)
    return rest % Math.min(TYPICAL_BYTES, most + 1)
  }
}

/** Three numbers made one that looks like chance (the mixing steps of murmur3). */
export function mix(first: number, second: number, third: number): number {
  let hash = 0
  for (const value of [first, second, third]) {
    let word = Math.imul(value | 0, 0xcc9e2d51)
    word = (word << 15) | (word >>> 17)
    hash ^= Math.imul(word, 0x1b873593)
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
  }
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
