import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PENDING_COMMIT, type PendingEntry } from '../../src/host/pending.ts'
import { Queued } from '../../src/host/queued.ts'

function fill(queued: Queued, count: number): PendingEntry[] {
  return Array.from({ length: count }, () => {
    const entry = {
      kind: PENDING_COMMIT,
      firstLsn: 0,
      lastLsn: 0,
      resolve: () => {},
      reject: () => {},
      isSettled: false,
      release: undefined,
    }
    queued.add({ entry, batch: { records: [], granules: 0 }, publish: () => true })
    return entry
  })
}

/** How often the queue below is looked at. */
function countLooks(queued: Queued): { looks: number } {
  const count = { looks: 0 }
  const { commits } = queued as unknown as { commits: { peek(): unknown } }
  const peek = commits.peek.bind(commits)
  commits.peek = () => {
    count.looks++
    return peek()
  }
  return count
}

test('what is withdrawn is passed over, wherever it stands', () => {
  const queued = new Queued()
  const [a, b, c, d] = fill(queued, 4) as [PendingEntry, PendingEntry, PendingEntry, PendingEntry]
  queued.withdraw(b)
  assert.is(queued.oldest()?.entry, a)
  queued.shift()
  assert.is(queued.oldest()?.entry, c)
  queued.withdraw(d)
  queued.withdraw(c)
  assert.is(queued.length, 0)
  assert.is(queued.oldest(), undefined)
  const [e] = fill(queued, 1)
  assert.is(queued.oldest()?.entry, e)
})

test('to give up all of a long queue takes a few steps for each, in whatever order', () => {
  for (const order of ['oldest first', 'newest first']) {
    const queued = new Queued()
    const entries = fill(queued, 1000)
    const count = countLooks(queued)
    for (const entry of order === 'oldest first' ? entries : entries.slice().reverse()) queued.withdraw(entry)
    assert.is(queued.length, 0)
    assert.is(queued.oldest(), undefined)
    assert.ok(count.looks <= 3 * entries.length, `${count.looks} looks, ${order}`)
  }
})

test.run()
