import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { skipUnless } from '../skip.ts'
import { type Action, IoShim, type Rule, whyNoShim } from './shim.ts'

/** Writes 8 bytes, syncs, reads them back, renames the file; tells how each step ended. */
const PROGRAM = `
  const fs = require('node:fs')
  const path = process.argv[1]
  const told = {}
  const step = (name, run) => {
    try { told[name] = run() } catch (error) { told[name] = error.code }
  }
  const fd = fs.openSync(path, 'w+')
  step('write', () => fs.writeSync(fd, Buffer.from('abcdefgh'), 0, 8, 0))
  step('again', () => fs.writeSync(fd, Buffer.from('ABCDEFGH'), 0, 8, 8))
  step('sync', () => fs.fdatasyncSync(fd))
  step('read', () => fs.readSync(fd, Buffer.alloc(16), 0, 16, 0))
  fs.closeSync(fd)
  step('rename', () => fs.renameSync(path, path + '2'))
  console.log(JSON.stringify(told))
`
/** Writes in this thread, in one of libuv's, and in this one again. */
const TWO_THREADS = `
  const fs = require('node:fs')
  const told = {}
  const step = (name, run) => {
    try { told[name] = run() } catch (error) { told[name] = error.code }
  }
  const fd = fs.openSync(process.argv[1], 'w+')
  step('first', () => fs.writeSync(fd, Buffer.from('abcd'), 0, 4, 0))
  fs.write(fd, Buffer.from('efgh'), 0, 4, 4, (error, count) => {
    told.other = error ? error.code : count
    step('again', () => fs.writeSync(fd, Buffer.from('ijkl'), 0, 4, 8))
    console.log(JSON.stringify(told))
  })
`
const NAME = 'wal-00000000000000000001.seg'

interface Outcome {
  told: Record<string, unknown> | undefined
  signal: string | null
  shim: IoShim
  /** The file's content, under whichever name. */
  content: string
}

function run(rules: Rule[], check: (outcome: Outcome) => void, phase = 1, program = PROGRAM): void {
  mkdirSync('.cache', { recursive: true })
  const base = mkdtempSync(join(process.cwd(), '.cache', 'shim-'))
  const root = join(base, 'root')
  mkdirSync(root)
  const shim = IoShim.create(base, 'test')
  try {
    for (const [index, rule] of rules.entries()) shim.setRule(index, rule)
    shim.setPhase(phase)
    const path = join(root, NAME)
    const { stdout, signal } = spawnSync(process.execPath, ['-e', program, path], {
      encoding: 'utf8',
      env: { ...process.env, ...shim.environment(root) },
    })
    const told = stdout === '' ? undefined : (JSON.parse(stdout) as Record<string, unknown>)
    const content = readFileSync(existsSync(path) ? path : `${path}2`, 'utf8')
    check({ told, signal, shim, content })
  } finally {
    shim.remove()
    rmSync(base, { recursive: true })
  }
}

function rule(op: Rule['call']['op'], nth: number, action: Action, next?: Rule['next']): Rule {
  return { call: { phase: 1, op, role: 'segment', nth }, action, ...(next === undefined ? {} : { next }) }
}

const reason = whyNoShim()

skipUnless(
  test,
  reason,
  'calls are counted by phase, operation and kind of file, and pass when no rule says else',
  () => {
    run([], ({ told, shim, content }) => {
      assert.equal(told, { write: 8, again: 8, read: 16 })
      assert.is(content, 'abcdefghABCDEFGH')
      const counts = shim.counts().map(({ phase, op, role, count }) => `${phase} ${op} ${role} ${count}`)
      assert.equal(counts.sort(), [
        '1 close segment 1',
        '1 fdatasync segment 1',
        '1 open segment 1',
        '1 read segment 1',
        '1 rename segment 1',
        '1 write segment 2',
      ])
      assert.is(shim.uncounted, 0)
    })
  },
)

skipUnless(test, reason, 'in phase 0 nothing is counted and no rule applies', () => {
  const failing = rule('write', 1, { type: 'fail', code: 'EIO' })
  run(
    [failing],
    ({ told, shim }) => {
      assert.is(told?.write, 8)
      assert.equal(shim.counts(), [])
    },
    0,
  )
})

skipUnless(test, reason, 'one call fails, and those behind it as the rule says', () => {
  const once = rule('write', 1, { type: 'fail', code: 'ENOSPC' })
  run([once], ({ told, shim }) => {
    assert.equal([told?.write, told?.again, shim.fired(0)], ['ENOSPC', 8, 1])
  })
  const full: Rule['next'] = { ops: ['write'], action: { type: 'fail', code: 'ENOSPC' }, calls: 1 }
  run([rule('write', 2, { type: 'short', bytes: 3 }, full)], ({ told, shim, content }) => {
    assert.equal([told?.write, told?.again, told?.sync, shim.fired(0)], [8, 3, undefined, 2])
    assert.is(content, 'abcdefghABC')
  })
})

skipUnless(
  test,
  reason,
  'what follows upon a call, so many times, is of the same thread; without an end, of all',
  () => {
    for (const [calls, other] of [
      [1, 4],
      [Number.POSITIVE_INFINITY, 'ENOSPC'],
    ] as const) {
      const next: Rule['next'] = { ops: ['write'], action: { type: 'fail', code: 'ENOSPC' }, calls }
      const check = ({ told }: Outcome): void =>
        assert.equal(told, { first: 'EIO', other, again: 'ENOSPC' }, `${calls} calls`)
      run([rule('write', 1, { type: 'fail', code: 'EIO' }, next)], check, 1, TWO_THREADS)
    }
  },
)

skipUnless(test, reason, 'libuv goes on with a write that falls short, so that alone harms nobody', () => {
  run([rule('write', 2, { type: 'short', bytes: 3 })], ({ told, shim, content }) => {
    assert.equal([told?.again, shim.countOf(1, 'write', 'segment')], [8, 3])
    assert.is(content, 'abcdefghABCDEFGH')
  })
})

skipUnless(test, reason, 'a call that fails afterwards is done, one that returns 0 is not', () => {
  run([rule('rename', 1, { type: 'fail-after', code: 'EIO' })], ({ told, content }) => {
    assert.is(told?.rename, 'EIO')
    assert.is(content.length, 16)
  })
  run([rule('write', 1, { type: 'zero' })], ({ told, content }) => {
    assert.is(told?.write, 0)
    assert.is(content, '\0\0\0\0\0\0\0\0ABCDEFGH')
  })
})

skipUnless(test, reason, 'the process dies before a call, after it or in its midst', () => {
  const ways: [Action, string][] = [
    [{ type: 'kill-before' }, 'abcdefgh'],
    [{ type: 'kill-mid', bytes: 5 }, 'abcdefghABCDE'],
    [{ type: 'kill-after' }, 'abcdefghABCDEFGH'],
  ]
  for (const [action, content] of ways) {
    run([rule('write', 2, action)], (outcome) => {
      assert.is(outcome.signal, 'SIGKILL', action.type)
      assert.is(outcome.content, content, action.type)
    })
  }
})

skipUnless(test, reason, 'the last calls can be told to people', () => {
  run([rule('fdatasync', 1, { type: 'fail', code: 'EIO' })], ({ shim }) => {
    const lines = shim.trace((phase) => `phase ${phase}`).map((line) => line.replace(/thread \d+/, 'thread'))
    assert.ok(lines.includes('thread, phase 1: write segment #2'), lines.join('\n'))
    assert.ok(lines.includes('thread, phase 1: fdatasync segment #1 -> fail'), lines.join('\n'))
  })
})

test.run()
