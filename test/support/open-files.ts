import { readdirSync, readlinkSync } from 'node:fs'

const DESCRIPTORS = '/proc/self/fd'

/** What the descriptors of this process, all threads together, stand for; undefined where there is no /proc. */
export function openFiles(): string[] | undefined {
  let fds: string[]
  try {
    fds = readdirSync(DESCRIPTORS)
  } catch {
    return undefined
  }
  return fds.flatMap((fd) => {
    try {
      return [readlinkSync(`${DESCRIPTORS}/${fd}`)]
    } catch {
      // Closed since, as the one that the directory was read through.
      return []
    }
  })
}

/** Those of them that lie in this directory. */
export function openFilesIn(directory: string): string[] {
  return openFiles()!.filter((path) => path.startsWith(`${directory}/`))
}
