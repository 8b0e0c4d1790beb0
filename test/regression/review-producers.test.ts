// What an adversarial review found about calls that are cut off, and about lines that pass to another client.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { leaveProtocol } from '../../src/commit/join.ts'
import { RecordEncoder } from '../../src/format/record-encoder.ts'
import { Producer } from '../../src/host/producer.ts'
import { SLOT_WRITING, slotOwner, slotState } from '../../src/shared/slots.ts'
import { failureOf } from '../support/rejection.ts'
import { openSmallLog, textsOf } from '../support/small-log.ts'
import { cutOff, replaceNext, SimulatedLog } from './simulated-threads.ts'

test('a producer that is closed after a call was cut off leaves nothing behind for who comes next', async () => {
  const log = await openSmallLog({ sealIdleMs: 0 })
  const producer = log.connect()
  // As a timeout of vm ends a call: the place is reserved, and not published.
  replaceNext(RecordEncoder.prototype, 'encodeRecord', () => {
    throw new Error('cut off')
  })
  assert.throws(() => producer.commitSync({ payload: 'x' }), 'cut off')
  producer.close()
  const next = log.connect()
  assert.is((await next.commit({ payload: 'kept' }, { timeoutMs: 5000 })).durable, true)
  assert.equal(textsOf(log), ['kept'])
  assert.is(log.stats().noops, 1)
  await log.close()
})

test('a line whose last client left a place behind is not given away until that place is filled', () => {
  const log = new SimulatedLog()
  const [left, other] = [log.start(), log.start()]
  cutOff(left, 'x', (cut) => replaceNext(left.context.ring, 'publishPlace', cut))
  leaveProtocol(left.context)
  assert.is.not(log.start().context.client, left.context.client)
  other.append('behind the hole')
  other.watch.lookForDead()
  assert.is(other.context.control.durableLsn(), 2)
  assert.is(log.start().context.client, left.context.client)
})

test('a thread whose end is reported late does not make the next owner of its line count as dead', () => {
  const log = new SimulatedLog()
  const ended = log.start()
  leaveProtocol(ended.context)
  const next = log.start()
  const { clients, client } = next.context
  assert.is(client, ended.context.client)
  clients.reportDead(client, ended.number)
  assert.not(clients.isReportedDead(client))
  clients.reportDead(client, next.number)
  assert.ok(clients.isReportedDead(client))
})

test('a frame is not taken over from a thread that has come back to it meanwhile', async () => {
  const log = new SimulatedLog()
  const [cut, other] = [log.start(), log.start()]
  const { slots, control } = other.context
  cut.abandonInWrite('cut off')
  cut.idle()
  const frame = control.publishedCount()
  const seen = slots.stateWord(frame)
  assert.is(slotState(seen), SLOT_WRITING)
  let wasTaken: boolean | undefined
  replaceNext(cut.context.writer, 'writeDurably', (write) => {
    // `other` looked before; here it is about to take the frame from one who seemed to have left it.
    wasTaken = other.leader.frames.adoptFrame(frame, seen)
    assert.is(slotOwner(slots.stateWord(frame)), cut.context.client)
    return write()
  })
  cut.watch.healOwn()
  assert.is(wasTaken, false)
  assert.is(control.durableLsn(), 1)
  assert.equal([...(await log.contentAfterReopen())], [[1, 'cut off']])
})

test('a queued commit is published once, also when the call that pushed it was cut off behind that', async () => {
  const log = new SimulatedLog()
  const [client, other] = [log.start(), log.start()]
  const producer = new Producer(client.context, 0)
  const filler = 'f'.repeat(60_000)
  while (producer.tryAppend({ payload: filler }) !== undefined) {
    // until the ring is full
  }
  const queued = failureOf(producer.commit({ payload: 'q'.repeat(60_000) }))
  while (other.leader.tryLead()) {
    // until the ring is empty
  }
  const cut = new Error('cut off')
  replaceNext(client.context.ring, 'publishPlace', (publish) => {
    publish()
    throw cut
  })
  assert.throws(() => producer.commitSync({ payload: 'pushes' }), 'cut off')
  producer.commitSync({ payload: 'after' })
  assert.is((await queued).outcome, 'indeterminate')
  producer.close()
  const texts = [...(await log.contentAfterReopen()).values()].filter((text) => text !== filler)
  assert.equal(
    texts.map((text) => text[0]),
    ['q', 'a'],
  )
})

test('a producer whose queued commit is refused as it is about to wait does not wait, nor keep its thread alive', async () => {
  const log = new SimulatedLog()
  const [client, other] = [log.start(), log.start()]
  const producer = new Producer(client.context, 0)
  while (producer.tryAppend({ payload: 'f'.repeat(60_000) }) !== undefined) {
    // until the ring is full
  }
  replaceNext(client.context.clients, 'armClient', (arm) => {
    arm()
    other.failNextWrite()
    other.leader.tryLead()
  })
  const timers = countTimers()
  const refused = await failureOf(producer.commit({ payload: 'q'.repeat(60_000) }))
  assert.is(refused.outcome, 'not-written')
  assert.is(countTimers(), timers)
  producer.close()
  assert.is(client.context.clients.threadOf(client.context.client), 0)
})

/** Those that keep this thread alive. */
function countTimers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
}

test.run()
