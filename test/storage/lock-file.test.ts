import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GroupWalError, LockedError } from '../../src/errors.ts'
import { openLog } from '../../src/index.ts'
import { acquireLock, type DirectoryLock } from '../../src/storage/lock-file.ts'
import { createNodeFileSystem } from '../../src/storage/node-file-system.ts'
import { withFailingClose } from '../support/failing-close.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import holderUrl from './lock-holder.child.ts?url'

const fs = createNodeFileSystem()

async function failureOf(attempt: Promise<DirectoryLock>): Promise<GroupWalError> {
  try {
    await attempt
  } catch (error) {
    assert.ok(GroupWalError.is(error), String(error))
    return error as GroupWalError
  }
  throw new Error('it was locked')
}

async function startHolder(directory: string): Promise<ChildProcess> {
  const child = fork(fileURLToPath(holderUrl), [directory])
  const [message] = await once(child, 'message')
  assert.is(message, 'locked')
  return child
}

test('a log that this process has open cannot be opened again, until it is released', async () => {
  const directory = temporaryDirectory()
  const lock = await acquireLock(fs, directory)
  const error = (await failureOf(acquireLock(fs, directory))) as LockedError
  assert.instance(error, LockedError)
  assert.is(error.code, 'GROUPWAL_LOCKED')
  assert.is(error.owner?.pid, process.pid)
  assert.match(error.message, `this process (pid ${process.pid})`)
  lock.release()
  const again = await acquireLock(fs, directory)
  again.release()
})

test('a lock file whose close fails is free all the same, and nobody is told', async () => {
  const directory = temporaryDirectory()
  const failing = withFailingClose(fs).fs
  const lock = await acquireLock(failing, directory)
  assert.is((await failureOf(acquireLock(failing, directory))).code, 'GROUPWAL_LOCKED')
  lock.release()
  const again = await acquireLock(failing, directory)
  again.release()
})

test('the lock file says who has the log open, to the owner only', async () => {
  const directory = temporaryDirectory()
  const path = join(directory, 'LOCK')
  writeFileSync(path, 'x'.repeat(5000), { mode: 0o600 })
  const lock = await acquireLock(fs, directory)
  const owner = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  assert.is(owner.pid, process.pid)
  assert.is(owner.hostName, hostname())
  assert.is(statSync(path).mode & 0o777, 0o600)
  lock.release()
})

test('another process that has the log open is named, and its death frees it', async () => {
  const directory = temporaryDirectory()
  const holder = await startHolder(directory)
  const error = (await failureOf(acquireLock(fs, directory))) as LockedError
  assert.is(error.owner?.pid, holder.pid)
  assert.match(error.message, `process ${holder.pid}`)
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  const lock = await acquireLock(fs, directory)
  lock.release()
})

test('an owner that the file names from the past is not blamed', async () => {
  const directory = temporaryDirectory()
  const lock = await acquireLock(fs, directory)
  for (const text of [
    '',
    '{"pid":',
    'null',
    JSON.stringify({ pid: 1, startTime: 5, hostName: hostname() }),
  ]) {
    writeFileSync(join(directory, 'LOCK'), text)
    const error = (await failureOf(acquireLock(fs, directory))) as LockedError
    assert.is(error.owner, undefined, text)
    assert.match(error.message, 'another process')
  }
  lock.release()
})

test('an owner on another machine is named with it', async () => {
  const directory = temporaryDirectory()
  const lock = await acquireLock(fs, directory)
  const owner = { pid: 7, startTime: 5, bootId: 'x', hostName: 'elsewhere' }
  writeFileSync(join(directory, 'LOCK'), JSON.stringify(owner))
  const error = (await failureOf(acquireLock(fs, directory))) as LockedError
  assert.match(error.message, 'process 7 on elsewhere')
  lock.release()
})

test('a file system that cannot lock is told from a log that is locked', async () => {
  const library = {
    tryLock: (): boolean => {
      throw Object.assign(new Error('ENOLCK: no locks available'), { code: 'ENOLCK' })
    },
  }
  const error = await failureOf(acquireLock(fs, temporaryDirectory(), () => Promise.resolve(library)))
  assert.is(error.code, 'GROUPWAL_LOCK_UNAVAILABLE')
  assert.match(error.message, process.platform)
  assert.match(error.message, `lock: 'none'`)
  assert.is((error.cause as { code: string }).code, 'ENOLCK')
})

test('where the library must not be loaded, it is not: the error names the runtime, and the log opens without a lock', async () => {
  const runtime = globalThis as { Deno?: object }
  runtime.Deno = {}
  try {
    const directory = temporaryDirectory()
    const error = await failureOf(acquireLock(fs, directory))
    assert.is(error.code, 'GROUPWAL_LOCK_UNAVAILABLE')
    assert.match(error.message, 'under Deno')
    assert.match(error.message, `lock: 'none'`)
    const path = join(directory, 'log')
    for (let life = 1; life <= 2; life++) {
      const log = await openLog(path, { lock: 'none', segmentBytes: 1 << 20 })
      assert.is(log.connect().commitSync({ payload: 'x' }).lsn, life)
      await log.close()
    }
    assert.not(readdirSync(path).includes('LOCK'))
  } finally {
    delete runtime.Deno
  }
})

test('a directory that cannot be written is an error of the open', async () => {
  const missing = join(temporaryDirectory(), 'missing')
  assert.is((await failureOf(acquireLock(fs, missing))).code, 'GROUPWAL_OPEN_FAILED')
})

test.run()
