// @timeout 180
// A thread dies at each single step of a commit, in every way in which threads die; the others go on.
// ALL_STEPS=1 leaves no step out.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Log, type OpenOptions, openLog, type RecordInput } from '../../src/index.ts'
import { eventually } from '../support/eventually.ts'
import { contentAfterReopen, contentOf } from '../support/log-content.ts'
import {
  type Ended,
  endLeftovers,
  type ScriptedOptions,
  ScriptedProducer,
} from '../support/scripted-producer.ts'
import { StepTraps, type TrapAction } from '../support/step-traps.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

test.after.each(endLeftovers)

/**
 * So often a call must not come to a step before it counts as one that has none: whom somebody else leads for, as the
 * committer does when it looks at the ring just then, takes fewer steps.
 */
const MOST_MISSES = 4
/** By this step a record is published. */
const PUBLISHED_STEP = 12

interface Death {
  name: string
  action: TrapAction
  /** What becomes of the thread: it idles in its event loop, it calls again at once, or it has ended. */
  afterwards: 'idles' | 'calls again' | 'has ended' | 'is terminated'
  vmTimeoutMs?: number
  resourceLimits?: ScriptedOptions['resourceLimits']
  /** Where a death is costly, only every so manyth step is tried: until the record is published, and from then on. */
  strides: readonly [number, number]
}

const DEATHS: readonly Death[] = [
  { name: 'an exception, then the thread idles', action: 'throw', afterwards: 'idles', strides: [1, 4] },
  {
    name: 'an exception, then the thread calls again',
    action: 'throw',
    afterwards: 'calls again',
    strides: [1, 4],
  },
  { name: 'a timeout of vm', action: 'spin', vmTimeoutMs: 5, afterwards: 'calls again', strides: [2, 12] },
  { name: 'a stack overflow', action: 'overflow', afterwards: 'calls again', strides: [2, 12] },
  { name: 'process.exit', action: 'exit', afterwards: 'has ended', strides: [4, 60] },
  { name: 'terminate()', action: 'hold', afterwards: 'is terminated', strides: [4, 60] },
  {
    name: 'heap out of memory',
    action: 'exhaustHeap',
    afterwards: 'has ended',
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 },
    strides: [11, 90],
  },
]

interface Work {
  name: string
  options: OpenOptions
  recordCount: number
  /** Appended to each payload. */
  padding: string
  /** A call has at least so many in its own thread. */
  leastSteps: number
  /** Which deaths are tried, by their actions. */
  actions: readonly TrapAction[]
  strides?: readonly [number, number]
  call(victim: ScriptedProducer, payloads: string[], vmTimeoutMs?: number): Promise<Ended<unknown>>
}

const recordsOf = (payloads: string[]): RecordInput[] => payloads.map((payload) => ({ payload }))

const WORKS: readonly Work[] = [
  {
    name: 'commitSync',
    options: {},
    recordCount: 1,
    padding: '',
    leastSteps: 100,
    actions: DEATHS.map(({ action }) => action),
    call: (victim, payloads, vmTimeoutMs) => victim.call('commitSync', recordsOf(payloads), vmTimeoutMs),
  },
  {
    name: 'commitBatchSync with 2 slots',
    options: { stagingSlots: 2 },
    recordCount: 3,
    padding: '',
    leastSteps: 100,
    actions: DEATHS.map(({ action }) => action),
    call: (victim, payloads, vmTimeoutMs) =>
      victim.call('commitBatchSync', [recordsOf(payloads)], vmTimeoutMs),
  },
  {
    name: 'commitSync over changes of segments',
    options: {},
    recordCount: 1,
    // Every third one begins a segment.
    padding: '.'.repeat(300 * 1024),
    leastSteps: 100,
    actions: ['throw', 'exit'],
    strides: [4, 7],
    call: (victim, payloads) => victim.call('commitSync', recordsOf(payloads)),
  },
  {
    // Led by the committer: the thread itself takes few steps, and then waits in its event loop.
    name: 'commit',
    options: {},
    recordCount: 1,
    padding: '',
    leastSteps: 16,
    // An exception would end its thread at some steps, and reject the promise at others.
    actions: ['exit', 'hold'],
    strides: [1, 1],
    call: (victim, payloads) => victim.call('commit', recordsOf(payloads)),
  },
]

for (const work of WORKS) {
  for (const death of DEATHS) {
    if (!work.actions.includes(death.action)) continue
    test(`${work.name}, ${death.name}: whatever the step, the others go on, and nothing acknowledged is lost`, () =>
      dieAtEveryStep(work, death))
  }
}

async function dieAtEveryStep(work: Work, death: Death): Promise<void> {
  const directory = temporaryDirectory()
  const log = await openLog(directory, {
    segmentBytes: 1 << 20,
    sealIdleMs: 0,
    syncMethod: 'fdatasync',
    ...work.options,
  })
  const run = new Deaths(log, work, death)
  await run.start()
  let step = 1
  const [early, late] = process.env.ALL_STEPS ? [1, 1] : (work.strides ?? death.strides)
  for (let misses = 0; misses < MOST_MISSES; ) {
    if (await run.dieAt(step)) {
      step += step < PUBLISHED_STEP ? early : late
      misses = 0
    } else misses++
  }
  assert.ok(step >= work.leastSteps, `${work.name} has more steps than ${step}`)
  await run.check()
  const content = contentOf(log)
  await run.end()
  await log.close()
  assert.equal(await contentAfterReopen(directory), content)
}

class Deaths {
  readonly #log: Log
  readonly #work: Work
  readonly #death: Death
  readonly #traps = new StepTraps()
  readonly #acknowledged = new Map<number, string>()
  readonly #attempted = new Set<string>()
  #calls = 0
  #victim!: ScriptedProducer
  #survivor!: ScriptedProducer

  constructor(log: Log, work: Work, death: Death) {
    this.#log = log
    this.#work = work
    this.#death = death
  }

  async start(): Promise<void> {
    this.#survivor = await ScriptedProducer.start(this.#log)
    await this.#startVictim()
  }

  async #startVictim(): Promise<void> {
    const { resourceLimits } = this.#death
    const options: ScriptedOptions = { traps: this.#traps }
    if (resourceLimits !== undefined) options.resourceLimits = resourceLimits
    this.#victim = await ScriptedProducer.start(this.#log, options)
  }

  /** One death, and the commit of another thread after it; false when the commit has no such step. */
  async dieAt(step: number): Promise<boolean> {
    const { action, vmTimeoutMs, afterwards } = this.#death
    const call = `${step}, call ${++this.#calls}`
    const payloads = Array.from(
      { length: this.#work.recordCount },
      (_, index) => `victim ${call}.${index}.${this.#work.padding}`,
    )
    for (const payload of payloads) this.#attempted.add(payload)
    this.#traps.arm(step, action)
    let isEnded = false
    const ended = this.#work.call(this.#victim, payloads, vmTimeoutMs).then((result) => {
      isEnded = true
      return result
    })
    if (afterwards === 'is terminated') {
      await eventually('the step is reached', () => this.#traps.isHeld || isEnded)
      if (this.#traps.isHeld) await this.#victim.terminate()
    }
    const { value } = await ended
    this.#traps.disarm()
    // A timeout may also come before the step that waits for it.
    const isDead = this.#traps.isSprung || value === undefined
    if (value !== undefined) this.#acknowledge(value as { lsn?: number; firstLsn?: number }, payloads)
    if (isDead && afterwards === 'calls again')
      await this.#commit(this.#victim, `again ${call} ${this.#work.padding}`)
    await this.#commit(this.#survivor, `survivor ${call} ${this.#work.padding}`)
    // Whoever died may have been about to wake the committer.
    if (this.#work.name === 'commit') await this.#commitByPromise(`promise ${call}`)
    if (!isDead) return false
    if (afterwards === 'has ended' || afterwards === 'is terminated') {
      // A step behind the end of its call is reached, and held at, at any time.
      if (afterwards === 'is terminated') await this.#victim.terminate()
      await this.#victim.ended
      await this.#startVictim()
    }
    return true
  }

  async #commit(producer: ScriptedProducer, payload: string): Promise<void> {
    const { value, error } = await producer.commitSync(payload, { timeoutMs: 10_000 })
    if (error !== undefined) throw new Error(`${payload}: ${error.stack}`)
    this.#acknowledge(value, [payload])
  }

  async #commitByPromise(payload: string): Promise<void> {
    const timeoutMs = 10_000
    const { value, error } = await this.#survivor.call('commit', [{ payload }, { timeoutMs }])
    if (error !== undefined) throw new Error(`${payload}: ${error.stack}`)
    this.#acknowledge(value as { lsn: number }, [payload])
  }

  #acknowledge({ lsn, firstLsn }: { lsn?: number; firstLsn?: number }, payloads: string[]): void {
    for (const [index, payload] of payloads.entries()) {
      const own = (lsn ?? firstLsn!) + index
      assert.not(this.#acknowledged.has(own), `LSN ${own} is handed out once`)
      this.#acknowledged.set(own, payload)
    }
  }

  /** What was acknowledged is there; what else is there was attempted, in whole batches; every hole is a counted noop. */
  async check(): Promise<void> {
    const content = contentOf(this.#log)
    for (const [lsn, payload] of this.#acknowledged) assert.is(content.get(lsn), payload)
    const seen = new Set<string>()
    for (const [lsn, payload] of content) {
      assert.not(seen.has(payload), `${payload} is there once`)
      seen.add(payload)
      if (!this.#acknowledged.has(lsn)) assert.ok(this.#attempted.has(payload), `${payload} was attempted`)
    }
    const { recordCount } = this.#work
    for (const payload of seen) {
      const [first, index] = payload.split('.', 2)
      if (!first.startsWith('victim')) continue
      for (let other = 0; other < recordCount; other++) {
        const sibling = payload.replace(`${first}.${index}`, `${first}.${other}`)
        assert.ok(seen.has(sibling), `${first} is whole`)
      }
    }
    const { noops, failures, takeovers, segmentSequence } = this.#log.stats()
    if (this.#work.padding !== '') assert.ok(segmentSequence > 10, `${segmentSequence} segments`)
    assert.is(this.#log.durableLsn - content.size, noops * recordCount, 'holes')
    // A thread that waits for promises holds nothing but places in the ring.
    if (this.#work.name !== 'commit') assert.ok(takeovers > 0)
    if ((this.#work.strides ?? this.#death.strides)[0] === 1) assert.ok(noops > 0)
    assert.is(failures, 0)
  }

  async end(): Promise<void> {
    await Promise.all([this.#victim.close(), this.#survivor.close()])
  }
}

test.run()
