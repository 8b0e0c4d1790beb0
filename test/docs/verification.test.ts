import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { testNames } from '../mutants/kill.ts'
import { MUTANTS } from '../mutants/mutants.ts'
import { PROMISES } from '../prove/promises.ts'
import { type PartResult, renderPage, type VerificationData } from '../prove/support/page.ts'

const page = readFileSync('docs/verification.md', 'utf8')
const data: VerificationData = JSON.parse(readFileSync('docs/verification.json', 'utf8'))

test('docs/verification.md is what is made from the last full run and the tables', () => {
  assert.is(page, renderPage(data), 'node scripts/run.mjs test/prove/support/write-page.ts makes it anew')
})

test('every file that docs/verification.md names exists', () => {
  const paths = Array.from(page.matchAll(/\]\((\.\.\/[^)#]+)\)/g), ([, path]) => join('docs', path!))
  assert.ok(paths.length > 50)
  assert.equal(
    paths.filter((path) => !existsSync(path)),
    [],
  )
})

test('each promise is told, kept somewhere, and seen broken by tests that exist', () => {
  assert.equal(
    PROMISES.map(({ id }) => id),
    Array.from({ length: 12 }, (_, index) => `P${index + 1}`),
  )
  for (const { id, says, keptIn, tests } of PROMISES) {
    assert.ok(page.includes(says), id)
    assert.ok(keptIn.length > 0 && tests.length > 0, id)
    for (const [file, name] of tests) {
      assert.ok(
        testNames(file).some((each) => each.includes(name)),
        `${id}: no test in ${file} is called ${name}`,
      )
    }
  }
})

test('every part of the proof that runs in full is in the last full run', () => {
  if (data.parts.length === 0) return
  const table = /const PARTS = \[(.*?)\n?\]\n/s.exec(readFileSync('scripts/prove.mjs', 'utf8'))![1]!
  const names = Array.from(table.matchAll(/name: '([\w-]+)'/g), ([, name]) => name)
  assert.ok(names.length > 0)
  assert.equal(
    data.parts.map(({ part }) => part),
    names,
  )
})

test('nothing failed in the last full run', () => {
  for (const { part, checks } of data.parts) {
    assert.ok(checks.length > 0, part)
    assert.equal(
      checks.filter(({ passed, skipped }) => !passed && skipped === undefined),
      [],
      part,
    )
  }
})

test('a mutant for which no time was left is not said to have survived', () => {
  const [skipped, killed] = MUTANTS
  const checks = [
    { name: skipped!.name, passed: false, skipped: 'no time was left for it' },
    { name: killed!.name, passed: true },
  ]
  const machine = {
    date: '',
    commit: '',
    isModified: false,
    node: '',
    kernel: '',
    processors: '',
    fileSystem: '',
  }
  const part = {
    part: 'mutants',
    title: '',
    promises: [],
    counts: [],
    checks,
    size: 'full',
    seconds: 0,
    machine,
  }
  const lines = renderPage({ parts: [part as PartResult] }).split('\n')
  const rowOf = (name: string) => lines.find((line) => line.startsWith(`| ${name} |`)) ?? ''
  assert.match(rowOf(skipped!.name), /\| not run: no time was left for it \|$/)
  assert.match(rowOf(killed!.name), /\| killed \|$/)
})

test.run()
