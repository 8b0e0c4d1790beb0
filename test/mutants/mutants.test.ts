// Each mutant can be made, and what kills it is there. That it does kill it is seen by `npm run mutants`.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PROMISES } from '../prove/promises.ts'
import { staleReason } from './kill.ts'
import { MUTANTS } from './mutants.ts'

test('every mutant fits to the source, and names a test that exists', () => {
  const stale = MUTANTS.map((mutant) => [mutant.name, staleReason(mutant)]).filter(
    ([, reason]) => reason !== undefined,
  )
  assert.equal(stale, [])
})

test('every promise is broken by a mutant', () => {
  const broken = new Set(MUTANTS.map(({ promise }) => promise))
  assert.equal(
    PROMISES.map(({ id }) => id).filter((id) => !broken.has(id)),
    [],
  )
})

test('no two mutants have one name', () => {
  assert.is(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length)
})

test.run()
