import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { allowLargeRequests, requestLimit } from '../../support/loop-device.ts'
import { run } from './scratch.ts'

export type DiskType = 'ext4' | 'xfs'

/** mkfs.xfs makes none that is smaller than 300 MB. */
export const LEAST_IMAGE_BYTES: Record<DiskType, number> = { ext4: 64 << 20, xfs: 320 << 20 }

const BUSY_MS = 10_000

/** Mounts memory of this size: for images, so that no real disk is waited for. */
export function mountMemory(bytes: number, path: string): void {
  run('mount', '-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path)
}

/** Makes the file system in an image that exists. Nothing of it is left to be written later. */
export function makeFileSystem(type: DiskType, image: string): void {
  const eager = 'nodiscard,lazy_itable_init=0,lazy_journal_init=0'
  if (type === 'ext4') run('mkfs.ext4', '-q', '-F', '-m', '0', '-b', '4096', '-E', eager, image)
  else run('mkfs.xfs', '-q', '-f', '-K', image)
}

/** Mounts an image on a loop device, which goes away with the mount. */
export function mountImage(type: DiskType, image: string, path: string): void {
  // The journal is not written out by a timer: only what somebody asks for is synced.
  run('mount', '-o', type === 'ext4' ? 'loop,commit=600' : 'loop', image, path)
  allowLargeRequests(deviceOf(image)!)
}

/** Nothing stays in any cache: file system, page cache and loop device are gone. */
export function unmountImage(image: string, path: string): void {
  // A process that was killed, or a loop device above this one, may take a moment to let go.
  waitUntil(`${path} can be unmounted`, () => spawnSync('umount', [path]).status === 0)
  // Else the next mount might get the old device, and what its cache holds.
  waitUntil(`no loop device holds ${image}`, () => deviceOf(image) === undefined)
}

/**
 * Has the loop device of an image do one page at a time. When its file takes but a part of a request, Linux (6.18 at
 * least) reports all of it as written: a disk that lies, against which nobody can do anything.
 */
export function writeByPage(image: string): void {
  writeFileSync(requestLimit(deviceOf(image)!), '4')
}

function deviceOf(image: string): string | undefined {
  return readdirSync('/sys/block').find((name) => {
    try {
      // The kernel adds to the path of a file that was removed.
      return readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').startsWith(image)
    } catch {
      return false
    }
  })
}

function waitUntil(what: string, condition: () => boolean): void {
  const deadlineMs = performance.now() + BUSY_MS
  const word = new Int32Array(new SharedArrayBuffer(4))
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`waited in vain until ${what}`)
    Atomics.wait(word, 0, 0, 5)
  }
}
