import type { PointSpec } from './points.ts'
import * as points from './points.ts'

/** How much of each workload is run. */
export interface Scale {
  quick: boolean
}

export interface Workload {
  name: string
  about: string
  points(scale: Scale): PointSpec[]
}

const KIB = 1024
const MIB = 1024 * KIB

/** The menu. */
export const WORKLOADS: readonly Workload[] = [
  {
    name: 'syncs',
    about: 'durable writes per second by sync method, write size and number of writers, without groupwal',
    points: ({ quick }) =>
      points.syncs(
        quick ? [4 * KIB, 64 * KIB, MIB] : [4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB],
        quick ? [1, 4] : [1, 2, 4, 8],
      ),
  },
  {
    name: 'scaling',
    about: '1 to 64 producers: commitSync, commit with 64 pending each, append with a window of 256 each',
    points: ({ quick }) => {
      const threads = quick ? [1, 4, 16] : [1, 2, 4, 8, 16, 32, 64]
      return [
        ...threads.map((count) => points.commits('sync', count, 1)),
        ...(quick ? [1, 4] : threads).map((count) => points.commits('promise', count, 64)),
        ...(quick ? [4] : threads).map((count) => points.commits('window', count, 256)),
      ]
    },
  },
  {
    name: 'pending',
    about: '1 to 1024 commits pending (or in the window) per worker, for 1 and 4 workers',
    points: ({ quick }) => [
      ...(quick ? [1, 1024] : [1, 4, 16, 64, 256, 1024]).map((count) => points.commits('promise', 1, count)),
      ...(quick ? [256] : [16, 64, 256, 1024]).map((count) => points.commits('promise', 4, count)),
      ...(quick ? [256] : [1, 16, 64, 256, 1024]).map((count) => points.commits('window', 1, count)),
      ...(quick ? [1024] : [16, 64, 256, 1024]).map((count) => points.commits('window', 4, count)),
    ],
  },
  {
    name: 'arrival',
    about: 'open loop: commits that arrive at a fixed rate at 4 workers, latency from the time they were due',
    points: ({ quick }) =>
      (quick ? [10_000, 100_000] : [1000, 10_000, 50_000, 100_000, 200_000, 400_000]).map((rate) =>
        points.arrival(4, rate),
      ),
  },
  {
    name: 'payload',
    about:
      '16 B to 1 MiB per record: 4 workers, window mode against the bandwidth of the disk, and commitSync',
    points: ({ quick }) =>
      (quick ? [KIB, 64 * KIB] : [16, 128, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB]).flatMap(
        (bytes) => [points.payload('window', 4, bytes), points.payload('sync', 1, bytes)],
      ),
  },
  {
    name: 'batch',
    about: '1 to 1000 records that are committed together, 1 worker',
    points: ({ quick }) => (quick ? [10, 1000] : [1, 10, 100, 1000]).map((count) => points.batch(count)),
  },
  {
    name: 'mixed',
    about: 'blocking and promise producers in one log, against each of them alone',
    points: () => [points.mixed(2, 2, 64)],
  },
  {
    name: 'rotation',
    about: 'latency across segment rotations, against the same load in one large segment',
    points: ({ quick }) =>
      (quick ? [4 * MIB] : [4 * MIB, 16 * MIB, 64 * MIB]).map((bytes) => points.rotation(bytes)),
  },
  {
    name: 'recovery',
    about: 'time to open after an unclean end, to the first commit, and to replay, by size of the log',
    points: ({ quick }) =>
      (quick ? [0, 32 * MIB] : [0, 16 * MIB, 64 * MIB, 256 * MIB, 1024 * MIB]).map((bytes) =>
        points.recovery(bytes),
      ),
  },
  {
    name: 'read',
    about: 'sequential reading of a whole log, against reading its files and doing nothing with them',
    points: ({ quick }) =>
      (quick ? [128, 4 * KIB] : [16, 128, KIB, 16 * KIB]).map((bytes) => points.read(bytes, quick)),
  },
  {
    name: 'stress-idle',
    about: 'CPU used by an open log that nobody writes to, against a process without one',
    points: ({ quick }) => [points.idle(quick ? 2000 : 20_000)],
  },
  {
    name: 'memory',
    about: 'resident memory and page cache while promises commit; shared memory per producer',
    // The second writes more than 10 GiB.
    points: ({ quick }) =>
      quick
        ? [points.memory(200_000, 128)]
        : [points.memory(10_000_000, 128), points.memory(10_000_000, 1024)],
  },
]
