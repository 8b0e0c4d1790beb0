import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openLog, type SyncMethod } from '../../../src/index.ts'
import type { Random } from '../../support/random.ts'
import type { DiskType } from '../support/loop-mount.ts'
import { CutDisk, type DiskCache } from './cut-disk.ts'
import hostUrl from './host.child.ts?url'
import { cutHost } from './host.ts'
import type { HostSpec } from './host-spec.ts'
import { Ledger } from './ledger.ts'
import { MOMENTS, type Moment } from './moments.ts'

const KIB = 1024
export const METHODS: readonly SyncMethod[] = ['dsync', 'direct', 'fdatasync', 'fsync']
/** Beside the host's own thread; each costs a start. */
const PRODUCERS = [1, 2, 2, 3, 3, 5]
const MOST_LIVES = 4
/** Shares of a volatile cache that the disk has written by itself, in thousandths. */
const WRITTEN_BACK = [0, 0, 50, 300, 900]

/** Few records: the keeper makes the next segment only when a quarter of this one is used. */
const UNSYNCED: Partial<HostSpec> = {
  producers: 2,
  recordsPerProducer: 16,
  truncates: false,
  waitsForZeros: true,
}
const UNSYNCED_SEGMENT_BYTES = 4096 * KIB

/** One power cut, and what it was like. */
export interface Cut {
  type: DiskType
  cache: DiskCache
  method: SyncMethod
  stagingSlots: number
  moment: Moment
}

/** What happened so far. */
export interface LaneResult {
  cuts: Cut[]
  acknowledged: number
  recovered: number
  /** Acknowledged, and not recovered. */
  lost: number
  /** How often a log was compared with what was acknowledged. */
  comparisons: number
  /** How many lives went on in a log that had been cut before. */
  laterLives: number
  /** How many lives closed the log, without a failure, and were compared. */
  orderlyEnds: number
  /** How many lives ended before the log was open. */
  openings: number
  /** Calls that failed with a proper error after the cut. */
  refusals: number
  /** Lives of a build without syncs, and in how many of them the loss was seen. */
  unsyncedRuns: number
  unsyncedCaught: number
  violations: string[]
}

/** Cuts the power of one type of file system again and again. */
export class Lane {
  readonly result: LaneResult
  readonly #type: DiskType
  readonly #random: Random
  readonly #disks: Map<DiskCache, CutDisk>
  #run = 0

  /** @param base an empty folder of a `Scratch` */
  constructor(base: string, type: DiskType, random: Random) {
    this.#type = type
    this.#random = random
    this.#disks = new Map()
    for (const cache of ['none', 'volatile'] as const) {
      this.#disks.set(cache, new CutDisk(join(base, cache), type, cache))
    }
    this.result = {
      cuts: [],
      acknowledged: 0,
      recovered: 0,
      lost: 0,
      comparisons: 0,
      laterLives: 0,
      orderlyEnds: 0,
      openings: 0,
      refusals: 0,
      unsyncedRuns: 0,
      unsyncedCaught: 0,
      violations: [],
    }
  }

  /** One log, and some lives of it, each of which ends with a cut. */
  async cutLog(cache: DiskCache, mostCuts: number): Promise<void> {
    const random = this.#random
    const disk = this.#disks.get(cache)!
    const directory = join(disk.path, `log-${this.#run}`)
    const ledger = new Ledger()
    const lives = Math.min(mostCuts, 1 + random.int(MOST_LIVES))
    for (let life = 0; life < lives; life++) {
      const index = this.result.cuts.length
      const cut: Cut = {
        type: this.#type,
        cache,
        method: METHODS[index % METHODS.length],
        stagingSlots: 1 + ((index >> 2) % 2),
        moment: MOMENTS[random.int(MOMENTS.length)],
      }
      // Else the next host recovers what this cut leaves, and may be cut off itself while it does.
      const isCompared = life === lives - 1 || random.chance(0.7)
      if (life > 0) this.result.laterLives++
      await this.#cutLife(disk, directory, ledger, cut, isCompared)
    }
    this.result.acknowledged += ledger.acknowledgedCount
    rmSync(directory, { recursive: true })
  }

  async #cutLife(
    disk: CutDisk,
    directory: string,
    ledger: Ledger,
    cut: Cut,
    isCompared: boolean,
  ): Promise<void> {
    const random = this.#random
    const spec = this.#specOf(directory, cut)
    // A cut in the midst of the first open may have taken its name away.
    mkdirSync(directory, { recursive: true })
    const perMille = WRITTEN_BACK[random.int(WRITTEN_BACK.length)]
    const writeBack = { perMille, seed: random.int(2 ** 31) }
    const script = fileURLToPath(hostUrl)
    const life = { script, spec, disk, moment: cut.moment, writeBack }
    const { host, moment, complaint } = await cutHost(life, ledger, random)
    cut.moment = moment
    this.result.cuts.push(cut)
    disk.restore()
    if (!host.hasOpened) this.result.openings++
    if (complaint !== '') this.#violate(cut, `the host said: ${complaint}`)
    for (const count of host.refusals.values()) this.result.refusals += count
    if (isCompared) await this.#compare(directory, spec, ledger, cut, host.hasClosed && !host.hasFailed)
  }

  #specOf(directory: string, { method, stagingSlots, moment }: Cut): HostSpec {
    const random = this.#random
    return {
      directory,
      run: this.#run++,
      producers: PRODUCERS[random.int(PRODUCERS.length)],
      options: {
        syncMethod: method,
        stagingSlots,
        // From 1 MiB on a segment is filled further while it is written.
        segmentBytes: (1024 + 64 * random.int(17)) * KIB,
        ringBytes: 128 * KIB,
        sealIdleMs: 5,
        keepSpares: 2,
      },
      recordsPerProducer: 2000,
      truncates: moment === 'recycling' || random.chance(0.2),
      waitsForZeros: false,
    }
  }

  /**
   * A build that does not sync its commits: what it acknowledges is lost, and that must show. A host that makes few
   * records at once, in a segment that is long filled with zeros, so that nothing else has the disk flush meanwhile.
   *
   * @param script of that build
   */
  async cutUnsynced(script: string, cache: DiskCache, method: SyncMethod): Promise<void> {
    const random = this.#random
    const disk = this.#disks.get(cache)!
    const directory = join(disk.path, `unsynced-${this.#run}`)
    mkdirSync(directory)
    const cut: Cut = { type: this.#type, cache, method, stagingSlots: 1 + random.int(2), moment: 'commit' }
    const spec: HostSpec = { ...this.#specOf(directory, cut), ...UNSYNCED }
    spec.options.segmentBytes = UNSYNCED_SEGMENT_BYTES
    const ledger = new Ledger()
    const writeBack = { perMille: 0, seed: 0 }
    const { complaint } = await cutHost({ script, spec, disk, moment: 'commit', writeBack }, ledger, random)
    disk.restore()
    this.result.unsyncedRuns++
    const { lost, isCorrupt } = await this.#lossesOf(directory, spec, ledger)
    if (complaint === '' && ledger.acknowledgedCount > 0 && (lost > 0 || isCorrupt))
      this.result.unsyncedCaught++
    else this.#violate(cut, `a build without syncs lost ${lost} of ${ledger.acknowledgedCount}. ${complaint}`)
    rmSync(directory, { recursive: true })
  }

  async #lossesOf(
    directory: string,
    spec: HostSpec,
    ledger: Ledger,
  ): Promise<{ lost: number; isCorrupt: boolean }> {
    try {
      const log = await openLog(directory, spec.options)
      const { lost } = ledger.settle(log.read())
      await log.close()
      return { lost, isCorrupt: false }
    } catch (error) {
      if ((error as { code?: string }).code !== 'GROUPWAL_CORRUPT') throw error
      return { lost: 0, isCorrupt: true }
    }
  }

  /** Recovers with the production code, in this process, and looks at every record. */
  async #compare(
    directory: string,
    spec: HostSpec,
    ledger: Ledger,
    cut: Cut,
    endsInOrder: boolean,
  ): Promise<void> {
    this.result.comparisons++
    try {
      const log = await openLog(directory, { ...spec.options, stagingSlots: 1 + this.#random.int(2) })
      const { tornTail, gap } = log.recovery
      if (endsInOrder) this.result.orderlyEnds++
      if (endsInOrder && (tornTail !== undefined || gap !== undefined)) {
        this.#violate(cut, 'close() had returned, and the log does not end in order')
      }
      const settlement = ledger.settle(log.read())
      this.result.recovered += settlement.recovered
      this.result.lost += settlement.lost
      for (const violation of settlement.violations) this.#violate(cut, violation)
      await log.close()
    } catch (error) {
      this.#violate(cut, `recovery failed: ${(error as Error).stack}`)
    }
  }

  #violate({ type, cache, method, stagingSlots, moment }: Cut, sentence: string): void {
    const where = `cut ${this.result.cuts.length} (${type}, cache ${cache}, ${method}, D = ${stagingSlots}, ${moment})`
    this.result.violations.push(`${where}: ${sentence}`)
  }
}
