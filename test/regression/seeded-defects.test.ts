// @timeout 300
// The regression tests notice the defects that they are named after: each is put back into a copy of the source.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runTests, surviveReason } from '../mutants/kill.ts'
import { DEFECTS_OF_THE_ORIGINAL } from '../mutants/of-the-original.ts'

test('without a mutation the copy passes', async () => {
  const { failed, problems, output } = await runTests(['test/regression/defect-d.test.ts'], [])
  assert.equal({ failed, problems }, { failed: [], problems: [] }, output)
})

for (const mutant of DEFECTS_OF_THE_ORIGINAL) {
  test(`noticed: ${mutant.name}`, async () => {
    const reason = await surviveReason(mutant)
    if (reason !== undefined) throw new Error(reason)
  })
}

test.run()
