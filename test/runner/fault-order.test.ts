import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { orderCases, type SweptCall, wasTriedAsTwin } from '../prove/fault-sweep/cases.ts'
import { faultsFor } from '../prove/fault-sweep/faults.ts'
import type { Op } from '../support/io-shim/shim.ts'

const OPS: readonly Op[] = ['write', 'fdatasync', 'rename', 'read']

function callsOf(count: number): SweptCall[] {
  return Array.from({ length: count }, (_, index) => ({
    scenario: undefined as never,
    configuration: undefined as never,
    call: { phase: 1, op: OPS[index % OPS.length]!, role: 'segment', nth: index + 1 },
    startsThreads: false,
    isCovered: false,
    fired: new Map(),
    isGone: false,
  }))
}

test('every call meets every fault once, and each call one fault before any call a second', () => {
  const calls = callsOf(50)
  const cases = orderCases(calls, 7)
  const names = new Set(cases.map(({ swept, fault }) => `${swept.call.nth} ${fault.name}`))
  assert.is(names.size, cases.length)
  assert.is(
    cases.length,
    calls.reduce((sum, { call }) => sum + faultsFor(call.op).length, 0),
  )
  assert.is(new Set(cases.slice(0, calls.length).map(({ swept }) => swept)).size, calls.length)
})

test('a fault that does not last comes behind its twin that does, and soon: what one run showed the other need not', () => {
  const calls = callsOf(200)
  const cases = orderCases(calls, 3)
  const placeOf = new Map(cases.map(({ swept, fault }, at) => [`${swept.call.nth} ${fault.name}`, at]))
  let twins = 0
  for (const [at, { swept, fault }] of cases.entries()) {
    if (fault.twin === undefined || at < calls.length) continue
    const twinAt = placeOf.get(`${swept.call.nth} ${fault.twin.name}`)!
    assert.ok(twinAt < at, `${fault.name} at ${at}, ${fault.twin.name} at ${twinAt}`)
    if (twinAt >= calls.length) assert.ok(at - twinAt < 80, `${fault.name}: ${at - twinAt} behind its twin`)
    twins++
  }
  assert.ok(twins > 500, `${twins} twins`)
})

test('thorough calls meet all their faults before any other call meets a second', () => {
  const calls = callsOf(200)
  const cases = orderCases(calls, 5, ({ call }) => call.nth % 4 === 1)
  const behindFirst = cases.slice(calls.length).map(({ swept }) => swept.call.nth % 4 === 1)
  const thorough = behindFirst.filter(Boolean).length
  assert.ok(thorough > 500 && thorough < behindFirst.length, `${thorough} of ${behindFirst.length}`)
  assert.is(behindFirst.indexOf(false), thorough)
})

test('only a fault that lasted and met no later call stands for its twin', () => {
  const [swept] = callsOf(1)
  const once = faultsFor('write').find(({ name }) => name === 'EIO, once')!
  assert.is(wasTriedAsTwin({ swept: swept!, fault: once }), false)
  swept!.fired.set('EIO, for ever', 2)
  assert.is(wasTriedAsTwin({ swept: swept!, fault: once }), false)
  swept!.fired.set('EIO, for ever', 1)
  assert.is(wasTriedAsTwin({ swept: swept!, fault: once }), true)
})

test.run()
