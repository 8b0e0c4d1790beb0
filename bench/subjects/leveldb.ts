import { join } from 'node:path'
import type { Stage, Subject, Writer } from '../types.ts'
import { KeySequence, loadPeer } from './peer-package.ts'

interface Operation {
  type: 'put'
  key: Buffer
  value: Uint8Array
}

interface Database {
  open(): Promise<void>
  put(key: Buffer, value: Uint8Array, options: { sync: boolean }): Promise<void>
  batch(operations: Operation[], options: { sync: boolean }): Promise<void>
  close(): Promise<void>
}

interface Package {
  ClassicLevel: new (path: string, options: Record<string, unknown>) => Database
}

/** classic-level, `sync: true`; its `multithreading` lets the threads of a process share one store. */
export const leveldb: Subject = {
  async open({ directory }): Promise<Stage> {
    const shared = { path: join(directory, 'leveldb') }
    const database = await openDatabase(shared.path)
    return { shared, close: () => database.close() }
  },

  async join(shared, index): Promise<Writer> {
    const database = await openDatabase((shared as { path: string }).path)
    const keys = new KeySequence(index)
    return {
      commit: (payload) => database.put(keys.next(), payload, { sync: true }),
      commitBatch: (payloads) =>
        database.batch(
          payloads.map((value) => ({ type: 'put', key: keys.next(), value })),
          { sync: true },
        ),
      close: () => database.close(),
    }
  },
}

async function openDatabase(path: string): Promise<Database> {
  const { ClassicLevel } = loadPeer<Package>('classic-level')
  const database = new ClassicLevel(path, {
    keyEncoding: 'buffer',
    valueEncoding: 'view',
    multithreading: true,
  })
  await database.open()
  return database
}
