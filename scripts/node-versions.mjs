// Runs the tests under other Node versions: `node scripts/node-versions.mjs [22 24] [-- substring…]`
//
// The binaries come from npm (the packages node22 and node24 are aliases of `node`), into .cache/nodes. They are
// no devDependencies: each is 100 MB and more, and their `bin` would shadow `node` in every npm script.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { projectDir } from './lib/esbuild-plugin.mjs'

const args = process.argv.slice(2)
const separator = args.includes('--') ? args.indexOf('--') : args.length
const majors = args.slice(0, separator)
const testArgs = args.slice(separator + 1)
if (majors.length === 0) majors.push('22', '24')
if (majors.some((major) => !/^\d+$/.test(major))) {
  console.error('usage: node scripts/node-versions.mjs [MAJOR…] [-- argument of scripts/test.mjs…]')
  process.exit(2)
}

const failures = majors.filter((major) => !testWith(binaryOf(major)))
if (failures.length > 0) {
  console.error(`failed with Node ${failures.join(', ')}`)
  process.exitCode = 1
}

function binaryOf(major) {
  // A folder for each: npm would remove one version while it installs the other.
  const prefix = join(projectDir, '.cache', 'nodes', major)
  const binary = join(
    prefix,
    'node_modules',
    `node${major}`,
    'bin',
    process.platform === 'win32' ? 'node.exe' : 'node',
  )
  if (!existsSync(binary)) {
    mkdirSync(prefix, { recursive: true })
    // Without a package.json here, npm would install into the project.
    writeFileSync(join(prefix, 'package.json'), '{ "private": true }\n')
    const spec = `node${major}@npm:node@${major}`
    console.log(`installing ${spec}`)
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
    const { status } = spawnSync(npm, ['install', '--prefix', prefix, spec], { stdio: 'inherit' })
    if (status !== 0 || !existsSync(binary)) throw new Error(`could not install ${spec}`)
  }
  return binary
}

function testWith(binary) {
  const { stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8' })
  console.log(`== Node ${stdout.trim()}`)
  const { status } = spawnSync(binary, [join(projectDir, 'scripts', 'test.mjs'), ...testArgs], {
    stdio: 'inherit',
    cwd: projectDir,
    // Programs that the tests start by name (npm, node) must be of this version too.
    env: { ...process.env, PATH: `${dirname(binary)}${delimiter}${process.env.PATH}` },
  })
  return status === 0
}
