import { constants, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { allocateAligned } from '../../src/storage/aligned-buffer.ts'
import { loadFileSystem } from '../../src/storage/load-file-system.ts'
import { createNodeFileSystem } from '../../src/storage/node-file-system.ts'
import { directReadFlag } from '../../src/storage/sync-method.ts'
import { readWhole, writeWhole } from '../../src/storage/whole-io.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import loaderUrl from './load-file-system.worker.ts?url'

const fs = createNodeFileSystem()

function codeOf(run: () => unknown): string | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    return (error as { code?: string }).code
  }
}

test('every call does on the disk what its name says', () => {
  const directory = join(temporaryDirectory(), 'log')
  fs.makeDirectory(directory, 0o700)
  assert.is(statSync(directory).mode & 0o777, 0o700)
  const path = join(directory, 'a')
  const fd = fs.open(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  assert.is(statSync(path).mode & 0o777, 0o600)
  const bytes = Buffer.from('--hello--')
  assert.is(fs.write(fd, bytes, 2, 5, 10), 5)
  fs.dataSync(fd)
  fs.fullSync(fd)
  assert.is(fs.fileSize(fd), 15)
  const back = new Uint8Array(20)
  assert.is(fs.read(fd, back, 1, 10, 12), 3)
  assert.is(Buffer.from(back.subarray(1, 4)).toString(), 'llo')
  assert.is(fs.read(fd, back, 0, 10, 15), 0)
  fs.truncate(fd, 11)
  assert.is(fs.fileSize(fd), 11)
  fs.rename(path, join(directory, 'b'))
  assert.equal(fs.list(directory), ['b'])
  assert.is(fs.linkCount(fd), 1)
  fs.unlink(join(directory, 'b'))
  assert.is(fs.linkCount(fd), 0)
  fs.syncDirectory(directory)
  fs.close(fd)
  assert.equal(readdirSync(directory), [])
})

test('errors have the code of the kernel', () => {
  const directory = temporaryDirectory()
  assert.is(
    codeOf(() => fs.open(join(directory, 'x'), constants.O_RDWR, 0)),
    'ENOENT',
  )
  assert.is(
    codeOf(() => fs.makeDirectory(directory, 0o700)),
    'EEXIST',
  )
  assert.is(
    codeOf(() => fs.list(join(directory, 'x'))),
    'ENOENT',
  )
  assert.is(
    codeOf(() => fs.syncDirectory(join(directory, 'x'))),
    'ENOENT',
  )
  assert.is(
    codeOf(() => fs.close(1 << 20)),
    'EBADF',
  )
})

test('aligned memory is good for direct I/O', () => {
  const { bytes, isAligned } = allocateAligned(3 * 4096)
  assert.ok(isAligned)
  assert.is(bytes.length, 3 * 4096)
  assert.ok(bytes.every((byte) => byte === 0))
  const path = join(temporaryDirectory(), 'a')
  writeFileSync(path, Buffer.alloc(2 * 4096, 7))
  const fd = fs.open(path, constants.O_RDWR | directReadFlag(), 0)
  assert.is(readWhole(fs, fd, bytes, 2 * 4096, 0), 2 * 4096)
  writeWhole(fs, fd, bytes, 4096)
  fs.close(fd)
  assert.is(statSync(path).size, 4 * 4096)
})

test('a write that falls short is completed, or its error comes out', () => {
  const written: number[] = []
  const short = {
    ...fs,
    write: (_fd: number, _bytes: Uint8Array, offset: number, length: number, position: number): number => {
      if (written.length === 3) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
      written.push(position)
      assert.is(position - 100, offset)
      return Math.min(length, 4)
    },
  }
  writeWhole(short, 0, new Uint8Array(10), 100)
  assert.equal(written, [100, 104, 108])
  assert.is(
    codeOf(() => writeWhole(short, 0, new Uint8Array(10), 100)),
    'ENOSPC',
  )
  assert.is(
    codeOf(() => writeWhole({ ...fs, write: () => 0 }, 0, new Uint8Array(1), 0)),
    'EIO',
  )
})

const moduleText = `
exports.createFileSystem = (base, data) => ({ ...base, list: () => [data.name, ...base.list(data.directory)] })
`

test('a module can stand between the log and the disk', () => {
  const directory = temporaryDirectory()
  const path = join(directory, 'module.cjs')
  writeFileSync(path, moduleText)
  const loaded = loadFileSystem({ module: path, data: { name: 'mine', directory } })
  assert.equal(loaded.list('/'), ['mine', 'module.cjs'])
})

test("a module that is none is the caller's mistake", () => {
  const path = join(temporaryDirectory(), 'module.cjs')
  writeFileSync(path, 'exports.other = 1')
  assert.throws(() => loadFileSystem({ module: path }), /does not export createFileSystem/)
  assert.throws(() => loadFileSystem({ module: './module.cjs' }), /absolute path/)
})

test('a worker loads the module as well', async () => {
  const directory = temporaryDirectory()
  const path = join(directory, 'module.cjs')
  writeFileSync(path, moduleText)
  const module = { module: path, data: { name: 'mine', directory } }
  const names = await new Promise((resolve, reject) => {
    const worker = new Worker(loaderUrl, { workerData: module })
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  assert.equal(names, ['mine', 'module.cjs'])
})

test.run()
