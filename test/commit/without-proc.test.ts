import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { skipUnless } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import childUrl from './without-proc.child.ts?url'

/** In a mount namespace of its own, so that nobody else misses it. */
const HIDE_PROC = 'mount -t tmpfs none /proc && exec "$@"'

function withoutProc(...command: string[]): { status: number | null; stdout: string; stderr: string } {
  const args = ['--mount', 'sh', '-c', HIDE_PROC, 'hide', ...command]
  return spawnSync('unshare', args, { encoding: 'utf8', timeout: 50_000, killSignal: 'SIGKILL' })
}

const why =
  withoutProc('true').status === 0 ? undefined : '/proc cannot be hidden: that needs root and unshare'

skipUnless(
  test,
  why,
  'without /proc a thread that died with the commit-lock holds the others up until its exit is noted',
  () => {
    const directory = join(temporaryDirectory(), 'log')
    const { status, stdout, stderr } = withoutProc(process.execPath, fileURLToPath(childUrl), directory)
    assert.is(status, 0, stderr)
    const { takeovers, ...told } = JSON.parse(stdout)
    assert.equal(told, {
      hasProc: false,
      unreported: 'GROUPWAL_TIMEOUT',
      reported: { lsn: 3, durable: true },
      promised: { lsn: 4, durable: true },
      isTold: true,
      texts: ['of the dead', 'before the report', 'after the report', 'a promise'],
    })
    assert.ok(takeovers > 0)
  },
)

test.run()
