// @timeout 240
// kill -9 of a host with producers at random moments. KILLS=50 for more of them, SEED to repeat.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { chooseSeed, createRandom } from '../support/random.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { KillLedger, killAfter } from './kill-run.ts'

const KILLS = Number(process.env.KILLS ?? 8)
const PRODUCERS = 8
/** The most acknowledgements that a host lives to see. */
const LONGEST_LIFE = 1500

test(`${KILLS} times kill -9: every acknowledged record is read back once and unchanged, and none is invented`, async () => {
  const random = createRandom(chooseSeed('kill -9'))
  const directory = temporaryDirectory()
  const ledger = new KillLedger()
  for (let run = 0; run < KILLS; run++) {
    const life = random.chance(0.1) ? 0 : 1 + random.int(LONGEST_LIFE)
    await killAfter(
      life,
      { directory, run, producers: PRODUCERS, stagingSlots: random.chance(0.5) ? 1 : 2 },
      ledger,
    )
    // Else the next host recovers, and may be killed in turn.
    if (random.chance(0.5) || run === KILLS - 1) await ledger.check(directory)
  }
  assert.ok(ledger.acknowledgedCount > KILLS * 100, `${ledger.acknowledgedCount} acknowledged`)
  process.stdout.write(
    `\nkilled ${KILLS}, acknowledged ${ledger.acknowledgedCount}, recovered ${ledger.recoveredCount}\n`,
  )
})

test.run()
