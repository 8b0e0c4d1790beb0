// The assembled module is committed beside its source; here is shown that one is made from the other.

import { spawnSync } from 'node:child_process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

test('src/shared/atomics64-bytes.ts is what atomics64.wat assembles to', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/build-wasm.mjs', '--check'], {
    encoding: 'utf8',
  })
  assert.is(status, 0, stderr)
})

test.run()
