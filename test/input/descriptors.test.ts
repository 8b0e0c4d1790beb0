import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LogChild } from '../support/log-child.ts'
import { skipUnless } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import childUrl from './descriptors.child.ts?url'

const LIMIT = 200
const hasPrlimit = spawnSync('prlimit', ['--version']).status === 0
const why = hasPrlimit ? undefined : 'there is no prlimit'

interface Told {
  code?: string
  causeCode?: string
  outcome?: string
  lsn?: number
  durable?: boolean
  message?: string
}

skipUnless(
  test,
  why,
  'a log is not opened without file descriptors, and says EMFILE, until there are enough',
  async () => {
    const child = startChild('open')
    let told = await child.next<Told & { deaths?: string[] }>()
    assert.equal([told.code, told.causeCode], ['GROUPWAL_OPEN_FAILED', 'EMFILE'], told.message)
    while (!told.durable) {
      // With a few more it opens, and the first commit finds none left; or an internal worker cannot start.
      assert.is(told.causeCode, 'EMFILE', told.message)
      if (told.code !== 'GROUPWAL_OPEN_FAILED') {
        assert.equal([told.code, told.outcome], ['GROUPWAL_COMMIT_FAILED', 'not-written'])
      }
      told = await child.next()
    }
    assert.equal(await child.ended, [0, null])
  },
)

skipUnless(
  test,
  why,
  'a thread that can open no file leaves the lead to the committer: its commits succeed',
  async () => {
    const child = startChild('connect')
    assert.equal(await child.next(), { lsn: 2, durable: true })
    assert.equal(await child.next(), { lsn: 3, durable: true })
    const reading = await child.next<Told>()
    assert.equal([reading.code, reading.causeCode], ['GROUPWAL_IO', 'EMFILE'])
    assert.equal(await child.next(), { count: 3 })
    assert.equal(await child.ended, [0, null])
  },
)

skipUnless(
  test,
  why,
  'when nobody can open the next segment the log fails with EMFILE, and resume() goes on',
  async () => {
    const child = startChild('commit')
    const failed = await child.next<Told & { acknowledged: number }>()
    assert.equal(
      [failed.code, failed.outcome, failed.causeCode],
      ['GROUPWAL_COMMIT_FAILED', 'not-written', 'EMFILE'],
    )
    const refused = await child.next<Told>()
    assert.equal([refused.code, refused.causeCode], ['GROUPWAL_RESUME_REFUSED', 'EMFILE'])
    const resumed = await child.next<Told>()
    assert.ok(resumed.durable && resumed.lsn! > failed.lsn!)
    assert.equal(await child.next(), { read: 1 + failed.acknowledged + 1 })
    assert.equal(await child.ended, [0, null])
  },
)

function startChild(scenario: string): LogChild {
  const directory = join(temporaryDirectory(), 'log')
  const limited = ['prlimit', `--nofile=${LIMIT}:${LIMIT}`, process.execPath]
  return new LogChild(fileURLToPath(childUrl), [directory, scenario], limited)
}

test.run()
