import { join } from 'node:path'
import type { Stage, Subject, Writer } from '../types.ts'
import { KeySequence, loadPeer } from './peer-package.ts'

interface Database {
  put(key: Buffer, value: Uint8Array): Promise<boolean>
  putSync(key: Buffer, value: Uint8Array): boolean
  transactionSync(action: () => void): void
  close(): Promise<void>
}

interface Package {
  open(options: Record<string, unknown>): Database
}

/**
 * lmdb-js. By default (`overlappingSync`) its promises resolve when a commit is visible, before it is flushed; with it
 * off they resolve after the flush, which is what is compared here.
 */
export const lmdb: Subject = {
  open({ directory }): Stage {
    const shared = { path: join(directory, 'lmdb') }
    const database = openDatabase(shared.path)
    return { shared, close: () => database.close() }
  },

  join(shared, index): Writer {
    const database = openDatabase((shared as { path: string }).path)
    const keys = new KeySequence(index)
    return {
      commitSync: (payload) => void database.putSync(keys.next(), payload),
      commit: (payload) => database.put(keys.next(), payload),
      commitBatch(payloads) {
        database.transactionSync(() => {
          for (const payload of payloads) database.putSync(keys.next(), payload)
        })
      },
      close: () => database.close(),
    }
  },
}

function openDatabase(path: string): Database {
  return loadPeer<Package>('lmdb').open({
    path,
    overlappingSync: false,
    keyEncoding: 'binary',
    encoding: 'binary',
    mapSize: 4 * 2 ** 30,
    noMemInit: true,
  })
}
