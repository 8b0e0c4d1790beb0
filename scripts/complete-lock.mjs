// Completes package-lock.json: `node scripts/complete-lock.mjs [FOLDER]`, after each `npm install` there.
//
// npm leaves an optional platform package out of the lock file when it cannot read the package's manifest at that
// moment (a registry mirror that holds only some platforms, say), and then `npm ci` refuses the lock file
// everywhere, because it misses what the manifests ask for. Here each such package gets the entry that npm would
// have written, but for the integrity, which npm then takes from the registry of whoever needs that platform.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { projectDir } from './lib/esbuild-plugin.mjs'

const path = join(projectDir, process.argv[2] ?? '.', 'package-lock.json')
const lock = JSON.parse(await readFile(path, 'utf8'))
const added = []

for (const [owner, { optionalDependencies = {}, dev, license }] of Object.entries(lock.packages)) {
  if (owner === '') continue
  for (const [name, version] of Object.entries(optionalDependencies)) {
    if (isLocked(owner, name)) continue
    const { os, cpu, libc } = platformOf(name)
    lock.packages[`node_modules/${name}`] = {
      version,
      ...(cpu && { cpu: [cpu] }),
      ...(dev && { dev }),
      ...(libc && { libc: [libc] }),
      ...(license && { license }),
      optional: true,
      os: [os],
    }
    added.push(name)
  }
}

if (added.length > 0) {
  const [root, ...others] = Object.entries(lock.packages)
  lock.packages = Object.fromEntries([root, ...others.sort(([a], [b]) => a.localeCompare(b, 'en'))])
  await writeFile(path, `${JSON.stringify(lock, null, 2)}\n`)
}
console.log(added.length === 0 ? 'package-lock.json is complete' : `added ${added.join(', ')}`)

/** Whether `name` is found from `owner` on upwards, as Node looks for it. */
function isLocked(owner, name) {
  for (let at = owner; ; at = at.slice(0, at.lastIndexOf('/node_modules/'))) {
    if (lock.packages[`${at}/node_modules/${name}`] !== undefined) return true
    if (!at.includes('/node_modules/')) break
  }
  return lock.packages[`node_modules/${name}`] !== undefined
}

function platformOf(name) {
  const words = name.split(/[/-]/)
  const pick = (...choices) => choices.find((choice) => words.includes(choice))
  const os = pick('android', 'darwin', 'freebsd', 'linux', 'win32')
  if (os === undefined) throw new Error(`cannot tell the platform of ${name}`)
  return { os, cpu: pick('x64', 'arm64', 'arm', 'ia32'), libc: words.includes('musl') ? 'musl' : undefined }
}
