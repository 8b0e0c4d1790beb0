import { AFTERMATH, CASE_RULE, SCRIPT_RULE, ScriptRun, type Setting } from './run.ts'

/** More than a quarter of a segment: the next one is begun. */
const LARGE_BYTES = 300 << 10
/** Small enough to leave a new segment below that. */
const MEDIUM_BYTES = 100 << 10
const GATE_MICROS = 300_000

interface Phase {
  name: string
  run(run: ScriptRun): Promise<unknown> | unknown
  /** The log fails here by the script's own rule. */
  failsOnPurpose?: boolean
}

export interface Scenario {
  name: string
  sealIdleMs: number
  /** Starts with a prepared directory of this name instead of none. */
  template?: 'closed' | 'crashed'
  phases: readonly Phase[]
}

const open: Phase = { name: 'open', run: () => {} }
const close: Phase = { name: 'close', run: () => {} }

const after: Phase = {
  name: 'after',
  run: async (run) => {
    await run.commit('left')
    await run.commit('host')
  },
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'life',
    sealIdleMs: 0,
    phases: [
      open,
      {
        name: 'sync',
        run: async (run) => {
          // Each is led by another thread: that of the producer, and for the host the committer.
          for (const via of ['left', 'right', 'host', 'left'] as const) await run.commit(via)
        },
      },
      { name: 'pair', run: commitPair },
      {
        name: 'promise',
        run: (run) => Promise.all([run.commit('host'), run.commit('host'), run.commit('host')]),
      },
      {
        name: 'batch',
        run: async (run) => {
          await run.commitBatch('right', 3)
          await run.commitBatch('host', 4)
        },
      },
      { name: 'append', run: (run) => run.appendAndFlush('left') },
      { name: 'fill', run: fill },
      {
        name: 'rotate',
        run: async (run) => {
          await run.commit('left', LARGE_BYTES)
          await run.commit('right', LARGE_BYTES)
          await run.commit('left', MEDIUM_BYTES)
        },
      },
      { name: 'truncate', run: (run) => run.truncateBefore(run.log.durableLsn) },
      // From the segment that was dropped.
      { name: 'refill', run: fill },
      { name: 'read', run: (run) => run.readAll() },
      { name: 'fail', failsOnPurpose: true, run: failOnPurpose },
      {
        name: 'resume',
        run: async (run) => {
          if (run.hasFailed && !(await run.resume())) run.hasFailed = true
        },
      },
      after,
      close,
    ],
  },
  {
    name: 'idle',
    sealIdleMs: 15,
    phases: [
      open,
      {
        name: 'seal',
        run: async (run) => {
          await run.commit('left')
          await run.wait(() => run.log.stats().seals > 0 || run.hasFailed, false)
        },
      },
      close,
    ],
  },
  { name: 'reopen', sealIdleMs: 0, template: 'closed', phases: [open, after, close] },
  { name: 'recover', sealIdleMs: 0, template: 'crashed', phases: [open, after, close] },
]

/** The numbers under which the shim counts: each phase of each scenario has its own. */
export function phaseNumber(scenario: Scenario, name: string): number {
  return scenario.phases.findIndex((phase) => phase.name === name) + 1
}

export function phaseName(scenario: Scenario, number: number): string {
  return number === AFTERMATH ? 'aftermath' : (scenario.phases[number - 1]?.name ?? `phase ${number}`)
}

/** Runs a scenario to its end; what a fault breaks is mended on the way, and has to be mendable. */
export async function runScenario(scenario: Scenario, setting: Setting): Promise<void> {
  const run = new ScriptRun(setting)
  const inner = scenario.phases.slice(1, -1)
  run.enter(phaseNumber(scenario, open.name))
  if (!(await run.open())) {
    await mendOpen(run)
    return
  }
  for (const phase of inner) {
    run.enter(phaseNumber(scenario, phase.name))
    await phase.run(run)
    if (!run.hasFailed || phase.failsOnPurpose) continue
    run.enter(AFTERMATH)
    await mendFailure(run)
    break
  }
  run.enter(phaseNumber(scenario, close.name))
  if (!(await run.close())) await mendClose(run)
  run.enter(0)
}

/** The log could not be opened: it can be, as soon as the disk works again. */
async function mendOpen(run: ScriptRun): Promise<void> {
  await run.setting.capture()
  await liveAgain(run, 'the log does not open although the disk works again')
}

/** The closing seal failed: the directory is free all the same, and the log opens. */
async function mendClose(run: ScriptRun): Promise<void> {
  await run.setting.capture()
  await liveAgain(run, 'the log does not open after a close that failed')
}

async function liveAgain(run: ScriptRun, complaint: string): Promise<void> {
  run.enter(0)
  if (!(await run.open())) {
    run.violate(complaint)
    return
  }
  await mustCommit(run)
  if (!(await run.close())) run.violate('the log does not close although the disk works again')
}

/** The log has failed: it stays so until resume() returned; that may need the disk to work again. */
async function mendFailure(run: ScriptRun): Promise<void> {
  const { shim, capture } = run.setting
  await run.checkFailed()
  await capture()
  if (!(await run.resume())) {
    await run.checkFailed()
    shim.setRule(CASE_RULE, undefined)
    if (!(await run.resume())) run.violate('resume() is refused although the disk works again')
  }
  shim.setRule(CASE_RULE, undefined)
  await mustCommit(run)
}

async function mustCommit(run: ScriptRun): Promise<void> {
  const before = run.acknowledgedCount
  await run.commit('left')
  await run.commit('host')
  if (run.acknowledgedCount !== before + 2) run.violate('a commit failed although the disk works again')
}

async function fill(run: ScriptRun): Promise<void> {
  await run.commit('left', LARGE_BYTES)
  // Whoever stages the next frame sees that a quarter of the segment is used, and rings the keeper.
  if (!run.hasFailed) await run.commit('right')
  await run.wait(() => run.log.stats().nextSegmentReady)
}

/** Two threads at once: with one staging slot the second record waits in the ring while the first is written. */
async function commitPair(run: ScriptRun): Promise<void> {
  const { shim, stagingSlots } = run.setting
  const writes = (): number => shim.countOf(shim.phase, 'write', 'segment')
  shim.setGate(false)
  shim.setRule(SCRIPT_RULE, {
    call: { phase: shim.phase, op: 'write', role: 'segment', nth: 1 },
    action: { type: 'hold', micros: GATE_MICROS },
  })
  const first = run.commit('left')
  await run.wait(() => writes() === 1)
  const second = run.commit('right')
  await run.wait(() => (stagingSlots === 1 ? run.log.stats().pendingRecords === 2 : writes() === 2))
  shim.setGate(true)
  await Promise.all([first, second])
  shim.setRule(SCRIPT_RULE, undefined)
}

async function failOnPurpose(run: ScriptRun): Promise<void> {
  const { shim } = run.setting
  shim.setRule(SCRIPT_RULE, {
    call: { phase: shim.phase, op: 'write', role: 'segment', nth: 1 },
    action: { type: 'fail', code: 'EIO' },
  })
  await run.commit('right')
  shim.setRule(SCRIPT_RULE, undefined)
}
