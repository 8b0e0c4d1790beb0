import * as fs from 'node:fs'
import { join } from 'node:path'
import { allocateAligned } from '../../src/storage/aligned-buffer.ts'
import type { Stage, Subject, SubjectOptions, SyncMethodName, Writer } from '../types.ts'
import { DurableWriter, preallocate, preallocatedBytes } from './preallocated.ts'

interface Shared {
  directory: string
  method: SyncMethodName
  writeBytes: number
  syncs: Int32Array
}

/** The disk's limit: each thread writes and syncs blocks of a preallocated file of its own, and does nothing else. */
export const bare: Subject = subjectWith((options) => options.syncMethod)

/** What people write first: a preallocated file for each worker, fdatasync after each record; no common order. */
export const filePerWorker: Subject = subjectWith(() => 'fdatasync')

function subjectWith(methodOf: (options: SubjectOptions) => SyncMethodName): Subject {
  return {
    open(options): Stage {
      const { directory, threads, writeBytes } = options
      const bytes = preallocatedBytes(writeBytes, threads)
      for (let index = 0; index < threads; index++) preallocate(join(directory, `file-${index}`), bytes)
      const syncs = new Int32Array(new SharedArrayBuffer(4))
      const shared: Shared = { directory, method: methodOf(options), writeBytes, syncs }
      return { shared, counters: () => ({ syncs: syncs[0]! }), close: () => undefined }
    },

    join(data, index): Writer {
      const { directory, method, writeBytes, syncs } = data as Shared
      const writer = new DurableWriter(join(directory, `file-${index}`), method, writeBytes)
      return {
        commitSync(payload) {
          writer.buffer.set(payload.length > writeBytes ? payload.subarray(0, writeBytes) : payload)
          writer.write(writeBytes)
          Atomics.add(syncs, 0, 1)
        },
        close: () => writer.close(),
      }
    },
  }
}

/** The disk's sequential bandwidth: large O_DIRECT writes into a preallocated file, not synced one by one. */
export const bandwidth: Subject = {
  open({ directory, writeBytes }): Stage {
    preallocate(join(directory, 'file'), preallocatedBytes(writeBytes, 1) * 4)
    return { shared: { directory, writeBytes }, close: () => undefined }
  },

  join(data): Writer {
    const { directory, writeBytes } = data as Shared
    const fd = fs.openSync(join(directory, 'file'), fs.constants.O_RDWR | (fs.constants.O_DIRECT ?? 0))
    const { bytes } = allocateAligned(writeBytes)
    const fileBytes = fs.fstatSync(fd).size
    let position = 0
    return {
      commitSync() {
        if (position + writeBytes > fileBytes) position = 0
        fs.writeSync(fd, bytes, 0, writeBytes, position)
        position += writeBytes
      },
      close: () => fs.closeSync(fd),
    }
  },
}

/** A growing file that all threads append to, fdatasync after each record. */
export const appendLoop: Subject = {
  open({ directory }): Stage {
    const syncs = new Int32Array(new SharedArrayBuffer(4))
    const path = join(directory, 'file')
    fs.writeFileSync(path, '')
    return {
      shared: { path, syncs },
      counters: () => ({ syncs: syncs[0]! }),
      tidy: () => fs.truncateSync(path, 0),
      close: () => undefined,
    }
  },

  join(data): Writer {
    const { path, syncs } = data as { path: string; syncs: Int32Array }
    const fd = fs.openSync(path, 'a')
    return {
      commitSync(payload) {
        fs.writeSync(fd, payload)
        fs.fdatasyncSync(fd)
        Atomics.add(syncs, 0, 1)
      },
      close: () => fs.closeSync(fd),
    }
  },
}
