import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkExample } from './example.ts'

test('the example of README.md prints what it says', () => checkExample('README.md'))

test('README.md lists every error code', () => {
  const readme = readFileSync('README.md', 'utf8')
  const codes = readFileSync('src/errors.ts', 'utf8').match(/(?<=\| ')GROUPWAL_\w+(?=')/g) ?? []
  assert.ok(codes.length > 15)
  for (const code of codes) assert.ok(readme.includes(`\`${code}\``), code)
})

test('README.md lists every option of openLog, but for those that are for tests', () => {
  const readme = readFileSync('README.md', 'utf8')
  const source = readFileSync('src/host/options.ts', 'utf8')
  const options = /export interface OpenOptions \{(.*?)\n\}/s.exec(source)![1]!
  const named = [...options.matchAll(/\/\*\* (.*?) \*\/\n {2}(\w+)\?:/g)]
  assert.ok(named.length > 8)
  for (const [, comment, name] of named) {
    assert.is(readme.includes(`| \`${name}\` |`), !comment!.startsWith('For tests'), name)
  }
})

test.run()
