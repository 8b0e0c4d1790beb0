import type { PointResult, Results, Row, Spread } from '../../bench/types.ts'

/** Results as a measurement writes them, made up. */
export function handmadeResults(): Results {
  const threads = [1, 4, 16]
  const pending = [1, 64, 1024]
  return {
    schema: 1,
    date: '2030-01-02T03:04:05.000Z',
    commit: '0123456789ab',
    machine: { cpu: 'abacus', cpus: 2, fileSystem: 'ext4', kernel: 'Linux 6.1', node: 'v20.15.0' },
    settings: { syncMethod: 'dsync', runs: 5 },
    peers: { lmdb: { version: '-', durable: false, syncsPerCommit: undefined, note: 'not installed' } },
    points: [
      ...threads.map((count) => scaling('sync', count, 1)),
      ...threads.map((count) => scaling('promise', count, 64)),
      ...threads.map((count) => scaling('window', count, 256)),
      ...pending.map((count) => ({ ...scaling('promise', 1, count), workload: 'pending' })),
      ...[1000, 100_000].map(arrival),
      ...[0, 2 ** 24, 2 ** 28].map(recovery),
    ],
  }
}

function scaling(mode: string, threads: number, pending: number): PointResult {
  const ours = { commitsPerSecond: 4250 * threads * pending, limitPerSecond: 6000 * threads * pending }
  const bareGroup = { commitsPerSecond: 4100 * threads, commitsPerSync: threads / 2 }
  return {
    workload: 'scaling',
    key: mode === 'sync' ? `sync ${threads}` : `${mode} ${threads} x ${pending}`,
    parameters: { mode, threads, pending },
    rows: [
      row('bare', 'bare loop', { commitsPerSecond: 6000 }),
      row('groupwal', 'groupwal', ours),
      ...(mode === 'sync' && threads > 1 ? [row('group-commit', 'bare group commit', bareGroup)] : []),
      row('file-per-worker', 'a file per worker', { commitsPerSecond: 3900 * threads }),
      { subject: 'lmdb', label: 'lmdb', values: {}, note: 'not installed (npm run bench:peers)' },
    ],
  }
}

function arrival(ratePerSecond: number): PointResult {
  const cdf = [1, 50, 90, 99, 99.9, 100].map((percentile, index): [number, number] => [
    percentile,
    100 * 2 ** index,
  ])
  const ours = row('groupwal', 'groupwal', {
    commitsPerSecond: ratePerSecond,
    commitsPerSync: 1 + ratePerSecond / 5000,
  })
  return {
    workload: 'arrival',
    key: `${ratePerSecond}/s x 4`,
    parameters: { mode: 'arrival', threads: 4, ratePerSecond },
    rows: [{ ...ours, cdf }],
  }
}

function recovery(logBytes: number): PointResult {
  return {
    workload: 'recovery',
    key: `${logBytes}`,
    parameters: { logBytes },
    rows: [
      {
        subject: 'groupwal',
        label: 'groupwal',
        values: { openMs: spread(20 + logBytes / 1e6), replayMs: spread(1 + logBytes / 1e5) },
      },
      { subject: 'files', label: 'reading its files', values: { replayMs: spread(1 + logBytes / 1e6) } },
    ],
  }
}

function row(subject: string, label: string, figures: Record<string, number>): Row {
  const all: Record<string, number> = { p50Micros: 150, p99Micros: 400, ...figures }
  return {
    subject,
    label,
    values: Object.fromEntries(Object.entries(all).map(([name, value]) => [name, spread(value)])),
  }
}

function spread(median: number): Spread {
  return { median, min: median * 0.9, max: median * 1.1 }
}
