import { join } from 'node:path'
import type { Stage, Subject, Writer } from '../types.ts'
import { KeySequence, loadPeer } from './peer-package.ts'
import { type Owner, relayStage, relayWriter } from './relay.ts'

type Done = (error: Error | null | undefined) => void

interface Database {
  open(options: Record<string, unknown>, done: Done): void
  put(key: Buffer, value: Buffer, options: { sync: boolean }, done: Done): void
  batch(operations: object[], options: { sync: boolean }, done: Done): void
  close(done: Done): void
}

/** RocksDB, `sync: true`. Only one thread can open a store: the others reach it through a relay. */
export const rocksdb: Subject = {
  async open({ directory, threads }): Promise<Stage> {
    const path = join(directory, 'rocksdb')
    if (threads === 1) return { shared: { path }, close: () => undefined }
    const writer = await openWriter(path)
    return relayStage(writer, threads, { close: () => writer.close() })
  },

  join(shared, index, port): Writer | Promise<Writer> {
    if (port !== undefined) return relayWriter(shared, index, port)
    return openWriter((shared as { path: string }).path)
  },
}

async function openWriter(path: string): Promise<Writer & Owner> {
  const database = loadPeer<(path: string) => Database>('rocksdb')(path)
  const keys = new KeySequence(0)
  await promised((done) => database.open({ createIfMissing: true }, done))
  return {
    commit: (payload) =>
      promised((done) => database.put(keys.next(), bufferOf(payload), { sync: true }, done)),
    commitBatch: (payloads) =>
      promised((done) =>
        database.batch(
          payloads.map((payload) => ({ type: 'put', key: keys.next(), value: bufferOf(payload) })),
          { sync: true },
          done,
        ),
      ),
    close: () => promised((done) => database.close(done)),
  }
}

function bufferOf(payload: Uint8Array): Buffer {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.length)
}

function promised(call: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => {
      if (error) reject(error)
      else resolve()
    })
  })
}
