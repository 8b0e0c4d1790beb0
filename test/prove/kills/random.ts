import { rmSync } from 'node:fs'
import { KillLedger, killAfter } from '../../crash/kill-run.ts'
import type { Random } from '../../support/random.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'

/** The most acknowledgements that a host lives to see. */
const LONGEST_LIFE = 1500
/** Some die before the first one. */
const STILLBORN_PART = 0.1
/** After so many lives a log is left: reading all of it takes longer and longer. */
const LIVES = 15
const LEAST_PRODUCERS = 2
const MOST_PRODUCERS = 8
const CHECKED_PART = 0.4

export interface RandomKills {
  kills: number
  recoveries: number
  acknowledged: number
  recovered: number
}

/**
 * Kills hosts with 2 to 8 producers at random moments, each of which goes on with the log of those before it, until
 * `isEnough`. Throws at the first thing that is wrong.
 */
export async function killAtRandom(
  random: Random,
  tally: RandomKills,
  isEnough: () => boolean,
): Promise<void> {
  while (!isEnough()) {
    const directory = temporaryDirectory()
    const ledger = new KillLedger()
    for (let run = 0; run < LIVES; run++) {
      const isLast = run === LIVES - 1 || isEnough()
      await killAfter(
        random.chance(STILLBORN_PART) ? 0 : 1 + random.int(LONGEST_LIFE),
        {
          directory,
          run,
          producers: LEAST_PRODUCERS + random.int(MOST_PRODUCERS - LEAST_PRODUCERS + 1),
          stagingSlots: random.chance(0.5) ? 1 : 2,
        },
        ledger,
      )
      tally.kills++
      // Else the next host recovers, and may be killed in turn.
      if (isLast || random.chance(CHECKED_PART)) {
        await ledger.check(directory)
        tally.recoveries++
      }
      if (isLast) break
    }
    tally.acknowledged += ledger.acknowledgedCount
    tally.recovered += ledger.recoveredCount
    rmSync(directory, { recursive: true })
  }
}
