import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readOptions } from '../prove/support/options.ts'

const SECONDS = { ci: 10, full: 100 }

function withArguments<T>(args: string[], read: () => T, seed?: string): T {
  const { argv, env } = process
  process.argv = [...argv.slice(0, 2), ...args]
  process.env = { ...env }
  if (seed === undefined) delete process.env.SEED
  else process.env.SEED = seed
  try {
    return read()
  } finally {
    process.argv = argv
    process.env = env
  }
}

test('a part of the proof reads what it is told', () => {
  const args = ['--full', '--seed', '7', '--seconds', '33', '--only', 'x']
  const read = withArguments(args, () => readOptions(SECONDS, ['only', 'other']))
  assert.equal(read, { full: true, seed: 7, seconds: 33, own: { only: 'x' } })
})

test('told nothing, it has the seconds of its size and a seed by chance', () => {
  assert.is(withArguments([], () => readOptions(SECONDS)).seconds, 10)
  assert.is(withArguments(['--full'], () => readOptions(SECONDS)).seconds, 100)
  const [one, other] = [1, 2].map(() => withArguments([], () => readOptions(SECONDS)).seed)
  assert.not(one === other)
})

test('the seed of the environment is taken, as random tests do', () => {
  assert.is(withArguments([], () => readOptions(SECONDS), '5').seed, 5)
  assert.is(withArguments(['--seed', '7'], () => readOptions(SECONDS), '5').seed, 7)
})

test('what is no whole number, or no option, is refused', () => {
  for (const text of ['', 'seven', '1.5']) {
    assert.throws(
      () => withArguments(['--seed', text], () => readOptions(SECONDS)),
      new RegExp(`--seed ${text}: a whole number is wanted`),
    )
  }
  assert.throws(() => withArguments(['--unknown', '1'], () => readOptions(SECONDS)), /--unknown/)
})

test.run()
