import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { IoShim } from '../../support/io-shim/shim.ts'
import type { ScriptedOrder } from '../io-script/order.ts'
import childUrl from '../io-script/scripted.child.ts?url'

/** How the kernel calls what the shim counts; `list` is two calls of getdents64, the last of which finds nothing. */
const SYSTEM_CALLS: Record<string, string> = {
  openat: 'open',
  close: 'close',
  pwrite64: 'write',
  pread64: 'read',
  fdatasync: 'fdatasync',
  fsync: 'fsync',
  ftruncate: 'ftruncate',
  rename: 'rename',
  unlink: 'unlink',
  mkdir: 'mkdir',
  statx: 'stat',
  fcntl: 'lock',
}
/** Of opendir(), within scandir(), which the shim sees as one call. */
const BY_SCANDIR: ReadonlySet<string> = new Set(['getdents64', 'newfstatat', 'fstat'])

export function whyNoStrace(): string | undefined {
  return spawnSync('strace', ['-V'], { stdio: 'ignore' }).status === 0 ? undefined : 'there is no strace'
}

/**
 * Runs a scenario without faults under strace, too: the kernel must have seen the calls that the shim has counted, and
 * no others. Returns what differs.
 */
export function compareWithStrace(base: string): string[] {
  const root = join(base, 'traced')
  const output = join(base, 'strace')
  mkdirSync(root)
  const shim = IoShim.create(base, 'shim-beside-strace')
  const order: ScriptedOrder = {
    scenario: 'life',
    directory: join(root, 'log'),
    syncMethod: 'fdatasync',
    stagingSlots: 2,
    firstId: 1,
  }
  // The script tells what it does on fd 3.
  const command = ['-c', 'exec 3> /dev/null; exec "$@"', 'sh', 'strace', '-f', '-y', '-o', output]
  const program = [process.execPath, fileURLToPath(childUrl), JSON.stringify(order)]
  const { status, stderr } = spawnSync('sh', [...command, ...program], {
    encoding: 'utf8',
    env: { ...process.env, ...shim.environment(root) },
  })
  const counted = new Map<string, number>()
  for (const { op, count } of shim.counts()) counted.set(op, (counted.get(op) ?? 0) + count)
  // The script makes one write fail, and that never reaches the kernel.
  counted.set('write', (counted.get('write') ?? 0) - 1)
  const different = status === 0 ? [] : [`strace ended with ${status}: ${stderr}`]
  const seen = countTraced(readFileSync(output, 'utf8'), root)
  // Each scandir() opens and closes the directory.
  for (const op of ['open', 'close']) counted.set(op, (counted.get(op) ?? 0) + (counted.get('list') ?? 0))
  counted.delete('list')
  for (const op of new Set([...counted.keys(), ...seen.keys()])) {
    if (counted.get(op) === seen.get(op)) continue
    different.push(`${op}: the shim counted ${counted.get(op) ?? 0}, the kernel saw ${seen.get(op) ?? 0}`)
  }
  if (shim.uncounted > 0) different.push(`${shim.uncounted} calls of a kind that is not counted`)
  shim.remove()
  rmSync(root, { recursive: true })
  return different
}

function countTraced(trace: string, root: string): Map<string, number> {
  const ancestors: string[] = []
  for (let at = dirname(root); ancestors.at(-1) !== '/'; at = dirname(at)) ancestors.push(at)
  const seen = new Map<string, number>()
  for (const line of trace.split('\n')) {
    const call = /^\d+ +(\w+)\((.*)/.exec(line)
    if (call === null) continue
    const [, name, rest] = call
    if (name === 'execve' || BY_SCANDIR.has(name) || !isOnLog(name, rest, root, ancestors)) continue
    const op = SYSTEM_CALLS[name] ?? name
    seen.set(op, (seen.get(op) ?? 0) + 1)
  }
  return seen
}

/** On a file below the root, or on the path to it, which is synced when a log is made. */
function isOnLog(name: string, rest: string, root: string, ancestors: readonly string[]): boolean {
  if (rest.includes(`"${root}`) || new RegExp(`^\\d+<${root}`).test(rest)) return true
  if (name === 'openat')
    return ancestors.some((path) => rest.includes(`"${path}", O_RDONLY|O_CLOEXEC|O_DIRECTORY`))
  return (
    (name === 'fsync' || name === 'close') &&
    ancestors.some((path) => rest.startsWith(`${Number.parseInt(rest, 10)}<${path}>`))
  )
}
