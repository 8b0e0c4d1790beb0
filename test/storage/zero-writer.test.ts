import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createNodeFileSystem } from '../../src/storage/node-file-system.ts'
import { SYNC_METHODS } from '../../src/storage/sync-method.ts'
import { ZeroWriter } from '../../src/storage/zero-writer.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { withoutWasmMemory } from '../support/without-wasm-memory.ts'

const BLOCK_BYTES = 4096
const FILE_BYTES = 200 * BLOCK_BYTES

for (const isAligned of [true, false]) {
  test(`zeros are written by every method, ${isAligned ? 'with' : 'without'} aligned memory`, () => {
    const path = join(temporaryDirectory(), 'segment')
    for (const method of SYNC_METHODS) {
      writeFileSync(path, Buffer.alloc(FILE_BYTES, 7))
      const writer = new ZeroWriter(createNodeFileSystem(), method)
      const write = (): void => writer.writeZeros(path, BLOCK_BYTES, FILE_BYTES - BLOCK_BYTES)
      if (isAligned) write()
      else withoutWasmMemory(write)
      const bytes = readFileSync(path)
      assert.is(bytes.length, FILE_BYTES, method)
      const expected = Buffer.alloc(FILE_BYTES, 7).fill(0, BLOCK_BYTES, FILE_BYTES - BLOCK_BYTES)
      assert.ok(expected.equals(bytes), method)
    }
  })
}

test.run()
