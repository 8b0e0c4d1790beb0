import type { Subject } from '../types.ts'
import { appendLoop, bandwidth, bare, filePerWorker } from './bare.ts'
import { batcher } from './batcher.ts'
import { groupCommit } from './group-commit.ts'
import { groupwal } from './groupwal.ts'
import { leveldb } from './leveldb.ts'
import { memcpy, wake } from './limits.ts'
import { lmdb } from './lmdb.ts'
import { rocksdb } from './rocksdb.ts'
import { sqlite } from './sqlite.ts'

/** Everything that can be measured, by name. */
export const subjects: Record<string, Subject> = {
  groupwal,
  bare,
  bandwidth,
  wake,
  memcpy,
  'group-commit': groupCommit,
  'file-per-worker': filePerWorker,
  'append-loop': appendLoop,
  batcher,
  lmdb,
  sqlite,
  leveldb,
  rocksdb,
}
