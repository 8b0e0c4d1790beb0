import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { connect, type LogHandle, openLog, type Producer, type RecordInput } from '../../src/index.ts'
import type { Stage, Subject, SubjectOptions, Writer } from '../types.ts'

const POLL_MS = 30
const STEADY_POLLS = 3
const FILL_POLLS = 150

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
    await segmentsFilled(options.directory)
    const truncating =
      options.truncateEveryMs === 0
        ? undefined
        : setInterval(() => void log.truncateBefore(log.durableLsn), options.truncateEveryMs)
    return {
      shared: log.handle,
      counters: () => {
        const { syncs, records, bytes, rotations, roomWaits, fullRings, recheckRescues } = log.stats()
        return { syncs, records, bytes, rotations, roomWaits, fullRings, recheckRescues }
      },
      tidy: () => log.truncateBefore(log.durableLsn),
      close: () => {
        clearInterval(truncating)
        return log.close()
      },
    }
  },

  join(shared: unknown): Writer {
    return writerOf(connect(shared as LogHandle))
  },
}

/** The segment-keeper fills the first segments; runs begin when it rests. What its work costs, `rotation` shows. */
async function segmentsFilled(directory: string): Promise<void> {
  let filled = -1
  let steadyPolls = 0
  for (let poll = 0; poll < FILL_POLLS && steadyPolls < STEADY_POLLS; poll++) {
    await delay(POLL_MS)
    const now = blocksIn(directory)
    steadyPolls = now === filled ? steadyPolls + 1 : 0
    filled = now
  }
}

function blocksIn(directory: string): number {
  return readdirSync(directory).reduce(
    (sum, name) => sum + (statSync(join(directory, name), { throwIfNoEntry: false })?.blocks ?? 0),
    0,
  )
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
