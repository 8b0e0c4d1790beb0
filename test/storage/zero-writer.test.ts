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
/** Small pieces, and large ones with a rest. */
const FILE_BLOCKS = [200, 1500]

for (const isAligned of [true, false]) {
  for (const blocks of FILE_BLOCKS) {
    const memory = isAligned ? 'with' : 'without'
    test(`zeros are written by every method, over ${blocks} blocks, ${memory} aligned memory`, () => {
      const fileBytes = blocks * BLOCK_BYTES
      const path = join(temporaryDirectory(), 'segment')
      for (const method of SYNC_METHODS) {
        writeFileSync(path, Buffer.alloc(fileBytes, 7))
        const writer = new ZeroWriter(createNodeFileSystem(), method)
        const write = (): void => writer.writeZeros(path, BLOCK_BYTES, fileBytes - BLOCK_BYTES)
        if (isAligned) write()
        else withoutWasmMemory(write)
        const bytes = readFileSync(path)
        assert.is(bytes.length, fileBytes, method)
        const expected = Buffer.alloc(fileBytes, 7).fill(0, BLOCK_BYTES, fileBytes - BLOCK_BYTES)
        assert.ok(expected.equals(bytes), method)
      }
    })
  }
}

test.run()
