import { cpSync, rmSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { type Log, type OpenOptions, openLog } from '../../src/index.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** The committed records of an open log as text, by LSN. Fails when an LSN comes twice or out of order. */
export function contentOf(log: Log): Map<number, string> {
  const content = new Map<number, string>()
  let lastLsn = 0
  for (const { lsn, payload } of log.read()) {
    assert.ok(lsn > lastLsn, `LSN ${lsn} after ${lastLsn}`)
    lastLsn = lsn
    content.set(lsn, Buffer.from(payload).toString())
  }
  return content
}

/** What a log that is not open holds. */
export async function contentAfterReopen(
  directory: string,
  options?: OpenOptions,
): Promise<Map<number, string>> {
  const log = await openLog(directory, options)
  try {
    return contentOf(log)
  } finally {
    await log.close()
  }
}

/** What kill -9 at this instant would leave: a copy of the files. No record may be written meanwhile. */
export function crashImageOf(directory: string): string {
  const image = temporaryDirectory()
  for (;;) {
    try {
      cpSync(directory, image, { recursive: true })
      return image
    } catch (error) {
      // The segment-keeper gave a file its name in the midst of it.
      if ((error as { code?: string }).code !== 'ENOENT') throw error
      rmSync(image, { recursive: true })
    }
  }
}
