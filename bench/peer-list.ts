import type { Mode } from './types.ts'

/** What users would pick instead. */
export interface PeerInfo {
  subject: string
  label: string
  /** npm package in bench/peers; undefined: node:fs alone. */
  packageName: string | undefined
  modes: readonly Mode[]
  note: string
}

export const PEERS: readonly PeerInfo[] = [
  {
    subject: 'file-per-worker',
    label: 'a file per worker',
    packageName: undefined,
    modes: ['sync'],
    note: 'preallocated, write + fdatasync; no common order',
  },
  {
    subject: 'append-loop',
    label: 'bare fs loop',
    packageName: undefined,
    modes: ['sync'],
    note: 'one growing file, append + fdatasync',
  },
  {
    subject: 'batcher',
    label: 'hand-made batcher',
    packageName: undefined,
    modes: ['sync', 'promise'],
    note: 'one thread: array, one write + fdatasync, resolve all; others by relay',
  },
  {
    subject: 'lmdb',
    label: 'lmdb',
    packageName: 'lmdb',
    modes: ['sync', 'promise', 'batch'],
    note: 'overlappingSync: false',
  },
  {
    subject: 'sqlite',
    label: 'better-sqlite3',
    packageName: 'better-sqlite3',
    modes: ['sync', 'batch'],
    note: 'WAL, synchronous=FULL',
  },
  {
    subject: 'leveldb',
    label: 'classic-level',
    packageName: 'classic-level',
    modes: ['sync', 'promise', 'batch'],
    note: 'sync: true',
  },
  {
    subject: 'rocksdb',
    label: 'rocksdb',
    packageName: 'rocksdb',
    modes: ['sync', 'promise', 'batch'],
    note: 'sync: true; one thread, others by relay',
  },
]
