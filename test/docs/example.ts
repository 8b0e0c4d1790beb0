// Runs an example of the documentation as a reader would: in a project that has the package installed.

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { buildLibrary } from '../support/built-library.ts'

/** Checks that the example which a page marks with a comment prints what the page says. */
export function checkExample(page: string): void {
  const text = readFileSync(page, 'utf8')
  const marked = text.indexOf('<!-- example:')
  assert.ok(marked >= 0, `${page} marks no example`)
  const [, code, expected] = /```js\n(.*?)\n```\s+prints\s+```\n(.*?)```/s.exec(text.slice(marked)) ?? []
  const name = /^\/\/ (\S+)\n/.exec(code!)![1]!
  const home = projectWithPackage()
  writeFileSync(join(home, name), code!)
  const { status, stdout, stderr } = spawnSync(process.execPath, [name], { cwd: home, encoding: 'utf8' })
  assert.is(status, 0, stderr)
  assert.is(stdout, expected)
}

function projectWithPackage(): string {
  const dist = buildLibrary()
  const project = mkdtempSync(join(dirname(dist), 'project-'))
  const installed = join(project, 'node_modules', 'groupwal')
  mkdirSync(installed, { recursive: true })
  // A package of its own: else the name would mean this repository, and its dist, which need not be there.
  writeFileSync(join(project, 'package.json'), '{ "private": true }')
  copyFileSync('package.json', join(installed, 'package.json'))
  renameSync(dist, join(installed, 'dist'))
  return project
}
