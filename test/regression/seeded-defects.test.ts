// @timeout 300
// The regression tests notice the defects that they are named after: each is put back into a copy of the source.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runMutant, surviveReason } from '../support/mutate.ts'
import { SEEDED_DEFECTS } from './seeded-defects.ts'

test('without a mutation the copy passes', async () => {
  const { failed, problems, output } = await runMutant(undefined, 'regression/defect-d')
  assert.equal({ failed, problems }, { failed: [], problems: [] }, output)
})

for (const mutation of SEEDED_DEFECTS) {
  test(`noticed: ${mutation.name}`, async () => {
    const reason = await surviveReason(mutation)
    if (reason !== undefined) throw new Error(reason)
  })
}

test.run()
