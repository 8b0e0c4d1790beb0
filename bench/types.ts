/** How a thread asks for durability. */
export type Mode =
  /** Blocks for each commit (a peer without a blocking call awaits one promise at a time). */
  | 'sync'
  /** `pending` promise commits at the same time, each begun when one is settled. */
  | 'promise'
  /** Appends without waiting, up to `pending` records that are not durable; then blocks for the oldest. */
  | 'window'
  /** Blocks for `batch` records that are committed together. */
  | 'batch'
  /** Promise commits at a fixed rate, whether or not earlier ones are done. */
  | 'arrival'

/** What each of `threads` threads does during a run. */
export interface Load {
  mode: Mode
  threads: number
  pending: number
  batch: number
  payloadBytes: number
  /** Of all threads together; for `arrival`. */
  ratePerSecond: number
}

/** How a subject is opened. */
export interface SubjectOptions {
  directory: string
  syncMethod: SyncMethodName
  threads: number
  /** Of a bare write; the payload rounded up to blocks, unless the point says otherwise. */
  writeBytes: number
  segmentBytes: number
  ringBytes: number
  maxBatchBytes: number
  stagingSlots: number
  /** groupwal: drops what is durable again and again, as after a checkpoint, so that segments are reused. 0: never. */
  truncateEveryMs: number
}

export type SyncMethodName = 'dsync' | 'direct' | 'fdatasync' | 'fsync'

/** One thread's way to make records durable; a subject leaves out what it cannot do. */
export interface Writer {
  /** Durable when it returns. */
  commitSync?(payload: Uint8Array): void
  /** Durable when it resolves. */
  commit?(payload: Uint8Array): Promise<unknown>
  /** Durable, all together, when it returns or resolves. */
  commitBatch?(payloads: readonly Uint8Array[]): unknown
  /** Ordered, not durable yet; returns what `flushSync` and `durable` count in. */
  append?(payload: Uint8Array): number
  flushSync?(position: number): void
  durable?(): number
  close(): unknown
}

/** What the arena's main thread keeps of a subject. */
export interface Stage {
  /** Goes to `join` in every thread. */
  shared: unknown
  /** MessagePorts in `shared` for thread `index`, where the subject relays. */
  portFor?(index: number): import('node:worker_threads').MessagePort
  /** Durable writes since it was opened, where the subject can tell. */
  counters?(): Record<string, number>
  /** Between runs: gives space back. */
  tidy?(): unknown
  close(): unknown
}

/** A thing that is measured: what happens once per process, and once per thread. */
export interface Subject {
  open(options: SubjectOptions): Promise<Stage> | Stage
  join(
    shared: unknown,
    index: number,
    port: import('node:worker_threads').MessagePort | undefined,
  ): Promise<Writer> | Writer
}

/** What one group of threads did in one run. */
export interface GroupResult {
  commits: number
  commitsPerSecond: number
  /** Commits of the slowest thread over the mean of all. */
  slowestShare: number
  /** Microseconds by percentile; arrival: from the time at which a commit was due. */
  latency: LatencySummary
  /** arrival only: from the time at which it was really begun. */
  serviceLatency: LatencySummary | undefined
}

export interface LatencySummary {
  p50: number
  p99: number
  p999: number
  max: number
  /** [percentile, microseconds] */
  cdf: [number, number][]
}

/** What an arena tells about one run. */
export interface RunResult {
  groups: GroupResult[]
  seconds: number
  cpuSeconds: number
  rssBytes: number
  counters: Record<string, number>
}

/** Median and range over the runs. */
export interface Spread {
  median: number
  min: number
  max: number
}

/** One line of the result: what one contender did at one point. */
export interface Row {
  subject: string
  label: string
  /** Empty when it could not run; then `note` says why. */
  values: Record<string, Spread>
  cdf?: [number, number][]
  note?: string
}

export interface PointResult {
  workload: string
  key: string
  parameters: Record<string, number | string>
  rows: Row[]
  /** When and of which commit, where it is not as the results say. */
  measured?: { date: string; commit: string }
}

export interface Results {
  schema: 1
  date: string
  commit: string
  machine: Record<string, string | number>
  settings: Record<string, string | number | boolean>
  /** By peer: whether its acknowledgement comes after the sync, and how that was seen. */
  peers: Record<string, PeerVerdict>
  points: PointResult[]
}

export interface PeerVerdict {
  version: string
  durable: boolean
  /** Syncs per acknowledged commit, one thread, one at a time; the median. */
  syncsPerCommit: number | undefined
  note: string
}
