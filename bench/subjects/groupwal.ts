import { connect, type LogHandle, openLog, type Producer, type RecordInput } from '../../src/index.ts'
import type { Stage, Subject, SubjectOptions, Writer } from '../types.ts'

/** The log itself, through its public interface only. */
export const groupwal: Subject = {
  async open(options: SubjectOptions): Promise<Stage> {
    const log = await openLog(options.directory, {
      syncMethod: options.syncMethod,
      segmentBytes: options.segmentBytes,
      ringBytes: options.ringBytes,
      maxBatchBytes: options.maxBatchBytes,
      stagingSlots: options.stagingSlots as 1,
    })
    return {
      shared: log.handle,
      counters: () => {
        const { syncs, records, bytes, rotations, roomWaits, fullRings, recheckRescues } = log.stats()
        return { syncs, records, bytes, rotations, roomWaits, fullRings, recheckRescues }
      },
      tidy: () => log.truncateBefore(log.durableLsn),
      close: () => log.close(),
    }
  },

  join(shared: unknown): Writer {
    return writerOf(connect(shared as LogHandle))
  },
}

function writerOf(producer: Producer): Writer {
  const record: RecordInput = { payload: new Uint8Array(0) }
  return {
    commitSync(payload) {
      record.payload = payload
      producer.commitSync(record)
    },
    commit(payload) {
      record.payload = payload
      return producer.commit(record)
    },
    commitBatch(payloads) {
      producer.commitBatchSync(payloads.map((payload) => ({ payload })))
    },
    append(payload) {
      record.payload = payload
      return producer.append(record)
    },
    flushSync: (lsn) => producer.flushSync(lsn),
    durable: () => producer.durableLsn,
    close: () => producer.close(),
  }
}
