import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkExample } from './example.ts'

test('the relay of docs/operations.md prints what it says', () => checkExample('docs/operations.md'))

test('docs/operations.md names every counter', () => {
  const page = readFileSync('docs/operations.md', 'utf8')
  const source = readFileSync('src/shared/stats.ts', 'utf8')
  const counters = [...source.matchAll(/^ {2}'(\w+)',$/gm)].map(([, name]) => name!)
  assert.ok(counters.length > 10)
  for (const name of counters) assert.ok(page.includes(`\`${name}\``), name)
})

test.run()
