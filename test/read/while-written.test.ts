// A log that is read while its owner writes it, as `groupwal dump` does: what comes meanwhile may be read or not, and
// never looks like damage.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openLog } from '../../src/index.ts'
import { readRecords } from '../../src/read/reader.ts'
import { createNodeFileSystem } from '../../src/storage/node-file-system.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const BEFORE = 20
const MEANWHILE = 40
const MIB = 1 << 20
/** Three of them fill a segment. */
const LARGE_BYTES = 300 * 1024

for (const [name, payloadBytes] of [
  ['small records', 100],
  ['records over several segments', LARGE_BYTES],
] as const) {
  test(`a reader that began before is not stopped by what is committed meanwhile: ${name}`, async () => {
    const directory = temporaryDirectory()
    const log = await openLog(directory, { segmentBytes: MIB, syncMethod: 'fdatasync' })
    const producer = log.connect()
    const payload = new Uint8Array(payloadBytes).fill(7)
    for (let count = 0; count < BEFORE; count++) producer.commitSync({ payload })
    const records = readRecords(createNodeFileSystem(), directory)
    const lsns = [records.next().value.lsn]
    for (let count = 0; count < MEANWHILE; count++) producer.commitSync({ payload })
    for (const { lsn } of records) lsns.push(lsn)
    assert.ok(lsns.length >= BEFORE, `${lsns.length} records`)
    assert.equal(
      lsns,
      lsns.map((_, index) => index + 1),
    )
    await log.close()
  })
}

test.run()
