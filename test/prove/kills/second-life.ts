import { openLog } from '../../../src/index.ts'
import { type Ledger, payloadOf } from '../io-script/events.ts'
import { checkDirectory } from '../io-script/recovered.ts'
import { SEGMENT_BYTES } from '../io-script/run.ts'

const OPTIONS = { segmentBytes: SEGMENT_BYTES, ringBytes: SEGMENT_BYTES, sealIdleMs: 0 }
const FIRST_ID = 1_000_000
const PAYLOAD_BYTES = 200

/**
 * Opens what a killed host left and goes on with it: what is there must be as the ledger says, what is committed now
 * comes behind it under LSNs that nobody was ever told. Returns what is wrong.
 */
export async function liveOn(directory: string, ledger: Ledger): Promise<string[]> {
  try {
    const log = await openLog(directory, { ...OPTIONS, syncMethod: 'fdatasync' })
    const records = Array.from(log.read(), ({ lsn, payload }) => ({
      lsn,
      payload: Buffer.from(payload).toString('latin1'),
    }))
    const producer = log.connect()
    const lastLsn = Math.max(ledger.highestLsn, records.at(-1)?.lsn ?? 0)
    const ids = [FIRST_ID, FIRST_ID + 1]
    const lsns = await Promise.all(
      ids.map(async (id) => {
        ledger.add({ type: 'submitted', id, producer: 'second life', batch: 0, payloadBytes: PAYLOAD_BYTES })
        const { lsn } = await producer.commit({ payload: payloadOf(id, PAYLOAD_BYTES) })
        ledger.add({ type: 'acknowledged', id, lsn })
        return lsn
      }),
    )
    // What the first life was told is checked as it was before the second one wrote.
    const wrong = ledger.check([...records, ...recordsOf(ids, lsns)], Math.max(...lsns) + 1)
    for (const lsn of lsns)
      if (lsn <= lastLsn) wrong.push(`LSN ${lsn} is handed out again, ${lastLsn} was before`)
    producer.close()
    await log.close()
    return [...wrong, ...checkDirectory(directory, SEGMENT_BYTES, ledger)]
  } catch (error) {
    return [`the second life failed: ${(error as Error).stack}`]
  }
}

function recordsOf(ids: readonly number[], lsns: readonly number[]): { lsn: number; payload: string }[] {
  return ids.map((id, index) => ({ lsn: lsns[index], payload: payloadOf(id, PAYLOAD_BYTES) }))
}
