// Defect (b) of the original: all callers read one shared flag, last_commit_failed, which the next batch changed: a
// late follower of a failed batch was told that its record was durable, and one of a durable batch that it failed.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Log } from '../../src/index.ts'
import { eventually } from '../support/eventually.ts'
import { checkFailure, closeAll, errorOf, openFaulty } from '../support/failing-log.ts'
import type { FaultRule, Faults } from '../support/faults.ts'
import { type CommitEnd, endLeftovers, ScriptedProducer } from '../support/scripted-producer.ts'
import { StepTraps } from '../support/step-traps.ts'

test.after.each(endLeftovers)

test('a late follower of a failed batch is told so, although the next batch succeeded', async () => {
  const { log, faults, producers } = await openFaulty({}, 1)
  const late = await LateFollower.start(log, faults, producers[0])
  late.hold.release({ code: 'EIO' })
  checkFailure(errorOf(await late.led), 'indeterminate', 'EIO')
  await log.resume()
  assert.is((await producers[0].commitSync('next')).error, undefined)
  assert.not(log.lastCommitFailed)
  const error = errorOf(await late.wake())
  checkFailure(error, 'not-written', undefined)
  assert.is(error.lsn, 2)
  assert.ok(log.durableLsn > 2)
  await closeAll(log, [...producers, late.follower])
})

test('a late follower of a durable batch is told so, although the next batch failed', async () => {
  const { log, faults, producers } = await openFaulty({}, 1)
  const late = await LateFollower.start(log, faults, producers[0])
  late.hold.release()
  assert.is((await late.led).error, undefined)
  assert.is((await producers[0].commitSync('takes it along')).error, undefined)
  faults.fail('sync-frame', { code: 'EIO' })
  checkFailure(errorOf(await producers[0].commitSync('next')), 'indeterminate', 'EIO')
  assert.ok(log.lastCommitFailed)
  assert.equal((await late.wake()).value, { lsn: 2, durable: true })
  await closeAll(log, [...producers, late.follower])
})

/** A follower that sleeps, its record published, until it is woken; and the leader before it, held in its sync. */
class LateFollower {
  readonly hold: FaultRule
  readonly led: Promise<CommitEnd>
  readonly follower: ScriptedProducer
  readonly #followed: Promise<CommitEnd>
  readonly #traps: StepTraps

  private constructor(
    hold: FaultRule,
    led: Promise<CommitEnd>,
    follower: ScriptedProducer,
    followed: Promise<CommitEnd>,
    traps: StepTraps,
  ) {
    this.hold = hold
    this.led = led
    this.follower = follower
    this.#followed = followed
    this.#traps = traps
  }

  static async start(log: Log, faults: Faults, leader: ScriptedProducer): Promise<LateFollower> {
    const traps = new StepTraps()
    const follower = await ScriptedProducer.start(log, { traps })
    const hold = faults.hold('sync-frame')
    const led = leader.commitSync('led')
    await hold.reached()
    traps.arm(1, 'hold', 'timedOut')
    const followed = follower.commitSync('followed')
    await eventually('the follower sleeps', () => traps.isHeld)
    return new LateFollower(hold, led, follower, followed, traps)
  }

  wake(): Promise<CommitEnd> {
    this.#traps.release()
    return this.#followed
  }
}

test.run()
