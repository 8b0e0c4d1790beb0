// Page-aligned memory costs some 10 GiB of address space each time; `ulimit -v` may leave none, or too little for all.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LogChild } from '../support/log-child.ts'
import { skipUnless } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import childUrl from './address-space.child.ts?url'

const GB = 1e9
const NODE_MAJOR = Number.parseInt(process.versions.node, 10)
const EXPECTED = [
  ...[0, 1, 2, 3, 4].map((index) => `blocking ${index}`),
  'a promise of a worker',
  ...[0, 1, 2, 3, 4].map((index) => `promise ${index}`),
]
const hasPrlimit = spawnSync('prlimit', ['--version']).status === 0
const why = hasPrlimit ? undefined : 'there is no prlimit'

interface Told {
  errorCode?: string
  message?: string
  causeCode?: string
  alignedMemory?: boolean
  chosen?: string
  code?: number
  rotations?: number
  read?: string[]
  reread?: string[]
}

skipUnless(test, why, 'where no aligned memory can be had a log does without, and says so', async () => {
  const told = await runWith(6 * GB, 'auto')
  // From Node 24 on less is reserved for each.
  if (NODE_MAJOR >= 24 && told.alignedMemory) {
    checkLog(told)
    return
  }
  assert.is(told.alignedMemory, false, told.message)
  assert.ok(['fdatasync', 'fsync'].includes(told.chosen!), told.chosen)
  checkLog(told)
  const refused = await runWith(6 * GB, 'dsync')
  assert.is(refused.errorCode, 'GROUPWAL_SYNC_METHOD_UNAVAILABLE', refused.message)
  assert.match(refused.message!, 'no aligned memory')
})

// Enough for the shared memory alone, and for most of the buffers. With next to none left V8 itself gives up.
for (const limit of [17, 40]) {
  skipUnless(test, why, `a log works with ${limit} GB of address space`, async () => {
    for (const syncMethod of ['dsync', 'auto']) {
      const told = await runWith(limit * GB, syncMethod)
      if (syncMethod === 'dsync' && told.errorCode === 'GROUPWAL_SYNC_METHOD_UNAVAILABLE') continue
      checkLog(told)
    }
  })
}

function checkLog({ message, causeCode, code, rotations, read, reread }: Told): void {
  assert.is(message, undefined, `${message} (${causeCode})`)
  assert.is(code, 0)
  assert.ok(rotations! >= 2, `${rotations} changes of segments`)
  assert.equal(read, EXPECTED)
  assert.equal(reread, EXPECTED)
}

async function runWith(bytes: number, syncMethod: string): Promise<Told> {
  const command = ['prlimit', `--as=${bytes}:${bytes}`, process.execPath]
  const child = new LogChild(
    fileURLToPath(childUrl),
    [join(temporaryDirectory(), 'log'), syncMethod],
    command,
  )
  const told = await child.next<Told>()
  assert.equal(await child.ended, [0, null])
  return told
}

test.run()
