import { join } from 'node:path'
import type { Stage, Subject, Writer } from '../types.ts'
import { loadPeer } from './peer-package.ts'

interface Statement {
  run(payload: Uint8Array): unknown
}

interface Database {
  pragma(text: string): unknown
  exec(text: string): unknown
  prepare(text: string): Statement
  transaction<T>(action: (argument: T) => void): { immediate(argument: T): void }
  close(): void
}

const BUSY_TIMEOUT_MS = 60_000

/** better-sqlite3, write-ahead log, synchronous=FULL: the WAL is synced at each commit. A connection per thread. */
export const sqlite: Subject = {
  open({ directory }): Stage {
    const shared = { path: join(directory, 'sqlite.db') }
    const database = openDatabase(shared.path)
    database.exec('CREATE TABLE IF NOT EXISTS log (lsn INTEGER PRIMARY KEY, payload BLOB)')
    return { shared, close: () => database.close() }
  },

  join(shared): Writer {
    const database = openDatabase((shared as { path: string }).path)
    const insert = database.prepare('INSERT INTO log (payload) VALUES (?)')
    const insertAll = database.transaction((payloads: readonly Uint8Array[]) => {
      for (const payload of payloads) insert.run(payload)
    })
    return {
      commitSync: (payload) => void insert.run(payload),
      commitBatch: (payloads) => insertAll.immediate(payloads),
      close: () => database.close(),
    }
  },
}

function openDatabase(path: string): Database {
  const Constructor = loadPeer<new (path: string, options: { timeout: number }) => Database>('better-sqlite3')
  const database = new Constructor(path, { timeout: BUSY_TIMEOUT_MS })
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  return database
}
