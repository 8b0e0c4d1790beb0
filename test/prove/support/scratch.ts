import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/**
 * A folder for the images and mounts of one process. Whatever is mounted below it, and every loop device of a file
 * below it, goes away with it: at `remove`, however this process ends (a shell in a session of its own holds the other
 * end of a pipe), and what a run left that was killed together with its shell goes away at the next `Scratch`.
 */
export class Scratch {
  readonly path: string
  readonly #cleaner: ChildProcess

  /** @param name of the test: only its own leavings are looked for */
  constructor(name: string) {
    const parent = resolve('.cache', 'prove', name)
    mkdirSync(parent, { recursive: true })
    removeStale(parent)
    this.path = join(parent, `${process.pid}-${startTimeOf(process.pid)}`)
    mkdirSync(this.path)
    this.#cleaner = spawn('sh', ['-c', CLEAN_UP, 'clean-up', this.path], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    this.#cleaner.unref()
    ;(this.#cleaner.stdin as unknown as { unref(): void }).unref()
  }

  remove(): void {
    cleanUp(this.path)
    this.#cleaner.stdin!.end()
  }
}

/** Runs a program and returns what it printed; its complaint becomes the error. */
export function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr.trim()}`)
  return stdout
}

/** A folder is named by a process: it is stale when that one is gone, or its number has gone to another. */
function removeStale(parent: string): void {
  for (const name of readdirSync(parent)) {
    const [pid, startTime] = name.split('-')
    if (startTimeOf(Number(pid)) !== startTime) cleanUp(join(parent, name))
  }
}

/** In clock ticks since boot, as text; undefined when there is no such process. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name of the program comes before, and may hold spaces.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

function cleanUp(path: string): void {
  spawnSync('sh', ['-c', CLEAN_UP, 'clean-up', path], { input: '' })
}

/**
 * Reads until its input ends, then unmounts (the newest first: a file system before the one that holds its image; a
 * busy one lazily), detaches and removes. Repeating it does no harm.
 */
const CLEAN_UP = [
  'cat > /dev/null',
  'awk \'{ print $5 }\' /proc/self/mountinfo | grep "^$1/" | tac | while read -r mount; do',
  '  umount "$mount" 2> /dev/null || umount -l "$mount" 2> /dev/null',
  'done',
  'losetup -n -O NAME,BACK-FILE 2> /dev/null | grep " $1/" | while read -r device file; do',
  '  losetup -d "$device" 2> /dev/null',
  'done',
  'rm -rf --one-file-system "$1"',
].join('\n')
